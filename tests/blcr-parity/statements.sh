#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the founding documents of BLCR and Linux-CR state about callbacks, phases and checkpointability, as far as one process is concerned.
. "$(dirname "$0")/../integ/lib.sh"
need cr_run "(this project: make install)"
BIN=${OMPI_CR_BUILD:-$TOP/_build}/tests/blcr-parity/progs
LATE=120

once()
{
	RUN=$WORK/$1-$2
	mkdir -p "$RUN"
	(cd "$RUN" && exec timeout -k 5 $LATE cr_run -- "$BIN/$1" "$2") >"$RUN/out" 2>"$RUN/err" </dev/null
	RC=$?
	[ $RC = 0 ] || say_file "$RUN/err"
	return $RC
}

life()
{
	once "$@" || return
	(cd / && exec timeout -k 5 $LATE cr_restart "$RUN/context") >"$RUN/out.2" 2>"$RUN/err.2" </dev/null
	RC=$?
	[ $RC = 0 ] || { say "restart: status $RC"; say_file "$RUN/err.2"; }
	return $RC
}

# started DIR PROGRAM PART; sets JOB
started()
{
	RUN=$WORK/$1
	mkdir -p "$RUN"
	(cd "$RUN" && exec cr_run -- "$BIN/$2" "$3") >"$RUN/out" 2>"$RUN/err" </dev/null &
	JOB=$! STARTED+=($!)
	for ((i = 0; i < 1200; i++)); do
		[ -e "$RUN/ready" ] && return 0
		alive "$JOB" || return 1
		nap 50
	done
	return 1
}

check "callbacks: a program that blocks all signals takes part" once phases blocked
check "callbacks: threads with callbacks, with libcr, and without either all take part, in both lives" life life kinds
check "callbacks: run as a stack before anything is saved" life life stack_thread
check "callbacks: may close what cannot be saved, and open it again (thread context)" life life closing_thread
check "callbacks: the same in signal context" life life closing_signal
check "callbacks: a request does not survive its requester's restart" life life stale

check "phases: thread context is over before any other thread is stopped and before signal context begins" once phases order
check "phases: without thread context all threads at once" once phases blocked
check "phases: the first registration makes the thread, which sleeps until a checkpoint" once phases makes_thread
check "phases: that thread is saved, and its callback continues in it" life life thread_saved
check "phases: a callback that hangs in thread context is named, the program goes on" once phases late_thread
check "phases: the same in signal context" once phases late_signal
check "phases: a critical section that is not left is named, the program goes on" once phases late_section

started out phases idle
other=$JOB other_run=$RUN
started in phases idle
check "phases: one of two processes is saved" cr_checkpoint -q -f "$RUN/context" "$JOB"
check "phases: its callback ran" [ -e "$RUN/called" ]
check "phases: the other's did not" [ ! -e "$other_run/called" ]
touch "$RUN/end" "$other_run/end"
job_end 60
check "phases: both end" [ "$RC" = 0 ]
JOB=$other
job_end 60

check "checkpointable: asked at any time, marked and unmarked with reasons, refused with them" once nocr inside
check "checkpointable: marks cost nothing elsewhere" once nocr free
check "checkpointable: without cr_run every call says so" "$BIN/nocr" without
started third nocr target
check "checkpointable: another program asks and marks" "$BIN/nocr" "$JOB"
cr_checkpoint --check "$JOB" >"$RUN/check" 2>&1
check "checkpointable: cr_checkpoint --check tells the reason" grep -q 'a third party says so' "$RUN/check"
cr_checkpoint -f "$RUN/context" "$JOB" >"$RUN/ckpt" 2>&1
rc=$?
check "checkpointable: so does a refused checkpoint, which leaves no file" sh -c "[ $rc != 0 ] && grep -q 'a third party says so' '$RUN/ckpt' && [ ! -e '$RUN/context' ]"
touch "$RUN/end"
job_end 60
check "checkpointable: the program went on all the time" [ "$RC" = 0 ]
done_testing
