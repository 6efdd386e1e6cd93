#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Process trees: saved in one request with cr_checkpoint --tree, restarted with their ids, groups, sessions, pipes, shared memory, children that ended.
. "$(dirname "$0")/lib.sh"
MODE=plain GAP=120 LIMIT=150 CKPTS=${TREE_CKPTS:-5} CKPT_ARGS=--tree
need cr_run "(this project: make install)"
want() { [ -z "${ONLY:-}" ] || [[ $1 == *$ONLY* ]]; }
run() { if want "$1"; then chain "$@"; fi; }
# As a user to whom the kernel does not give the old ids
translated() { local RESTART_WITH="${AS_USER:-}"; run "$@"; }
[ "$(id -u)" != 0 ] || AS_USER="setpriv --bounding-set=-sys_admin,-checkpoint_restore"

run "C: ids, groups, sessions, locks in shared memory, statuses" 1 "$PROGS/family" $(n 220)
translated "C: the same, with other ids below" 1 "$PROGS/family" $(n 220)
run "bash: jobs, pipelines, a co-process, wait" 1 /bin/bash "$SRC/tree_jobs.bash" $(n 24)
translated "bash: the same, with other ids below" 1 /bin/bash "$SRC/tree_jobs.bash" $(n 24)
translated "perl: fork, sockets, zombies" 1 /usr/bin/perl "$SRC/tree_fork.pl" $(n 60)
run "python3: descriptors under way, a memfd that two share" 1 /usr/bin/python3 "$SRC/tree_passed.py" $(n 60)
translated "python3: the same over a stream, with other ids below" 1 /usr/bin/python3 "$SRC/tree_passed.py" $(n 60) stream

# The one who asks is in its own set
if want "itself"; then
	RUN=$WORK/itself
	mkdir -p "$RUN"
	# shellcheck disable=SC2016
	(cd "$RUN" && exec cr_run -- /bin/bash -c 'cr_checkpoint -q --tree -f context $$ || exit 9; echo "asked, status $?"; /bin/sleep 0.2 & wait $!; echo "end $?"; exit 6') \
		>"$RUN/out" 2>"$RUN/err" </dev/null
	rc=$?
	say_file "$RUN/err"
	check "itself: a script saves its own tree and goes on" sh -c "[ $rc = 6 ] && grep -q 'asked, status 0' '$RUN/out' && grep -q 'end 0' '$RUN/out'"
	cp "$RUN/out" "$RUN/out1"
	: >"$RUN/out" # the program goes on in its own file
	$AS_USER cr_restart "$RUN/context" >"$RUN/out2" 2>"$RUN/err2" </dev/null
	rc=$?
	say_file "$RUN/err2"
	check "itself: restarted it goes on behind the request, and cr_restart ends as it does" sh -c "[ $rc = 6 ] && cmp -s '$RUN/out' '$RUN/out1'"
fi

# until_there FILE WORD: it is in there
until_there() { local i; for ((i = 0; i < 600; i++)); do if grep -q "$2" "$1" 2>/dev/null; then return 0; fi; nap 50; done; return 1; }

# A request that comes while there is no child: there may be one a moment later, when all stand still
if want "children"; then
	RUN=$WORK/children failed=0
	mkdir -p "$RUN"
	(cd "$RUN" && exec cr_run -- /bin/bash -c 'until [ -e stop ]; do /bin/sleep 0.01; for ((i = 0; i < 2000; i++)); do :; done; done; echo ok') >"$RUN/out" 2>"$RUN/err" </dev/null &
	JOB=$! STARTED+=($!)
	until_catches "$JOB" 31
	for ((try = 0; try < 40; try++)); do
		patiently cr_checkpoint -q --tree --nosync -f "$RUN/context" "$JOB" >"$RUN/ckpt" 2>&1 || { failed=$((failed + 1)); say_file "$RUN/ckpt" 2; }
	done
	check "children that come and go: forty requests" [ $failed = 0 ]
	touch "$RUN/stop"
	wait "$JOB"
	check "children that come and go: the program ends as it should" grep -q ok "$RUN/out"
fi

# cr_restart passes signals on, and dies by the root's
if want "signals"; then
	RUN=$WORK/signals
	mkdir -p "$RUN"
	# shellcheck disable=SC2016
	(cd "$RUN" && exec cr_run -- /bin/bash -c 'trap "echo got it; kill -KILL \$\$" USR1; echo ready; while :; do /bin/sleep 0.05; done') >"$RUN/out" 2>"$RUN/err" </dev/null &
	JOB=$! STARTED+=($!)
	until_there "$RUN/out" ready
	patiently cr_checkpoint --tree --kill -f "$RUN/context" "$JOB" >"$RUN/ckpt" 2>&1
	rc=$?
	[ $rc = 0 ] || kill_job
	wait "$JOB" 2>/dev/null
	say_file "$RUN/ckpt" 3
	check "signals: saved and killed" [ $rc = 0 ]
	cr_restart "$RUN/context" >"$RUN/out2" 2>"$RUN/err2" </dev/null &
	JOB=$! STARTED+=($!)
	for ((i = 0; i < 600; i++)); do
		if grep -q 'got it' "$RUN/out" || ! alive "$JOB"; then break; fi
		if [ -n "$(descendants "$JOB")" ]; then kill -USR1 "$JOB" 2>/dev/null; fi
		nap 50
	done
	wait "$JOB" 2>/dev/null
	rc=$?
	say_file "$RUN/err2"
	check "signals: cr_restart passes one on, and dies by the root's" sh -c "[ $rc = 137 ] && grep -q 'got it' '$RUN/out'"
fi

# answered PATTERN FILE OPTION...: asks until the answer is another one than "try again", or says this; status in rc
answered()
{
	local try pattern=$1 file=$2
	shift 2
	for ((try = 0; try < 300; try++)); do
		cr_checkpoint "$@" >"$file" 2>&1
		rc=$?
		if [ $rc != 75 ] || grep -q "$pattern" "$file"; then break; fi
		nap 100
	done
}

# refused NAME PATTERN SCRIPT: a script that says "ready" while it is not to be saved, and ends when the file "go" comes
refused()
{
	local rc
	RUN=$WORK/refused
	rm -rf "$RUN"
	mkdir -p "$RUN"
	(cd "$RUN" && exec cr_run -- /bin/bash -c "$3"'; until [ -e go ]; do /bin/sleep 0.05; done; wait; echo ok') >"$RUN/out" 2>"$RUN/err" </dev/null &
	JOB=$! STARTED+=($!)
	until_there "$RUN/out" ready
	answered "$2" "$RUN/ckpt" --tree -f "$RUN/no" "$JOB"
	say_file "$RUN/ckpt" 2
	check "refused: $1: by its name" sh -c "[ $rc != 0 ] && grep -q '$2' '$RUN/ckpt'"
	check "refused: $1: no file is left" sh -c "! ls -A '$RUN' | grep -q '^no'"
	touch "$RUN/go"
	wait "$JOB"
	check "refused: $1: everything goes on" grep -q ok "$RUN/out"
}
if want "refused"; then
	# shellcheck disable=SC2016
	refused "a process that is stopped" "is stopped" '/bin/sleep 1000 & p=$!; kill -STOP $p; while [ "$(ps -o state= -p $p)" != T ]; do :; done; echo ready; (until [ -e go ]; do sleep 0.05; done; kill -KILL $p)'
	refused "a session without its leader" "whose leader has ended" "/usr/bin/python3 '$SRC/tree_refused.py' session & :"
	refused "an epoll that two processes hold" "which several processes share" "/usr/bin/python3 '$SRC/tree_refused.py' epoll & :"
	refused "signals about a shared pipe to a group" "to none of those that have it" "/usr/bin/python3 '$SRC/tree_refused.py' owner & :"
	refused "a memfd that a process maps, on its way to another" "under way to another" "/usr/bin/python3 '$SRC/tree_refused.py' memfd & :"
	refused "a static program" "was not started by cr_run" "'$PROGS/static' go & echo ready"
fi

# --check of a set: nobody stands still, each answers for itself
if want "check"; then
	RUN=$WORK/check
	mkdir -p "$RUN"
	# shellcheck disable=SC2016
	(cd "$RUN" && exec cr_run -- /bin/bash -c 'exec 5< <(exec /bin/sleep 1000); /bin/sleep 1000 & p=$!; echo "$p" >below; echo ready; until [ -e go ]; do read -rt 0.05 <&5; done; kill $p; kill $!; echo ok') >"$RUN/out" 2>"$RUN/err" </dev/null &
	JOB=$! STARTED+=($!)
	until_there "$RUN/out" ready
	answered "can be" "$RUN/check" --check --tree "$JOB"
	say_file "$RUN/check"
	check "check: a tree with a pipe: every process can be saved" sh -c "[ $rc = 0 ] && [ \$(grep -c 'can be checkpointed' '$RUN/check') = 3 ] && grep -q '^$JOB (bash): can' '$RUN/check'"
	kill -STOP "$(cat "$RUN/below")"
	until [ "$(ps -o state= -p "$(cat "$RUN/below")")" = T ]; do nap 20; done
	answered "is stopped" "$RUN/check" --check --tree "$JOB"
	check "check: one that is stopped is named, the others can" sh -c "grep -q '^$(cat "$RUN/below") (sleep): cannot' '$RUN/check' && grep -q 'is stopped' '$RUN/check' && grep -q '^$JOB (bash): can be' '$RUN/check' && [ $rc = 1 ]"
	answered "is stopped" "$RUN/check" --check --tree --json "$JOB"
	say_file "$RUN/check"
	check "check: the same as JSON" python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); p = a["processes"]; ok = [x for x in p if x["checkpointable"]]
assert a["pid"] == int(sys.argv[2]) and not a["checkpointable"] and len(p) == 3 and len(ok) == 2 and any("is stopped" in r for x in p for r in x["reasons"])' "$RUN/check" "$JOB"
	kill -CONT "$(cat "$RUN/below")"
	touch "$RUN/go"
	wait "$JOB"
	check "check: everything goes on" grep -q ok "$RUN/out"
fi

# scope_begin NAME [ARGUMENT]: tree_scope.bash in a session of its own, which holds nobody else
scope_begin()
{
	RUN=$WORK/scope.$1
	mkdir -p "$RUN"
	(cd "$RUN" && exec setsid cr_run -- /bin/bash "$SRC/tree_scope.bash" ${2:+"$2"}) >"$RUN/out" 2>"$RUN/err" </dev/null &
	JOB=$! STARTED+=($!)
	until_there "$RUN/out" ready
}

# scope NAME OPTION [ARGUMENT]: saved with OPTION, killed, restarted: the script finds its job, and its status
scope()
{
	local rc
	scope_begin "$1" ${3:+"$3"}
	patiently cr_checkpoint "$2" --kill -f "$RUN/context" "$JOB" >"$RUN/ckpt" 2>&1
	rc=$?
	[ $rc = 0 ] || kill_job
	wait "$JOB" 2>/dev/null
	say_file "$RUN/ckpt" 3
	check "$2: saved and killed" [ $rc = 0 ]
	touch "$RUN/go"
	timeout -k 5 120 cr_restart "$RUN/context" >"$RUN/out2" 2>"$RUN/err2" </dev/null
	rc=$?
	say_file "$RUN/err2"
	check "$2: restarted, it waits for its job" sh -c "[ $rc = 0 ] && grep -qx 'end 7' '$RUN/out'"
}
if want "scope"; then
	scope group --pgid
	scope session --session apart
	scope_begin part apart
	answered 'child process' "$RUN/ckpt" --pgid -f "$RUN/no" "$JOB"
	say_file "$RUN/ckpt" 2
	check "--pgid: a child in another group is no part of it, and named" sh -c "[ $rc != 0 ] && grep -q 'child process' '$RUN/ckpt'"
	check "--pgid: no file is left" [ ! -e "$RUN/no" ]
	touch "$RUN/go"
	wait "$JOB"
	check "--pgid: it goes on" grep -qx 'end 7' "$RUN/out"
fi

done_testing
