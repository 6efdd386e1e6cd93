#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What BLCR's SIMPLE tests proved of the options of cr_checkpoint and cr_restart: files that are stored, replaced, moved; commands that are run; process ids;
# signals afterwards. The names of the rows are BLCR's.
# shellcheck source=tests/resources/lib.sh
. "$(dirname "$0")/../resources/lib.sh"
need cr_run "(this project: make install)"

# with NAME [PROGRAM]: the program under cr_run in a directory of its own, from a copy of its file
with()
{
	RUN=$WORK/$1
	rm -rf "$WORK/exe.$1" && mkdir -p "$WORK/exe.$1" && cp "$BIN/${2:-paths}" "$WORK/exe.$1/prog"
	EXE=$WORK/exe.$1/prog
	begin "$EXE"
}

# goes_on [OPTION...]: restarted, everything is there, and it ends as it should
goes_on()
{
	resume "$@"
	order_verify && order_end || { say_file "$RUN/err"; say_file "$OUT" 3; return 1; }
}

# refused_as WORDS [OPTION...]: cr_restart fails, and says so
refused_as()
{
	local words=$1
	shift
	timeout -k 5 60 cr_restart "$@" "$RUN/context" >"$RUN/rst.out" 2>"$RUN/rst.err" </dev/null && return 1
	grep -qF -- "$words" "$RUN/rst.err" && return 0
	say_file "$RUN/rst.err"
	return 1
}

# --- content that is stored ---
spoil() { echo spoilt >"$1.new" && mv "$1.new" "$1" && rm "$1"; }

with save_exe
check "SIMPLE save_exe: saved" saved --save-exe
spoil "$EXE"
check "SIMPLE save_exe: the executable was overwritten and removed" goes_on

with save_none
check "SIMPLE save_none: saved" saved --save-all --save-none
spoil "$EXE"
check "SIMPLE save_none: the missing executable is named" refused_as "$EXE"

with save_priv
check "SIMPLE save_priv: saved" saved --save-private
spoil "$RUN/place/private"
check "SIMPLE save_priv: the privately mapped file is gone" goes_on

with save_share
check "SIMPLE save_share: saved" saved --save-shared
spoil "$RUN/place/shared"
check "SIMPLE save_share: the shared file is gone" goes_on

with save_all
check "SIMPLE save_all: saved" saved --save-all
spoil "$EXE"
spoil "$RUN/place/private"
spoil "$RUN/place/shared"
resume
check "SIMPLE save_all: everything that was mapped is gone" order_verify
check "SIMPLE save_all: saved again, without the option" saved
check "SIMPLE save_all: and restarted" goes_on

# --- is a mapped file the one that it was? ---
with changed
saved
touch "$RUN/place/private" "$EXE"
resume
check "content: a touched file is the same" order_verify
nap 1100 # a time of change that is of this second says nothing
saved
touch -r "$RUN/place/private" "$RUN/then"
printf q | dd of="$RUN/place/private" bs=1 seek=5000 conv=notrunc status=none
touch -r "$RUN/then" "$RUN/place/private"
check "content: a change that keeps size and time is noticed" refused_as place/private
printf p | dd of="$RUN/place/private" bs=1 seek=5000 conv=notrunc status=none
check "content: and so is that it was put back" goes_on
with shorter
saved
truncate -s 100 "$RUN/place/private"
check "content: another size is noticed" refused_as place/private

# --- other paths ---
with reloc_all
saved
mv "$RUN/place" "$RUN/moved"
mv "$WORK/exe.reloc_all" "$WORK/exe=moved"
check "SIMPLE reloc_all: without --relocate the missing file is named" refused_as "$WORK/exe.reloc_all"
resume --relocate "$WORK/exe.reloc_all=$WORK/exe\\=moved" --relocate "$RUN/pla=/nowhere" --relocate "$RUN/place=$RUN/moved" --relocate "$RUN/place=/nowhere"
check "SIMPLE reloc_exe, reloc_file, reloc_fifo, reloc_dir, reloc_all: all of it, whole components, the first that fits" order_verify
check "SIMPLE reloc_all: the program sees its new working directory" [ "$(readlink "/proc/$JOB/cwd")" = "$RUN/moved/cwd" ]
check "SIMPLE reloc_all: saved again, from there" saved
check "SIMPLE reloc_all: restarted from there" goes_on
check "SIMPLE reloc_all: a rule that makes no sense" refused_as relative --relocate relative=/new

# --- commands that are run ---
# hook CLASS STATUS COMMAND...: cr_restart with hooks for all classes: the right one is run, and its status is the command's
hook()
{
	local class=$1 rc
	shift
	rm -f "$RUN"/ran.*
	timeout -k 5 60 cr_restart --run-on-success "echo >'$RUN/ran.success'" --run-on-fail-args "echo >'$RUN/ran.args'; exit 42" \
		--run-on-fail-temp "echo >'$RUN/ran.temp'; exit 42" --run-on-fail-env "echo >'$RUN/ran.env'; exit 42" \
		--run-on-fail-perm "echo >'$RUN/ran.perm'; exit 42" "$@" >"$RUN/rst.out" 2>"$RUN/rst.err" </dev/null
	rc=$?
	if [ $rc = 42 ] && [ "$(echo "$RUN"/ran.*)" = "$RUN/ran.$class" ]; then return 0; fi
	say "status $rc, $(cd "$RUN" && echo ran.*)"
	say_file "$RUN/rst.err"
	return 1
}
with run_on
save
check "SIMPLE run_on: no such option" hook args --no-such-option
check "SIMPLE run_on: no file" hook args "$RUN/nothing"
check "SIMPLE run_on: /dev/null is no context file" hook perm /dev/null
if [ "$(id -u)" = 0 ]; then
	check "SIMPLE run_on: the process id is in use" hook temp --restore-pid "$RUN/context"
fi
saved
mv "$RUN/place/private" "$RUN/place/hidden"
check "SIMPLE run_on: a mapped file is missing" hook env "$RUN/context"
mv "$RUN/place/hidden" "$RUN/place/private"
cr_restart --run-on-failure 'exit 17' "$RUN/nothing" >"$RUN/rst.out" 2>&1
check "SIMPLE run_on: --run-on-failure stands for all" [ $? = 17 ]
resume --run-on-failure "echo >'$RUN/failed'" --run-on-success "echo >'$RUN/succeeded'"
check "SIMPLE run_on: it goes on" order_verify
for ((i = 0; i < 500; i++)); do [ -s "$RUN/succeeded" ] && break; nap 20; done
check "SIMPLE run_on: success" [ -s "$RUN/succeeded" -a ! -e "$RUN/failed" ]
for ((i = 0; i < 500; i++)); do [ -n "$(ps -o pid= --ppid "$JOB")" ] && nap 20 || break; done # the command ends a moment after what it writes
check "SIMPLE run_on: the program has no child by it" [ -z "$(ps -o pid= --ppid "$JOB")" ]
order_end

# --- old files ---
with clobber
ckpt() { timeout -k 5 60 cr_checkpoint -q "$@" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"; }
F=$RUN/kept/context
mkdir "$RUN/kept"
check "SIMPLE clobber: --noclobber without a file" ckpt --noclobber -f "$F"
check "SIMPLE clobber: --noclobber with one" sh -c '! "$@"' sh cr_checkpoint -q --noclobber -f "$F" "$JOB" 2>/dev/null
first=$(stat -c %i "$F")
check "SIMPLE clobber: --backup" ckpt --backup -f "$F"
check "SIMPLE clobber: the old one is NAME.~1~" [ "$(stat -c %i "$F.~1~")" = "$first" ]
second=$(stat -c %i "$F")
check "SIMPLE clobber: --backup again" ckpt --backup -f "$F"
check "SIMPLE clobber: NAME.~2~" [ "$(stat -c %i "$F.~2~")" = "$second" -a "$(stat -c %i "$F.~1~")" = "$first" ]
third=$(stat -c %i "$F")
check "SIMPLE clobber: --backup=NAME" ckpt --backup="$RUN/kept/old" -f "$F"
check "SIMPLE clobber: it has that name" [ "$(stat -c %i "$RUN/kept/old")" = "$third" ]
check "SIMPLE clobber: --clobber" ckpt --clobber -f "$F"
check "SIMPLE clobber: --atomic" ckpt --atomic --kmsg-error --ptraced-allow -f "$F"
check "SIMPLE clobber: no more than that is left" [ "$(ls "$RUN/kept" | tr '\n' ' ')" = "context context.~1~ context.~2~ old " ]
before=$(md5sum <"$F")
cr_nocr=$(timeout 60 cr_checkpoint -q -d "$RUN/nowhere" "$JOB" 2>&1) && not_ok "SIMPLE clobber: a directory that is not there"
check "SIMPLE clobber: a directory that is not there is named" grep -q nowhere <<<"$cr_nocr"
check "SIMPLE clobber: the old file is as it was" [ "$(md5sum <"$F")" = "$before" ]
check "destination: --dir" ckpt -d "$RUN/kept"
check "destination: context.PID there" [ -s "$RUN/kept/context.$JOB" ]
check "destination: --fd, a pipe" sh -c "cr_checkpoint -q -F 5 $JOB 5>&1 >/dev/null | cat >'$RUN/context'"
check "destination: two of them" sh -c "cr_checkpoint -q -d / -f x $JOB >/dev/null 2>&1; [ \$? = 2 ]"
kill_job
check "destination: what came through the pipe is restarted, by descriptor" sh -c "cr_restart --check --kmsg-none --fd 5 5<'$RUN/context' >/dev/null"
check "destination: likewise" goes_on

# --- signals afterwards ---
with signals
save --stop
for ((i = 0; i < 500; i++)); do state=$(awk '/^State:/ { print $2 }' "/proc/$JOB/status"); [ "$state" = T ] && break; nap 20; done
check "signals: --stop stops it" [ "$state" = T ]
kill -CONT "$JOB"
check "signals: it goes on" order_verify
saved
resume --stop
for ((i = 0; i < 1000; i++)); do state=$(awk '/^State:/ { print $2 }' "/proc/$JOB/status"); [ "$state" = T ] && break; nap 20; done
check "signals: cr_restart --stop" [ "$state" = T ]
kill -CONT "$JOB"
check "signals: it goes on" order_verify
kill_job
for one in term:143 kill:137 abort:134 freeze:T; do
	[ "$one" = freeze:T ] && continue
	(ulimit -c 0; timeout -k 5 60 cr_restart "--${one%:*}" "$RUN/context" </dev/null >"$RUN/rst.out" 2>&1)
	rc=$?
	check "signals: cr_restart --${one%:*}" [ "$rc" = "${one#*:}" ]
done
check "signals: --cont, --run" goes_on --signal 15 --cont

# --- another processor ---
with processor eventfd
saved
cp "$RUN/context" "$RUN/good"
"${OMPI_CR_BUILD:-$TOP/_build}/tests/unit/doctor" "$RUN/good" "$RUN/context"
check "processor: the doctored file is sound" cr_inspect --verify "$RUN/context"
check "processor: an image of one with more features is refused before anything starts" refused_as "this processor lacks features"
if ! grep -q avx512f /proc/cpuinfo; then
	check "processor: AVX-512 is named" refused_as "avx512f"
else
	check "processor: what is missing is named" grep -q 'CPUID.7.EBX' "$RUN/rst.err"
fi
cp "$RUN/good" "$RUN/context"
check "processor: the undoctored one goes on" goes_on

# --- process ids ---
with pids eventfd
save
old=$JOB
# Its standard output is the file that it had
check "SEQ pid_in_use: --no-restore-pid beside the living process" sh -c "echo verify | cr_restart --no-restore-pid '$RUN/context' >/dev/null; grep -qx verified '$OUT'"
if [ "$(id -u)" = 0 ]; then
	check "SEQ pid_in_use: --restore-pid names the process that has it" refused_as prog --restore-pid
	kill_job
	resume --restore-pid
	check "SEQ pid_restore: it goes on" order_verify
	check "SEQ pid_restore: under its old process id, with cr_restart as its parent" [ "$(ps -o ppid= -p "$old" | tr -d ' ')" = "$JOB" ]
	check "SEQ pid_restore: saved under it" cr_checkpoint -q -f "$RUN/context.2" "$old"
	kill -TERM "$JOB"
	job_end 60
	check "SEQ pid_restore: a signal is passed on, and the status is the program's" [ "$RC" = 143 ]
	check "SEQ pid_restore: both are gone" [ ! -e "/proc/$old" ]
	resume --restore-pid
	check "SEQ pid_restore: again" order_verify
	check "SEQ pid_restore: it ends with its own status" order_end
fi

check "SIMPLE pid_restore: --omit-never is refused, --omit-always taken" sh -c "cr_restart --omit-never x 2>&1 | grep -q 'no state that could be saved' && cr_restart --omit-always --check '$RUN/context' >/dev/null"

# --- left out ---
RUN=$WORK/omit
mkdir -p "$RUN"
# omitted ARGUMENTS-OF-CR_RUN...: as JOB, which is where cr_checkpoint finds it
omitted()
{
	cr_run "$@" sleep 1000 >/dev/null 2>"$RUN/err" </dev/null &
	JOB=$! STARTED+=($!)
	for ((i = 0; i < 600; i++)); do
		cr_checkpoint --check "$JOB" >/dev/null 2>&1 && return 0
		nap 50
	done
	return 1
}
status_of() { "$@" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"; RC=$?; }
omitted --omit
status_of cr_checkpoint --term -f "$RUN/context" "$JOB"
check "SIMPLE cr_omit: nobody is left, status 3" [ $RC = 3 ]
check "SIMPLE cr_omit: no file is left, --term did not reach it" [ ! -e "$RUN/context" -a -d "/proc/$JOB" ]
status_of cr_checkpoint --tree -f "$RUN/context" "$JOB"
check "SIMPLE cr_omit: the root of a tree: nobody is left, status 3, by its name" sh -c "[ $RC = 3 -a ! -e '$RUN/context' ] && grep -q 'is the root of the set' '$RUN/ckpt.err'"
ended
# A group: who was asked would lead the others; asked through another one, the first is left out
grouped() { perl -e 'setpgrp(0, shift); exec @ARGV' "$@" >/dev/null 2>"$RUN/err" </dev/null & }
grouped 0 cr_run --omit sleep 1000
first=$!
for ((i = 0; i < 600; i++)); do cr_checkpoint --check "$first" >/dev/null 2>&1 && break; nap 50; done
grouped "$first" cr_run sleep 1000
JOB=$! STARTED+=($first $!)
for ((i = 0; i < 600; i++)); do cr_checkpoint --check "$JOB" >/dev/null 2>&1 && break; nap 50; done
status_of cr_checkpoint --pgid -f "$RUN/context" "$first"
check "SIMPLE cr_omit: one of a group that is asked and leaves itself out: status 3, by its name" sh -c "[ $RC = 3 -a ! -e '$RUN/context' ] && grep -q 'ask for another process of that group' '$RUN/ckpt.err'"
cr_checkpoint --check --pgid "$JOB" >"$RUN/check"
check "SIMPLE cr_omit: --check --pgid names who is left out" sh -c "grep -qx '$first (sleep): is left out' '$RUN/check' && grep -qx '$JOB (sleep): can be checkpointed' '$RUN/check'"
check "SIMPLE cr_omit: asked through another one it is left out" cr_checkpoint -q --pgid --kill -f "$RUN/context" "$JOB"
wait "$JOB" 2>/dev/null
check "SIMPLE cr_omit: ... and runs on" kill "$first"
rm -f "$RUN/context"
omitted --run --omit --run --
check "SIMPLE cr_targ2: the later of --run and --omit counts" cr_checkpoint -q --kill -f "$RUN/context" "$JOB"
wait "$JOB" 2>/dev/null
# A tree without one of its members; cr_run and cr_restart, executed by what is protected itself
cat >"$RUN/parent" <<-'SHELL'
	cr_run --omit sleep 1000 &
	echo "$!" >left
	until [ -e go ]; do cr_run --run sleep 0.05; done
	kill "$!"
	wait "$!"
	echo "status $?"
SHELL
(cd "$RUN" && exec cr_run sh ./parent) >"$RUN/out" 2>"$RUN/err" </dev/null &
JOB=$! STARTED+=($!)
for ((i = 0; i < 600; i++)); do [ -s "$RUN/left" ] && break; nap 50; done
# Until it is that program, and answers: before, it is a copy of the shell, and saved like that
for ((i = 0; i < 600; i++)); do [ "$(ps -o comm= -p "$(cat "$RUN/left")")" = sleep ] && cr_checkpoint --check "$(cat "$RUN/left")" >/dev/null 2>&1 && break; nap 50; done
check "SIMPLE cr_omit: the rest of a tree is saved" cr_checkpoint -q --tree --kill -f "$RUN/context" "$JOB"
wait "$JOB" 2>/dev/null
check "SIMPLE cr_omit: who was left out has not noticed" kill "$(cat "$RUN/left")"
touch "$RUN/go"
echo 'cr_restart context; echo "then $?"' >"$RUN/again"
(cd "$RUN" && cr_run sh ./again) >>"$RUN/out" 2>>"$RUN/err" </dev/null
check "SIMPLE cr_omit: restarted by a protected script; its parent learns that it was killed" [ "$(tr '\n' ' ' <"$RUN/out")" = "status 137 then 0 " ]

# --- who is traced, who traces ---
cat >"$WORK/trace.py" <<-'PYTHON'
	import ctypes, signal, sys
	if ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0):
	    sys.exit(1)
	signal.pause()
PYTHON
# until_traced PID: by whom
until_traced()
{
	local i
	for ((i = 0; i < 3000; i++)); do
		TRACER=$(sed -n 's/^TracerPid:[[:space:]]*//p' "/proc/$1/status")
		[ "$TRACER" != 0 ] && return 0
		alive "$2" || return 1
		nap 20
	done
	return 1
}
RUN=$WORK/traced
begin sh -c 'sleep 1000 & exec "$0"' "$BIN/paths"
sleeper=$(child_of "$JOB")
cr_run -- /usr/bin/python3 "$WORK/trace.py" "$sleeper" >"$RUN/tracer" 2>&1 &
tracer=$!
STARTED+=("$tracer" "$sleeper")
if until_traced "$sleeper" "$tracer"; then
	cr_checkpoint --ptraced-error -f "$RUN/no" "$sleeper" 2>"$RUN/no.err"
	check "ptrace: --ptraced-error: status 56, with words" sh -c "[ $? = 56 ] && grep -q 'is traced by process $tracer' '$RUN/no.err'"
	cr_checkpoint --ptraced-skip -f "$RUN/no" "$sleeper" 2>"$RUN/no.err"
	check "ptrace: --ptraced-skip: nobody is left, status 3" [ $? = 3 ]
	cr_checkpoint --ptracer-error -f "$RUN/no" "$tracer" 2>"$RUN/no.err"
	check "ptrace: --ptracer-error: status 57, with words" sh -c "[ $? = 57 ] && grep -q 'traces process $sleeper' '$RUN/no.err'"
	check "ptrace: --tree --ptraced-error" sh -c "cr_checkpoint --tree --ptraced-error -f '$RUN/no' $JOB 2>'$RUN/no.err'; [ \$? = 56 ]"
	check "ptrace: no file is left" [ ! -e "$RUN/no" ]
	check "ptrace: --tree --ptraced-skip: saved without the one that is traced" save --tree --ptraced-skip --ptracer-skip --kill
	wait "$JOB" 2>/dev/null
	kill -KILL "$tracer" "$sleeper"
	resume
	check "ptrace: and restarted without it" order_verify
	check "ptrace: its parent finds that it was killed" [ "$(ps -o stat= --ppid "$(child_of "$JOB")" | cut -c1)" = Z ]
	ended
else
	skip "ptrace" "$(cat "$RUN/tracer") (ptrace is not permitted here)"
fi
done_testing
