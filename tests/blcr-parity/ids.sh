#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Process groups and sessions after cr_restart: as its own, as they were, or refused.
# shellcheck source=tests/resources/lib.sh
. "$(dirname "$0")/../resources/lib.sh"
need cr_run "(this project: make install)"

# group_is PID GROUP SESSION
group_is()
{
	local now
	now=$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f3,4)
	[ "$now" = "$2 $3" ] && return 0
	say "process $1 is in group and session $now, not $2 $3"
	return 1
}
read -r own_group own_session < <(sed 's/.*) //' /proc/self/stat | cut -d' ' -f3,4)

# members [OPTION...]: of cr_checkpoint
members()
{
	RUN=$WORK/member
	begin "$BIN/paths"
	saved "$@"
	resume --restore-sid --restore-pgid
	check "a group and a session of others that are there${*:+ ($*)}" order_verify
	ended
	if [ "${INSIDE:-}" = 1 ]; then
		timeout -k 5 60 setsid -w cr_restart --restore-pgid "$RUN/context" >"$RUN/rst.out" 2>"$RUN/rst.err" </dev/null
		check "the group cannot be joined by one that is not in it" grep -q "made outside of .* PID namespace" "$RUN/rst.err" || say_file "$RUN/rst.err"
	fi
}

# In a container all of that may be of somebody outside: their ids are 0
if [ "${INSIDE:-}" = 1 ]; then
	members
	members --tree
	done_testing
fi

RUN=$WORK/ids
begin setsid "$BIN/paths"
check "a program that has made a session is saved" saved
resume
check "by default it is in cr_restart's" order_verify
check "by default it is in cr_restart's group and session" group_is "$JOB" "$own_group" "$own_session"
ended
resume --restore-pgid
order_verify
check "--restore-pgid: in a group of its own" group_is "$JOB" "$JOB" "$own_session"
ended
resume --restore-pgid --restore-sid --early-stop
for ((i = 0; i < 3000; i++)); do case $(ps -o stat= -p "$JOB") in T*) break ;; esac; nap 20; done
kill -CONT "$JOB"
order_verify
check "--restore-sid: in a session of its own; --early-stop: stopped first" group_is "$JOB" "$JOB" "$JOB"
check "a tree of one is saved" save --tree --early-abrt
wait "$JOB" 2>/dev/null
resume --no-restore-pgid --no-restore-sid
order_verify
check "of a tree, --no-restore-pgid, --no-restore-sid: in cr_restart's" group_is "$(child_of "$JOB")" "$own_group" "$own_session"
ended
resume --restore-sid
order_verify
check "of a tree, --restore-sid" group_is "$(child_of "$JOB")" "$(child_of "$JOB")" "$(child_of "$JOB")"
ended
members --tree
members
cr_restart --verbose --kill "$RUN/context" >"$RUN/rst.out" 2>"$RUN/rst.err" </dev/null
check "--verbose: says which process goes on" grep -qE 'everything is there; process [0-9]+ goes on as process [0-9]+' "$RUN/rst.err"
setsid -w cr_restart --restore-sid "$RUN/context" >"$RUN/rst.out" 2>"$RUN/rst.err" </dev/null
check "a session of others that is not there is refused" grep -q "the process that made it is not in the file" "$RUN/rst.err"
exec 8>&-

# shellcheck disable=SC2046
INSIDE=1 unshare $([ "$(id -u)" = 0 ] || echo -Ur) --pid --fork --mount-proc bash "$0" >"$WORK/inside"
check "in a container, whose group and session are of somebody outside" [ $? = 0 ]
sed 's/^/# /' "$WORK/inside"
done_testing
