#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Unusual uses of system calls and signals, under checkpoints one after the other and across a restart. Each part checks itself, and first without us.
. "$(dirname "$0")/lib.sh"
MODE=plain
CKPTS=${EDGE_CKPTS:-8}
need cr_run "(this project: make install)"
want() { [ -z "${ONLY:-}" ] || [[ $1 == *$ONLY* ]]; }

# ours: until the shell that was forked for JOB has become cr_run or cr_restart; from then on a request that comes too early is answered with 75
ours()
{
	local i
	for ((i = 0; i < 3000; i++)); do
		case $(readlink "/proc/$JOB/exe") in */cr_run | */cr_restart) return ;; esac
		nap 20
	done
}

# begin PART...: sets JOB
begin()
{
	RUN=$WORK/$1 SEG=0
	mkdir -p "$RUN"
	start_job 1 "$PROGS/edges" "$@"
	ours
	[ "$1" = exec ] || until_catches "$JOB" 15
}

# save FILE [OPTION...]: again as long as the answer is "try again"; never waits longer than two minutes
save()
{
	local i rc=75 file=$1
	shift
	for ((i = 0; i < 600 && rc == 75; i++)); do
		timeout -k 5 120 cr_checkpoint --nosync -q "$@" -f "$file" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
		rc=$?
		[ $rc != 75 ] || nap 50
	done
	return $rc
}

complain()
{
	say "status ${RC:-?}"
	say_file "$RUN/ckpt.err"
	say_file "$RUN/err.$SEG"
	say_file "$RUN/out.1" 3
}

# part NAME DESCRIPTION
part()
{
	local i rc=0
	want "$1" || return
	RUN=$WORK/$1
	mkdir -p "$RUN"
	"$PROGS/edges" "$1" >"$RUN/native" 2>&1 &
	i=$!
	STARTED+=($i)
	until_catches $i 15
	nap 150
	kill -TERM $i
	wait $i
	if ! grep -qx ok "$RUN/native"; then
		say_file "$RUN/native"
		not_ok "$2: without checkpoints"
		return
	fi
	begin "$1"
	for ((i = 1; i <= CKPTS && rc == 0; i++)); do
		save "$RUN/context"
		rc=$?
	done
	if [ $rc = 0 ]; then
		kill_job
		restart "$RUN/context"
		ours
		for ((i = 1; i <= 3 && rc == 0; i++)); do
			save "$RUN/context2"
			rc=$?
		done
	fi
	if [ $rc != 0 ]; then
		RC=$rc
		complain
		not_ok "$2: a checkpoint failed"
		kill_job
		return
	fi
	kill -TERM "$JOB"
	job_end 60
	[ "$RC" = 0 ] || complain
	check "$2" [ "$RC:$(cat "$RUN/out.1")" = 0:ok ]
}

part pointers "bad addresses give EFAULT"
part eintr "calls through syscall(), select and pselect are not interrupted"
part longjmp "a handler leaves raise() by siglongjmp, the stack goes deeper"
part pages "code at the edges of a page"
part masked "waits with a mask keep vector registers and the red zone"
part pause "pause() ends by a handler alone"
part clone "a thread made by clone() on a stack of its own"

limit=$(ulimit -S -n)
ulimit -S -n 200
part fds "no descriptor is free"
ulimit -S -n "$limit"

# An epoll descriptor may be refused; what is asked for then must not disturb either
if want epoll; then
	begin epoll
	for ((i = 1; i <= CKPTS; i++)); do save "$RUN/context"; done
	kill -TERM "$JOB"
	job_end 60
	[ "$RC" = 0 ] || complain
	check "epoll_wait and epoll_pwait are not interrupted" [ "$RC:$(cat "$RUN/out.1")" = 0:ok ]
fi

# Sleeps of five seconds under checkpoints all the time: they do not begin again with each
if want sleeps; then
	begin sleeps
	n=0 from=$SECONDS
	while alive "$JOB" && [ $((SECONDS - from)) -lt 100 ]; do
		save "$RUN/context" && n=$((n + 1))
		nap 20
	done
	say "$n checkpoints, $((SECONDS - from)) s"
	job_end 1
	[ "$RC" = 0 ] || complain
	check "sleeps under checkpoints all the time come to an end" [ "$RC:$(cat "$RUN/out.1")" = 0:ok ]
	check "sleeps: there were checkpoints" [ $n -ge 1 ]
fi

# A child that shares the memory until it ends (CLONE_VM | CLONE_VFORK): refused by its name, then served
if want vfork; then
	begin vfork "$WORK/go"
	for ((i = 0; i < 600; i++)); do
		timeout -k 5 120 cr_checkpoint --nosync -q -f "$RUN/context" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
		rc=$?
		if [ $rc != 0 ] && [ $rc != 75 ]; then break; fi
		nap 50
	done
	say_file "$RUN/ckpt.err" 2
	check "vfork: a child is refused as such" sh -c "[ $rc = 1 ] && grep -q 'child process' '$RUN/ckpt.err'"
	: >"$WORK/go"
	for ((i = 0; i < 600; i++)); do
		save "$RUN/context" && break
		nap 50
	done
	check "vfork: when it has ended there is nothing against it" [ $i -lt 600 ]
	kill -TERM "$JOB"
	job_end 60
	[ "$RC" = 0 ] || complain
	check "vfork: the program goes on" [ "$RC:$(cat "$RUN/out.1")" = 0:ok ]
fi

# exec again and again: a request is served, or answered "try again", at once
if want exec; then
	begin exec 40
	served=0 again=0 other=0
	while alive "$JOB"; do
		timeout -k 5 100 cr_checkpoint --nosync -q -f "$RUN/context" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
		rc=$?
		case $rc in
		0) served=$((served + 1)) ;;
		75) again=$((again + 1)) ;;
		*)
			# it has just ended, or is doing so
			if ! grep -qE 'no process|was not started by|the process ended' "$RUN/ckpt.err"; then
				other=$((other + 1))
				say "status $rc"
				say_file "$RUN/ckpt.err"
			fi ;;
		esac
	done
	job_end 60
	say "$served served, $again answered with 75"
	[ "$RC" = 0 ] || complain
	check "exec: the program comes to its end" [ "$RC:$(cat "$RUN/out.1")" = 0:ok ]
	check "exec: every request is served or answered with 75" [ $other = 0 ]
	check "exec: no temporary file is left" [ -z "$(find "$RUN" -name '*.tmp.*')" ]
fi
# What is left behind, and what is said
if want files; then
	begin ballast
	save "$RUN/context"
	check "files: checkpoint" [ -s "$RUN/context" ]
	sum=$(cksum <"$RUN/context")
	cr_checkpoint --nosync --noclobber -f "$RUN/context" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
	rc=$?
	check "files: --noclobber refuses a file that is there" sh -c "[ $rc != 0 ] && grep -q exists '$RUN/ckpt.err'"
	# one that comes while the other is written; by chance it is there before
	raced=0
	for ((i = 0; i < 20 && raced == 0; i++)); do
		rm -f "$RUN/late"
		cr_checkpoint --nosync --noclobber -f "$RUN/late" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err" &
		p=$!
		STARTED+=($p)
		while alive $p && [ -z "$(find "$RUN" -name 'late.tmp.*')" ]; do :; done
		[ -e "$RUN/late" ] || echo mine >"$RUN/late"
		wait $p
		rc=$?
		if [ $rc != 0 ]; then raced=1; fi
	done
	say_file "$RUN/ckpt.err"
	check "files: --noclobber does not replace a file that comes meanwhile" [ "$raced:$(cat "$RUN/late" | tr -d '\0')" = 1:mine ]
	check "files: nothing is left of it" [ -z "$(find "$RUN" -name '*.tmp.*')" ]
	# the tool is interrupted
	cr_checkpoint --nosync -f "$RUN/cut" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err" &
	p=$!
	STARTED+=($p)
	while alive $p && [ -z "$(find "$RUN" -name 'cut.tmp.*')" ]; do :; done
	kill -TERM $p 2>/dev/null
	wait $p
	for ((i = 0; i < 600; i++)); do
		[ -n "$(find "$RUN" -name '*.tmp.*')" ] || break
		nap 100
	done
	check "files: nothing is left when cr_checkpoint is interrupted" [ -z "$(find "$RUN" -name '*.tmp.*')" ]
	save "$RUN/json" --json
	check "files: the time of standing still is told" grep -qE '"stopped_ns": [1-9]' "$RUN/ckpt.out"
	# the program dies
	cr_checkpoint --nosync -f "$RUN/dies" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err" &
	p=$!
	STARTED+=($p)
	while alive $p && [ -z "$(find "$RUN" -name 'dies.tmp.*')" ]; do :; done
	kill_job
	wait $p
	check "files: nothing is left when the program dies meanwhile" [ -z "$(find "$RUN" -name '*.tmp.*')" ]
	check "files: the file from before is as it was" [ "$sum" = "$(cksum <"$RUN/context")" ]
	restart "$RUN/context"
	ours
	for ((i = 0; i < 600; i++)); do
		cr_checkpoint --nosync --kill -f "$RUN/last" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
		rc=$?
		[ $rc = 75 ] || break
		nap 50
	done
	say_file "$RUN/ckpt.out"
	check "files: no time of standing still when the program is killed" sh -c "[ $rc = 0 ] && grep -q bytes '$RUN/ckpt.out' && ! grep -q stopped '$RUN/ckpt.out'"
fi
done_testing
