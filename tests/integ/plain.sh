#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs without MPI: cr_run, cr_checkpoint, cr_restart, in chains.
: "${CKPTS:=8}"
. "$(dirname "$0")/lib.sh"
MODE=plain GAP=150 LIMIT=90
need cr_run "(this project: make install)"
export STEP_WORD='a b"c' OMP_NUM_THREADS=4
want() { [ -z "${ONLY:-}" ] || [[ $1 == *$ONLY* ]]; }
run() { if want "$1"; then chain "$@"; fi; }

FILES=lines run "C, position independent" 1 "$PROGS/plain_basic" $(n 400) lines
FILES=lines run "C, at a fixed address" 1 "$PROGS/plain_basic_nopie" $(n 400) lines
run "C built by clang" 1 "$PROGS/plain_basic_clang" $(n 400)
run "C++ with exceptions and threads" 1 "$PROGS/cxx_throw" $(n 200)
run "Fortran" 1 "$PROGS/fort_plain" $(n 400)
run "OpenMP threads" 1 "$PROGS/omp_plain" $(n 400)
run "threads: mutexes, conditions, barriers, sleepers" 1 "$PROGS/threads" $(n 400)
run "python3" 1 /usr/bin/python3 "$SRC/script.py" $(n 300)
MAY_REFUSE=1 CKPTS=$((CKPTS / 2)) run "bash" 1 /bin/bash "$SRC/script.bash" $(n 700)
run "all signals blocked" 1 "$PROGS/blockall" $(n 600)
run "handlers and timers" 1 "$PROGS/timers" $(n 250)
run "a timer that runs a thread" 1 "$PROGS/timers" $(n 250) thread
run "dlopen" 1 "$PROGS/dlopener" $(n 600) "$PROGS/plugin.so"
run "a library found by RPATH" 1 "$PROGS/linked_rpath" $(n 400)
run "a library found by RUNPATH" 1 "$PROGS/linked_runpath" $(n 400)
run "alternate signal stack" 1 "$PROGS/altstack" $(n 600)
run "handlers over a clock function" 1 "$PROGS/over_clock" $(n 350)
run "pending signals" 1 "$PROGS/pending" $(n 500)
run "vector and x87 registers" 1 "$PROGS/vectors" $(n 100)
FILES='file log shared' run "pipes, dup'ed and unlinked files, shared mappings" 1 "$PROGS/descriptors" $(n 600)
run "system calls that sleep" 1 "$PROGS/syscalls" $(n 100)

# Threads that end while they are looked at are no reason against a checkpoint (an ordinary user was told that they had another identity)
if want "churn"; then
	RUN=$WORK/churn SEG=0
	mkdir -p "$RUN"
	start_job 1 "$PROGS/thread_churn" "$RUN/end"
	checkable() { for ((i = 0; i < 200; i++)); do cr_checkpoint --check "$JOB" >"$RUN/ckpt.err" 2>&1 && return 0 || nap 50; done; return 1; }
	check "churn: it can be checkpointed" checkable
	refused=0
	for ((k = 0; k < 100; k++)); do cr_checkpoint --check "$JOB" >"$RUN/ckpt.out" 2>&1 || { refused=$((refused + 1)); cp "$RUN/ckpt.out" "$RUN/ckpt.err"; }; done
	[ $refused = 0 ] || say_file "$RUN/ckpt.err" 3
	check "churn: a hundred times ($refused refused)" [ $refused = 0 ]
	: >"$RUN/end"
	job_end 60
	check "churn: it ends" [ "$RC" = 0 ]
fi

# A terminal: script(1) makes one for each run
if want "terminal"; then
	RUN=$WORK/tty
	mkdir -p "$RUN"
	"$PROGS/on_tty" 1 </dev/null >/dev/null 2>&1 # needs one: may fail here
	script -qec "$PROGS/on_tty 250" /dev/null </dev/null | tr -d '\r' >"$RUN/ref"
	: >"$RUN/pid"
	STEP_HOLD=240:$RUN/go script -qec "exec sh -c 'echo \$\$ >$RUN/pid; exec cr_run -- $PROGS/on_tty 250'" /dev/null </dev/null >"$RUN/one" &
	STARTED+=($!)
	outer=$!
	for ((i = 0; i < 1200; i++)); do grep -q '^step 30 ' "$RUN/one" && break || nap 50; done
	JOB=$(cat "$RUN/pid")
	if patiently cr_checkpoint --kill -f "$RUN/context" "$JOB" 2>"$RUN/ckpt.err"; then
		wait $outer
		: >"$RUN/go"
		script -qec "cr_restart $RUN/context" /dev/null </dev/null | tr -d '\r' >"$RUN/two"
		tr -d '\r' <"$RUN/one" >"$RUN/one.txt"
		check "terminal: goes on on another one" covered "$RUN/ref" "$RUN/one.txt" "$RUN/two"
	else
		say_file "$RUN/ckpt.err"
		not_ok "terminal: checkpoint failed"
	fi
fi

# What cannot be saved is refused with its name, and goes on
if want "refusals"; then
	RUN=$WORK/refuse N_CKPT=0 SEG=0
	mkdir -p "$RUN"
	STEP_HOLD=140:$RUN/go start_job 1 "$PROGS/socketed" 150
	until_step 5
	patiently cr_checkpoint -f "$RUN/no" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
	rc=$?
	: >"$RUN/go"
	check "refusals: an open socket is refused with a failing status" [ $rc != 0 ]
	say_file "$RUN/ckpt.err" 3
	check "refusals: the message names the descriptor and the kind" grep -qiE 'socket' "$RUN/ckpt.err"
	check "refusals: no file is left" sh -c "! ls '$RUN' | grep -q '^no'"
	job_end 60
	check "refusals: the program ends as if nothing had been asked" sh -c "[ $RC = 0 ] && tail -1 '$RUN/out.1' | grep -q '^ok'"
	cr_run -- "$PROGS/static" >"$RUN/out" 2>"$RUN/err"
	rc=$?
	if [ $rc = 0 ]; then
		check "refusals: a static program runs" grep -q '^ok' "$RUN/out"
	else
		say_file "$RUN/err" 3
		check "refusals: a static program is refused with the reason" grep -qi 'static' "$RUN/err"
	fi
	cr_run -- "$RUN/no-such-program" >"$RUN/out" 2>"$RUN/err"
	rc=$?
	check "refusals: a program that is not there gives status 127 and its name" sh -c "[ $rc = 127 ] && grep -q no-such-program '$RUN/err'"
	cr_restart "$RUN/no-such-file" >"$RUN/out" 2>"$RUN/err"
	rc=$?
	check "refusals: a context file that is not there" sh -c "[ $rc != 0 ] && grep -q no-such-file '$RUN/err'"
	cr_checkpoint -f "$RUN/no" $$ >"$RUN/out" 2>"$RUN/err"
	rc=$?
	check "refusals: a process that was not started by cr_run" sh -c "[ $rc != 0 ] && [ -s '$RUN/err' ]"
fi

# Another version of ompi-cr is installed between checkpoint and restart: its libraries in the program are those that were saved
if want "upgrade"; then
	RUN=$WORK/upgrade N_CKPT=0 SEG=0
	mkdir -p "$RUN"
	cp -r "$PREFIX/lib/ompi-cr/upper" "$RUN/upper"
	export OMPI_CR_UPPER_DIR=$RUN/upper
	STEP_HOLD=290:$RUN/go start_job 1 "$PROGS/plain_basic" 300
	until_step 10
	REF=$RUN/context
	check "upgrade: checkpoint" patiently cr_checkpoint --kill -f "$REF" "$JOB"
	job_end 60
	: >"$RUN/go"
	for f in "$RUN"/upper/*; do
		cp "$f" "$f.new" && echo >>"$f.new" && mv "$f.new" "$f"
	done
	restart
	job_end 60
	check "upgrade: restarts with other libraries of ours installed" sh -c "[ $RC = 0 ] && tail -qn 1 '$RUN'/out.* | grep -q '^ok'"
	[ "$RC" = 0 ] || say_file "$RUN/err.2"
	unset OMPI_CR_UPPER_DIR
fi

# Exit status and signals of the program come through; --term and --kill
if want "status"; then
	RUN=$WORK/status
	mkdir -p "$RUN"
	cr_run -- /bin/sh -c 'exit 7'
	check "status: exit status comes through" [ $? = 7 ]
	cr_run -- /bin/sh -c 'kill -TERM $$' 2>/dev/null
	check "status: so does death by a signal" [ $? = 143 ]
	check "status: arguments and environment are passed on" [ "$(X='1 2' cr_run -- /bin/sh -c 'echo "$X,$1,$#"' sh 'a b' '')" = '1 2,a b,2' ]
	check "status: a pipeline works" [ "$(seq 1000 | cr_run -- /bin/sh -c 'sort -n | tail -1')" = 1000 ]
	check "status: the same results as without" [ "$(cr_run -- ls -la /usr/bin | md5sum)" = "$(ls -la /usr/bin | md5sum)" ]
	N_CKPT=0 SEG=0
	STEP_HOLD=290:$RUN/go start_job 1 "$PROGS/plain_basic" 300
	until_step 50
	check "status: cr_checkpoint --term" patiently cr_checkpoint --term -f "$RUN/context" "$JOB"
	job_end 60
	: >"$RUN/go"
	check "status: the program is gone after it" [ "$RC" != 124 ]
	REF=$RUN/context
	restart
	job_end 60
	check "status: and comes back" sh -c "[ $RC = 0 ] && cat '$RUN/out.1' '$RUN/out.2' | grep -q '^ok'" # (its output was a file: that goes on)
	printf 'damage' | dd of="$RUN/context" bs=1 seek=$(($(stat -c %s "$RUN/context") / 2)) conv=notrunc 2>/dev/null
	cr_restart "$RUN/context" >"$RUN/out" 2>"$RUN/err"
	rc=$?
	say_file "$RUN/err" 2
	check "status: a damaged context file is refused" sh -c "[ $rc != 0 ] && [ -s '$RUN/err' ] && ! grep -q step '$RUN/out'"
fi
done_testing
