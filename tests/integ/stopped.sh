#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-checkpoint --stop: the ranks stand where they were saved until SIGCONT comes; the job then ends as it would have, and so does its snapshot.
. "$(dirname "$0")/lib.sh"
LIFE=$PROGS/mpi_life N_CKPT=0 N_RESTART=0 RC=''
RUN=$WORK/run SEG=0
mkdir -p "$RUN"
[ -x "$LIFE" ] || skip_all "mpi_life is not built"

ranks() { for p in $(descendants "$JOB"); do tr '\0' ' ' <"/proc/$p/cmdline" | grep -q "$LIFE " && echo "$p"; done; }
state() { sed 's/.*) //' "/proc/$1/stat" | cut -c1; }
# all_are STATES: until each rank is in one of them
all_are()
{
	local i p bad
	for ((i = 0; i < 400; i++)); do
		bad=0
		for p in $pids; do case $(state "$p") in [$1]) ;; *) bad=1 ;; esac; done
		[ $bad = 1 ] || return 0
		nap 50
	done
	return 1
}
# Do the ranks get any processor time?
ticks() { for p in $pids; do sed 's/.*) //' "/proc/$p/stat" | cut -d' ' -f12,13; done; }

(cd "$RUN" && exec "$MPIRUN" -np 2 "$LIFE" level 60 3 go) >"$RUN/native" 2>/dev/null </dev/null &
: >"$RUN/go"
wait $!
native=$(cat "$RUN/native")
rm "$RUN/go"
start_job 2 "$LIFE" level 60 3 go
until_says half
pids=$(ranks)
check "two ranks" [ "$(wc -w <<<"$pids")" = 2 ]
CR_FAULT=commit:global:enospc ompi-checkpoint --stop "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
rc=$?
say_file "$RUN/ckpt.err" 2
check "a checkpoint that fails: status 1" [ $rc = 1 ]
check "a checkpoint that fails: the ranks run" all_are RSD
check "--stop" checkpoint --stop
check "the ranks are stopped" all_are T
before=$(ticks)
timeout 60 ompi-checkpoint "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
rc=$?
say_file "$RUN/ckpt.err" 3
check "one that is stopped cannot be saved: try again, and why" sh -c "[ $rc = 75 ] && grep -q 'rank 0: .*stopped' '$RUN/ckpt.err'"
check "they have done nothing" [ "$(ticks)" = "$before" ]
: >"$RUN/go"
kill -CONT "$JOB"
job_end 100
check "SIGCONT to mpirun: the job ends, as natively" [ "$RC:$(cat "$RUN/out.$SEG")" = "0:$native" ]
restart
job_end 100
check "the snapshot, restarted, ends the same" [ "$RC:$(cat "$RUN"/out.*)" = "0:$native
$(sed '1,/half/d' <<<"$native")" ]
done_testing
