#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# MPI_THREAD_MULTIPLE: threads that stand in MPI calls of every kind when the job is checkpointed, and go on from there in another process; then
# checkpoints and restarts at random moments, also of threads that use the same objects. Every level of MPI_Init_thread gives what it gives natively,
# and can be checkpointed.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_threads" ] || skip_all "mpi_threads is not built"
THREADS=$PROGS/mpi_threads N_CKPT=0 N_RESTART=0 RC=''

RUN=$WORK/inside SEG=0
mkdir -p "$RUN"
start_job 2 "$THREADS" 3 all go
check "the threads are in their calls" until_says inside
check "a checkpoint there, the job goes on" checkpoint
check "a checkpoint there ends the job" checkpoint --term
job_end 60
: >"$RUN/go"
restart "$REF"
job_end 200
[ "$RC" = 0 ] || explain
check "restarted, the job ends as it should" [ "$RC" = 0 ]
while read -r name; do
	check "$name" grep -qx "$name ok" "$RUN/out.$SEG"
done < <(sed -n 's/^\t{ "\([a-z_]*\)", [a-z_]*_block.*, 0 },$/\1/p' "$TOP/tests/integ/threads/main.c")

GAP=250
LIMIT=300
CKPTS=5 chain "random moments, 2 ranks" 2 "$THREADS" "$(fit 200 4 2 "$THREADS")"
CKPTS=3 chain "random moments, 3 ranks" 3 "$THREADS" "$(fit 100 3 3 "$THREADS")"
CKPTS=2 chain "two threads that lock, 3 ranks" 3 "$THREADS" "$(n 1000)" win_locks
CKPTS=2 chain "two threads that make and free" 2 "$THREADS" "$(n 40)" objects
CKPTS=3 chain "threads that share objects, 2 ranks" 2 "$PROGS/mpi_shared" "$(fit 3000 3 2 "$PROGS/mpi_shared")"
for level in 0 1 2 3; do
	RUN=$WORK/level.$level SEG=0
	mkdir -p "$RUN"
	start_job 2 "$PROGS/mpi_life" level 60 $level go
	until_says half
	check "MPI_Init_thread, level $level: a checkpoint, the job goes on" checkpoint
	check "MPI_Init_thread, level $level: a checkpoint ends the job" checkpoint --term
	job_end 60
	: >"$RUN/go"
	restart "$REF"
	job_end 100
	native=$(cd "$RUN" && "$MPIRUN" -np 2 "$PROGS/mpi_life" level 60 $level go 2>/dev/null)
	[ "$RC" = 0 ] || explain
	check "MPI_Init_thread, level $level: provided and all else is as natively" [ "$RC:$(cat "$RUN"/out.*)" = "0:$native" ]
done
done_testing
