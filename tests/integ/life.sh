#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Requests at the edges of a job's life: before and inside of MPI_Init, all around MPI_Finalize, while a rank calls MPI_Abort. Each request ends with a snapshot or with a
# reason, the job with its native output and status.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_life" ] || skip_all "mpi_life is not built"
LIFE=$PROGS/mpi_life N_CKPT=0 N_RESTART=0 RC=''

run_in()
{
	RUN=$WORK/$1 SEG=0
	mkdir -p "$RUN"
}

# until_lines N TEXT: until the job has written it so often
has_lines() { [ "$(grep -c "$2" "$RUN/out.$SEG")" -ge "$1" ]; }
until_lines() { until_so has_lines "$@"; }

# ask [OPTION...]: one request; its status in rc. False when it neither made a snapshot nor said why not
ask()
{
	timeout -k 5 120 ompi-checkpoint "$@" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
	rc=$?
	if [ $rc = 0 ]; then
		N_CKPT=$((N_CKPT + 1))
		REF=$(awk '/^Snapshot Ref\.:/ { print $4 }' "$RUN/ckpt.out")
		[ -n "$REF" ]
	else
		[ $rc != 124 ] && [ $rc != 137 ] && grep -q '^ompi-checkpoint: ..' "$RUN/ckpt.err"
	fi
}

# Nobody is in MPI yet: nothing is in the way
run_in before
start_job 2 "$LIFE" before 60 go
until_lines 2 before
check "before MPI_Init: saved" checkpoint
kill_job
: >"$RUN/go"
restart
job_end 100
check "before MPI_Init: restarted, it ends" sh -c "[ $RC = 0 ] && grep -qx ok '$RUN/out.$SEG'"
[ "$RC" = 0 ] || explain

# One rank is not in it yet, the other is inside and waits
run_in inside
start_job 2 "$LIFE" inside 60 go end
until_lines 1 before
for ((i = 0; i < 100; i++)); do
	ask || break
	[ $rc = 0 ] || break
	nap 100
done
say_file "$RUN/ckpt.err" 3
check "inside of MPI_Init: try again, and why" sh -c "[ $rc = 75 ] && grep -q 'try again' '$RUN/ckpt.err'"
: >"$RUN/go"
check "inside of MPI_Init: once it has returned the job is saved" checkpoint
kill_job
: >"$RUN/end"
restart
job_end 100
check "inside of MPI_Init: restarted, it ends" sh -c "[ $RC = 0 ] && grep -qx ok '$RUN/out.$SEG'"
[ "$RC" = 0 ] || explain

# Requests one after the other from the first step until nothing is left of the job, which stays in the middle until one has saved it
run_in native
: >"$RUN/go"
native=$(cd "$RUN" && "$MPIRUN" -np 2 "$LIFE" after "$(n 900)" 60 go 2>/dev/null </dev/null)
check "MPI_Finalize: native status" [ $? = 3 ]
wrong='' saved=0 refused=0
for run in 1 2; do
	run_in "after.$run"
	REF=''
	start_job 2 "$LIFE" after "$(n 900)" 60 go
	until_lines 1 'step 0'
	checkpoint || wrong="$wrong no checkpoint in the beginning"
	while alive "$JOB"; do
		ask || wrong="$wrong unclear:$rc"
		if [ $rc = 0 ]; then saved=$((saved + 1)) && : >"$RUN/go"; else refused=$((refused + 1)); fi
	done
	job_end 60
	[ "$RC" = 3 ] && [ "$(cat "$RUN/out.1")" = "$native" ] || wrong="$wrong run $run: status $RC"
	[ -z "$wrong" ] || explain
done
say "$saved saved, $refused refused with a reason"
say_file "$RUN/ckpt.err" 3
check "MPI_Finalize: each request is answered clearly, output and status are the native ones${wrong:+:$wrong}" [ -z "$wrong" ]
check "MPI_Finalize: some requests were before it" [ $saved -gt 0 ]
: >"$RUN/out.1"
[ -z "$REF" ] || restart "$REF"
job_end 100
# what it writes then is the end of the native output, at least the last line: all else may have been written before it was saved
the_end() { [ "$RC:$(tail -n 1 "$RUN/out.$SEG")" = 3:after ] && [[ $native == *"$(cat "$RUN/out.$SEG")" ]]; }
check "MPI_Finalize: the last snapshot, restarted, ends with the native status and result" the_end

# A rank is in MPI_Finalize, where it waits for the other one
run_in last
start_job 2 "$LIFE" last 60 go
until_lines 1 last
nap 300 # that is not told by anything: the other one is there soon
check "a rank that waits in MPI_Finalize: the job is saved, and goes on" checkpoint
check "a rank that waits in MPI_Finalize: saved once more" checkpoint
kill_job
: >"$RUN/go"
restart
job_end 100
check "a rank that waits in MPI_Finalize: restarted, it ends" sh -c "[ $RC = 0 ] && grep -qx ok '$RUN/out.$SEG'"
[ "$RC" = 0 ] || explain

# A receive that has outlived its communicator passes by itself: try again
run_in stray
start_job 2 "$LIFE" stray 60 go end
until_lines 1 stray
ask
say_file "$RUN/ckpt.err" 3
check "a receive whose communicator is freed: try again, and why" sh -c "[ $rc = 75 ] && grep -q 'outlived its communicator' '$RUN/ckpt.err'"
: >"$RUN/go"
check "a receive whose communicator is freed: once it is complete the job is saved" checkpoint
kill_job
: >"$RUN/end"
restart
job_end 100
check "a receive whose communicator is freed: restarted, it ends" sh -c "[ $RC = 0 ] && grep -qx ok '$RUN/out.$SEG'"
[ "$RC" = 0 ] || explain

# A communicator that some have freed could not be made again by the others: the ranks are not stopped before all have
run_in freed
start_job 2 "$LIFE" freed 60 go end
until_lines 1 freed
checkpoint --term &
saver=$!
nap 1000
: >"$RUN/go"
check "a communicator that another rank has freed: saved when all have freed it" wait $saver
job_end 60
: >"$RUN/end"
REF=$(awk '/^Snapshot Ref\.:/ { print $4 }' "$RUN/ckpt.out")
restart
job_end 100
check "a communicator that another rank has freed: restarted, it ends" sh -c "[ $RC = 0 ] && grep -qx ok '$RUN/out.$SEG'"
[ "$RC" = 0 ] || explain

# Open MPI's own words about a fatal error, with the name of the call (from one rank, and again when mpirun loses them, which it does now and then)
words() { sed -n '/reported by process/d; s/^\[[^]]*\] \(\*\*\* \)/\1/p'; }
for ((i = 0; i < 20; i++)); do
	native=$("$MPIRUN" -np 1 "$LIFE" wrong 1 - 2>&1 >/dev/null </dev/null | words; echo "${PIPESTATUS[0]}")
	if [[ $native == *'An error occurred'*'potentially your MPI job'* ]]; then break; fi
done
run_in wrong
for ((i = 0; i < 20; i++)); do
	start_job 1 "$LIFE" wrong 1 -
	job_end 60
	if grep -q 'An error occurred' "$RUN/err.$SEG" && grep -q 'potentially your MPI job' "$RUN/err.$SEG"; then break; fi
done
say "$native"
check "a fatal error: words and status are the native ones" [ "$(words <"$RUN/err.$SEG"; echo "$RC")" = "$native" ]
check "a fatal error: they name the call" grep -q 'An error occurred in MPI_Send' "$RUN/err.$SEG"

# One rank aborts while another does not answer, so in the middle of a checkpoint
run_in abort
start_job 3 "$LIFE" abort 1000000 go
check "MPI_Abort: saved before" checkpoint
pids=$(descendants "$JOB")
CR_FAULT=quiesce:rank:0:hang timeout -k 5 120 ompi-checkpoint "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err" &
asker=$!
nap 500
: >"$RUN/go"
wait $asker
rc=$?
say_file "$RUN/ckpt.err" 3
check "MPI_Abort: who asked gets a reason" sh -c "[ $rc != 0 ] && [ $rc != 124 ] && grep -q '^ompi-checkpoint: ..' '$RUN/ckpt.err'"
job_end 60
check "MPI_Abort: the job ends with its code" [ "$RC" = 7 ]
left=0
for ((i = 0; i < 300; i++)); do
	left=0
	for p in $pids; do ! alive "$p" || left=$((left + 1)); done
	[ $left != 0 ] || break
	nap 100
done
check "MPI_Abort: nothing is left" [ $left = 0 ]
rm "$RUN/go"
restart
checkpoint
: >"$RUN/go"
job_end 60
check "MPI_Abort: what was saved before goes on, and aborts again" [ "$RC" = 7 ]
[ "$RC" = 7 ] || explain
done_testing
