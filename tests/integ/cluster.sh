#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A job over several nodes: checkpoint, kill or --term, restart on the same nodes, on others, on fewer, with another mapping; a second request while one
# is served; the connection between a node and the coordinator is cut in the middle of a checkpoint.
. "$(dirname "$0")/../lib/cluster.sh"
[ -x "$PROGS/mpi_stress" ] || skip_all "mpi_stress is not built"
need ss iproute2
cluster_up 4 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }

NP=4 RUN=$WORK/run N_CKPT=0 RC=''
filter() { grep -E '^ok|checksum' "$1"; }

# The job's end: by itself, and with the result of the uninterrupted run
finish()
{
	job_end 200
	[ "$RC" = 0 ] && [ "$(filter "$RUN/out.$SEG")" = "$(filter "$WORK/ref/out")" ] && [ -n "$(filter "$WORK/ref/out")" ]
}

give_up()
{
	say "$1: status $RC"
	say_file "$RUN/ckpt.err"
	say_file "$RUN/err.$SEG"
	say_file "$(cluster_log)" 30
	alive "$JOB" && kill_job
	return 1
}

begin()
{
	rm -rf "$RUN" && mkdir -p "$RUN"
	SEG=0 N_CKPT=0 ROUNDS=$1
	hosts n1:2 n2:1 n3:1
	reference $NP "$PROGS/mpi_stress" --seed "$SEED" --rounds "$ROUNDS" || return 1
	start_job $NP "$PROGS/mpi_stress" --seed "$SEED" --rounds "$ROUNDS"
}

# ompi-restart looks at the whole snapshot before it becomes an mpirun that can be named by its pid
registered()
{
	local i
	for ((i = 0; i < 3000; i++)); do
		[ -e "$OMPI_CR_REGISTRY_DIR/$JOB.job" ] && return
		alive "$JOB" || return
		nap 20
	done
	return 1
}

# One life after another, each somewhere else
travel()
{
	local place
	for place in "n1:2 n2:1 n3:1" "n4:3 n2:3" "n3:1 n1:1 n2:2 n4:1" "n2:1"; do
		checkpoint
		RC=$?
		[ $RC = 0 ] || return 1
		checkpoint --term
		RC=$?
		[ $RC = 0 ] || return 1
		job_end 60
		[ "$RC" = 0 ] || return 1
		# shellcheck disable=SC2086
		hosts $place
		say "restart on $place"
		restart
		registered || return 1
	done
}

# On a quick machine the program may end before its last journey: then it gets more to do
journey()
{
	local rounds
	for rounds in 2000 8000 32000 128000; do
		begin $rounds || { give_up "start"; return 1; }
		if travel; then
			finish || { give_up "the last part"; return 1; }
			return
		fi
		[ "$(filter "$RUN/out.$SEG")" = "$(filter "$WORK/ref/out")" ] || break
		say "the program has ended too early: again, longer"
	done
	give_up "checkpoint $((N_CKPT + 1))"
}
check "four ranks, ended and restarted on the same nodes, on others, with another mapping, on one" journey

hang_begin()
{
	local i before
	rm -rf "$RUN" && mkdir -p "$RUN"
	SEG=0 N_CKPT=0
	hosts n1:2 n2:1 n3:1
	rm -f "$OMPI_CR_REGISTRY_DIR"/snapcd-*.log
	start_job $NP "$PROGS/mpi_stress" --seed "$SEED" --seconds 3000
	checkpoint || { RC=$? give_up "first checkpoint"; return 1; }
	before=$(grep -c ': quiesce at' "$(cluster_log)")
	CR_FAULT=quiesce:0:hang timeout -k 5 200 ompi-checkpoint "$JOB" >"$RUN/hang.out" 2>"$RUN/hang.err" &
	HANG=$!
	for ((i = 0; i < 1200; i++)); do
		[ "$(grep -c ': quiesce at' "$(cluster_log)")" -gt "$before" ] && return
		nap 50
	done
	RC=124 give_up "the request that hangs"
}

second()
{
	ompi-checkpoint "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
	RC=$?
	[ $RC = 75 ] && grep -q "a checkpoint is running" "$RUN/ckpt.err" || give_up "second request"
}

cut_off()
{
	local status
	node n2 ss -K dst $CLUSTER_NET.254 dport = "$(sed -n 's/.*other nodes: [0-9.]*:\([0-9]*\),.*/\1/p' "$(cluster_log)")" >/dev/null 2>&1
	wait "$HANG"
	status=$?
	[ $status = 1 ] && grep -q "connection to node n2" "$RUN/hang.err" || { say_file "$RUN/hang.err"; RC=$status give_up "the request whose node was cut off"; }
}

after()
{
	checkpoint || { RC=$? give_up "checkpoint after the cut"; return 1; }
	checkpoint --term || { RC=$? give_up "--term after the cut"; return 1; }
	job_end 60
	[ "$RC" = 0 ] || give_up "the end"
}

export CR_DEBUG=2
check "a checkpoint that waits" hang_begin
check "a second request meanwhile is refused: try again" second
check "a node whose connection is cut fails the checkpoint, by its name" cut_off
check "the node connects again, the next checkpoints work" after

# --- checkpoints by interval, and settings that are wrong
by_itself()
{
	local i
	SEG=0 N_CKPT=0
	hosts n1:1 n4:1
	rm -f "$OMPI_CR_REGISTRY_DIR"/snapcd-*.log
	OMPI_CR_INTERVAL=1 start_job 2 "$PROGS/mpi_stress" --seed "$SEED" --seconds 3000
	for ((i = 0; i < 2400; i++)); do
		[ "$(cat "$OMPI_CR_REGISTRY_DIR"/snapcd-[0-9]*.log 2>/dev/null | grep -c 'checkpoint: .* sequence')" -ge 2 ] && break
		alive "$JOB" || break
		nap 50
	done
	grep -q "checkpoint by interval" "$(cluster_log)" && grep -q "(Daly)" "$(cluster_log)" && alive "$JOB" && kill_job && return
	RC=124 give_up "checkpoints by interval"
}
check "checkpoints by interval, with advice on it" by_itself
mistyped() { ! "$MPIRUN" -am ft-enable-cr --mca ompi_cr_intervall 5 -np 1 true >"$RUN/out" 2>"$RUN/err" </dev/null && grep -q "no parameter ompi_cr_intervall" "$RUN/err"; }
check "a parameter that does not exist: no job" mistyped
# What mpirun starts snapcd with is what the command line says, then its environment's parameters, then the environment
keeps() # NUMBER ARGUMENT...
{
	local number=$1
	shift
	hosts localhost:1
	# shellcheck disable=SC2016
	"$MPIRUN" -am ft-enable-cr "$@" -np 1 sh -c 'for f in /proc/[0-9]*/cmdline; do tr "\0" " " <"$f"; echo; done 2>/dev/null | grep "/snapcd .*--mpirun-pid $PPID "' \
		>"$RUN/out" 2>"$RUN/err" </dev/null
	grep -q -- "--keep $number " "$RUN/out" || { say_file "$RUN/out"; say_file "$RUN/err"; return 1; }
}
export OMPI_CR_KEEP=7
check "a setting of the environment reaches the job" keeps 7
export OMPI_MCA_ompi_cr_keep=5
check "... mpirun's parameter in the environment goes before it" keeps 5
check "... and the command line before that" keeps 3 --mca ompi_cr_keep 3
unset OMPI_CR_KEEP OMPI_MCA_ompi_cr_keep

done_testing
