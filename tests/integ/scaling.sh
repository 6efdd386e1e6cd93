#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a checkpoint costs a rank grows with what it talks about, not with the size of the job: messages of the layer's own and bytes saved are counted
# for the same program, in which a rank talks to two neighbours, with 2 to 64 ranks.
. "$(dirname "$0")/lib.sh"
RUN=$WORK/run

# saved NP: the program with as many ranks is saved; "rank exchanged bytes" of each in $RUN/saved.NP
saved()
{
	local f i
	SEG=0 N_CKPT=0 N_RESTART=0
	rm -rf "${OMPI_CR_SNAPSHOT_DIR:?}"/* "$RUN/progress" "$RUN/stop"
	mkdir -p "$RUN"
	start_job "$1" "$PROGS/mpi_steady" "$RUN/progress" "$RUN/stop"
	for ((i = 0; i < 3000; i++)); do [ "$(cat "$RUN/progress" 2>/dev/null || echo 0)" -gt 3 ] 2>/dev/null && break; alive "$JOB" || break; nap 100; done
	# The end of a job of many ranks on few cores is not ours to test: a rank waits 2 s for mpirun's answer when it leaves
	checkpoint --term || { explain; return 1; }
	job_end 120
	[ "$RC" = 0 ] || { explain; return 1; }
	for f in "$OMPI_CR_SNAPSHOT_DIR"/*/0/opal_snapshot_*/cr_context; do
		[ -f "$f" ] || continue
		echo "$(cr_inspect "$f" | awk '/ BOARD / { for (i = 1; i < NF; i++) w[$i] = $(i + 1); print w["rank"], w["exchanged"] }') $(stat -c %s "$f")"
	done | sort -n >"$RUN/saved.$1"
}

# counted NP: each sum over the ranks is 2 (NP - 1) messages, of one rank at most 1 + log2 NP; the last rank sends one for each, so it tells how many sums there were
counted()
{
	awk -v np="$1" '
		{ n++; sum += $2; if ($2 > most) most = $2; last = $2; if ($3 > bytes) bytes = $3 }
		END {
			for (log2 = 0; 2 ^ log2 < np; log2++);
			printf "# %d ranks: %d sums, %d messages of 32 bytes, at most %d of one rank; the largest context file has %d bytes\n", np, last, sum, most, bytes
			exit !(n == np && last > 0 && sum == last * 2 * (np - 1) && most <= last * (1 + log2))
		}' "$RUN/saved.$1"
}

largest() { awk '{ if ($3 > b) b = $3 } END { print b + 0 }' "$RUN/saved.$1"; }
for np in 2 8 64; do
	check "$np ranks: checkpoint" saved $np
	check "$np ranks: messages by the number of ranks, of one rank by its logarithm" counted $np
done
# 62 ranks more are their numbers in the groups and the names of their files; a word for every pair would be 64 KiB in each communicator
check "a rank of 64 saves no more than one of 2, but for 64 KiB" [ $(($(largest 64) - $(largest 2))) -lt 65536 ]
done_testing
