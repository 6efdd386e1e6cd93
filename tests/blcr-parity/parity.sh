#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# BLCR's test suite, row by row: what each of its tests proved holds here. The table names suite, row, how it is run, program and part.
#   once   under cr_run: status 0
#   life   under cr_run, which saves itself: status 0; then cr_restart of what it saved: status 0
. "$(dirname "$0")/../integ/lib.sh"
need cr_run "(this project: make install)"
BIN=${OMPI_CR_BUILD:-$TOP/_build}/tests/blcr-parity/progs
LATE=120

table='
SIMPLE atomics              life state   atomics
SIMPLE bug2524              life state   bug2524
SIMPLE bug2003              life state   bug2003
SEQ    stage0001            once seq     stage0001
SEQ    stage0002            once seq     stage0002
SEQ    stage0004            once seq     stage0004
SEQ    critical_sections    once seq     critical_sections
SEQ    replace_cb           once seq     replace_cb
SEQ    failed_cb            once seq     failed_cb
SEQ    failed_cb2           once seq     failed_cb2
SEQ    cs_enter_leave       once seq     cs_enter_leave
SEQ    cs_enter_leave2      once seq     cs_enter_leave2
SEQ    cr_tryenter_cs       once seq     cr_tryenter_cs
SEQ    edeadlk              once seq     edeadlk
SEQ    testcxx              life testcxx -
CRUT   simple               life life    simple
CRUT   simple_pthread       life state   simple_pthread
CRUT   cwd                  life state   cwd
CRUT   dup                  life state   dup
CRUT   filedescriptors      life state   filedescriptors
CRUT   pipe                 life state   pipe
CRUT   dpipe                life state   dpipe
CRUT   named_fifo           life state   named_fifo
CRUT   linked_fifo          life state   linked_fifo
CRUT   cloexec              life state   cloexec
CRUT   get_info             life life    get_info
CRUT   overlap              life life    overlap
CRUT   mmaps                life state   mmaps
CRUT   readdir              life state   readdir
CRUT   dev_null             life state   dev_null
CRUT   cr_signal            life state   cr_signal
CRUT   sigpending           life state   sigpending
CRUT   hooks                life life    hooks
CRUT   math                 life state   math
CRUT   sigaltstack          life state   sigaltstack
CRUT   prctl                life state   prctl
CRUT   lam                  life life    lam
API    stack_thread         life life    stack_thread
API    stack_signal         life life    stack_signal
API    request_fd           life life    by_fd
'

# once NAME PROGRAM [ARGUMENT...]: in a directory of its own
once()
{
	RUN=$WORK/$1
	mkdir -p "$RUN"
	(cd "$RUN" && exec timeout -k 5 $LATE cr_run -- "${@:2}") >"$RUN/out" 2>"$RUN/err" </dev/null
	RC=$?
	[ $RC = 0 ] || say_file "$RUN/err"
	return $RC
}

# again: cr_restart of what once() saved
again()
{
	(cd / && exec timeout -k 5 $LATE cr_restart "$RUN/context") >"$RUN/out.2" 2>"$RUN/err.2" </dev/null
	RC=$?
	[ $RC = 0 ] || { say "restart: status $RC"; say_file "$RUN/err"; say_file "$RUN/err.2"; }
	return $RC
}

life() { once "$@" && again; }

while read -r suite row how program part; do
	[ -n "$suite" ] || continue
	if [ "$part" = - ]; then part=; fi
	# shellcheck disable=SC2086
	check "$suite $row" "$how" "$row" "$BIN/$program" $part
done <<<"$table"

# SIMPLE cr_run, cr_targ, dlopen: what is not one program
check "SIMPLE cr_run" [ "$(cr_run -- /bin/echo hello)" = hello ]

# started DIR PART...: phases PART in the background in DIR, until it is ready; sets JOB
started()
{
	RUN=$WORK/$1
	mkdir -p "$RUN"
	(cd "$RUN" && exec cr_run -- "$BIN/phases" "$2") >"$RUN/out" 2>"$RUN/err" </dev/null &
	JOB=$! STARTED+=($!)
	for ((i = 0; i < 1200; i++)); do
		[ -e "$RUN/ready" ] && return 0
		alive "$JOB" || return 1
		nap 50
	done
	return 1
}

started targ idle
check "SIMPLE cr_targ: any program under cr_run" sh -c "cr_checkpoint -q -f '$RUN/context' $JOB && [ -e '$RUN/called' ]"
check "SIMPLE cr_targ: again, over the same file" cr_checkpoint -q -f "$RUN/context" "$JOB"
touch "$RUN/end"
job_end 60
check "SIMPLE cr_targ: the program ends as it would have" [ "$RC" = 0 ]

check "SIMPLE dlopen: alone" "$BIN/dlopen" "$PREFIX/lib/libcr.so"
check "SIMPLE dlopen: under cr_run" life dlopen_path "$BIN/dlopen" "$PREFIX/lib/libcr.so"
check "SIMPLE dlopen: under cr_run, by its name" life dlopen_name "$BIN/dlopen" libcr.so

# SEQ cb_exit: a callback that ends the program: the request fails in time, and the status is the program's own
while read -r part status; do
	[ -n "$part" ] || continue
	started "$part" "$part"
	timeout -k 5 $LATE cr_checkpoint -q -f "$RUN/context" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
	rc=$?
	job_end 60
	if [ $rc = 0 ] || [ $rc = 124 ] || [ "$RC" != "$status" ] || [ -e "$RUN/context" ]; then
		say "cr_checkpoint: $rc, program: $RC"
		say_file "$RUN/ckpt.err"
		not_ok "SEQ cb_exit: $part"
	else
		ok "SEQ cb_exit: $part"
	fi
done <<<'
exits_thread 3
exits_signal 3
crashes_thread 139
crashes_signal 139
execs_thread 5
execs_signal 5
'
done_testing
