#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-cr-hook, called with the words that each scheduler's documentation gives, as root where the scheduler does, against a real job of an ordinary user:
# saved and runs on, saved and ended without another line of its script, brought back by the scheduler's restart command, same result.
. "$(dirname "$0")/lib.sh"
RUN=$WORK/run
HOOK=$PREFIX/bin/ompi-cr-hook
prog=${HOOK_PROGRAM:-$PROGS/mpi_inflight $(n 60)}
mkdir -p "$RUN"
root=no user=$(id -un) group=$(id -gn)
# The job's user is another one when we are root and he can reach what is needed
if [ "$(id -u)" = 0 ]; then
	root=yes
	chmod 755 "$WORK"
	if setpriv --reuid=nobody --regid=nogroup --clear-groups test -x "$HOOK"; then user=nobody group=nogroup; fi
fi
as() { if [ "$user" = "$(id -un)" ]; then "$@"; else setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$WORK/home" USER=nobody LOGNAME=nobody XDG_RUNTIME_DIR= "$@"; fi; }
mkdir -p "$WORK/home" "$WORK/spool" "$WORK/registry" "$WORK/roots"
chmod 700 "$WORK/registry" "$WORK/roots"
chown -R "$user" "$WORK/home" "$WORK/spool" "$RUN" "$OMPI_CR_SNAPSHOT_DIR" "$WORK/registry"
export OMPI_CR_REGISTRY_DIR=$WORK/registry
MODE=plain
# shellcheck disable=SC2086
reference 1 "$MPIRUN" -np 2 $prog || not_ok "the uninterrupted run failed"

# begin NAME: a batch job: a shell in a session of its own; SID, output in $RUN/NAME.out
begin()
{
	name=$1
	cat >"$RUN/$name.sh" <<-EOF
		cd $(printf %q "$RUN")
		$MPIRUN -am ft-enable-cr -np 2 $prog
		echo the script went on
	EOF
	# it does not end before its scheduler has brought it back
	rm -f "$RUN/$name.back"
	: >"$RUN/$name.out"
	: >"$RUN/$name.err"
	chown "$user" "$RUN/$name.out" "$RUN/$name.err"
	# shellcheck disable=SC2016
	STEP_HOLD=-3:$RUN/$name.back as setsid --wait bash "$RUN/$name.sh" >"$RUN/$name.out" 2>"$RUN/$name.err" </dev/null &
	JOB=$! STARTED+=($!)
	await_lines "$RUN/$name.out" 4
	SID=$(ps -eo pid=,args= | awk -v s="$RUN/$name.sh" '$2 == "bash" && $3 == s { print $1 }')
}
await_lines()
{
	local i
	for ((i = 0; i < 1200; i++)); do
		[ "$(wc -l <"$1")" -ge "$2" ] && return 0
		alive "$JOB" || return 1
		nap 50
	done
	return 1
}
# hook NAME WORD...: its status in RC, words in $RUN/hook.err. A job that is not far enough is asked again.
hook()
{
	local try
	for ((try = 0; try < 200; try++)); do
		"$HOOK" "$@" >"$RUN/hook.out" 2>"$RUN/hook.err" </dev/null
		RC=$?
		[ $RC = 1 ] && grep -q 'try again\|not there yet\|no rank of the job\|a checkpoint is running' "$RUN/hook.err" || return $RC
		nap 100
	done
	return 1
}
more() { await_lines "$RUN/$name.out" $(($(wc -l <"$RUN/$name.out") + 4)); }
gone()
{
	local i
	for ((i = 0; i < 600; i++)); do
		[ -z "$(ps -o pid= -s "$SID")" ] && return 0
		nap 50
	done
	ps -o pid,args -s "$SID" | sed 's/^/# /'
	return 1
}
# back NAME WORD...: the scheduler starts the restart command in a new session, its output nobody's
back()
{
	: >"$RUN/$name.back"
	setsid --wait "$HOOK" "$@" >/dev/null 2>"$RUN/back.err" </dev/null &
	JOB=$! STARTED+=($!)
	wait "$JOB"
}
result() { cmp -s "$WORK/ref/out" "$RUN/$name.out" || { diff "$WORK/ref/out" "$RUN/$name.out" | head -5 | sed 's/^/# /'; false; }; }
tell() { [ $N_FAILED = "${told:-0}" ] || for f in "$RUN/hook.err" "$RUN/back.err" "$RUN/$name.err"; do say_file "$f"; done; told=$N_FAILED; }

# --- Torque: as root, the user and his group are told; the directory is the user's
mkdir "$WORK/spool/12.CK" && chown "$user" "$WORK/spool/12.CK"
begin torque
check "torque-checkpoint, signal 0: saved" hook torque-checkpoint "$SID" 12.head "$user" "$group" "$WORK/spool/12.CK" ckpt.12.1 0 0
check "torque-checkpoint, signal 0: the job goes on" more
check "torque-checkpoint: the reference is the user's alone" [ "$(stat -c '%U %a' "$WORK/spool/12.CK/ckpt.12.1")" = "$user 600" ]
check "torque-checkpoint: no words" [ ! -s "$RUN/hook.err" ]
check "torque-checkpoint, signal 15: saved" hook --verbose torque-checkpoint "$SID" 12.head "$user" "$group" "$WORK/spool/12.CK" ckpt.12.2 15 0
check "torque-checkpoint, --verbose: what is saved, and where" sh -c 'for w in "process $2: mpirun [0-9]* is the job.s" "is saved as .*ckpt, sequence [0-9]" "the reference is in $3"; do grep -q "^ompi-cr-hook: .*$w" "$1" || exit 1; done' - \
	"$RUN/hook.err" "$SID" "$WORK/spool/12.CK"
check "torque-checkpoint, signal 15: nothing of the job is left" gone
check "torque-restart: ended with status 0" back torque-restart 0 12.head "$user" "$group" "$WORK/spool/12.CK" ckpt.12.2
check "torque-restart: the output goes on in the job's file, and is an uninterrupted run's" result
tell

begin lost
hook torque-checkpoint "$SID" 13.head "$user" "$group" "$WORK/spool/12.CK" ckpt.13.1 15 0
gone
rm "$RUN/lost.out"
"$HOOK" --quiet torque-restart 0 13.head "$user" "$group" "$WORK/spool/12.CK" nothing >"$RUN/hook.out" 2>"$RUN/hook.err"
check "torque-restart, --quiet: errors are said all the same" sh -c "[ $? = 1 ] && [ -s '$RUN/hook.err' ]"
check "torque-restart, the job's output file is gone: the job ends with status 0" back torque-restart 0 13.head "$user" "$group" "$WORK/spool/12.CK" ckpt.13.1
check "torque-restart, the job's output file is gone: it is named" grep -q "lost.out: output does not go on there: No such file" "$RUN/back.err"
tell

# --- OpenPBS: as root; the place is root's alone
begin pbs
mkdir "$WORK/roots/7.CK"
place=$WORK/roots/7.CK/1
[ $root = yes ] || place=$WORK/spool/7.CK
check "pbs-checkpoint: saved" hook pbs-checkpoint 7.head "$SID" 1 "$(id -u "$user")" "$(id -g "$user")" "$user" "$place"
check "pbs-checkpoint: the job goes on" more
check "pbs-checkpoint-abort: saved" hook pbs-checkpoint-abort 7.head "$SID" 1 "$(id -u "$user")" "$(id -g "$user")" "$user" "$place"
check "pbs-checkpoint-abort: nothing of the job is left" gone
check "pbs-restart: ended with status 0" back pbs-restart 7.head 0 1 "$(id -u "$user")" "$(id -g "$user")" "$user" "$place"
check "pbs-restart: the result is an uninterrupted run's" result
tell
begin pbsend
CR_FAULT='' check "pbs-terminate: the job ends" hook pbs-terminate 8.head "$SID" 1 "$(id -u "$user")" "$(id -g "$user")" "$user" "$WORK/spool/8.CK"
check "pbs-terminate: nothing of the job is left" gone
check "pbs-restart after it" back pbs-restart 8.head 0 1 "$(id -u "$user")" "$(id -g "$user")" "$user" "$WORK/spool/8.CK"
check "pbs-terminate and restart: the result is an uninterrupted run's" result
tell

# --- Grid Engine
begin sge
words="33 undefined $user $SID $WORK/spool"
# shellcheck disable=SC2086
{
	check "sge-ckpt: saved" hook sge-ckpt $words
	check "sge-ckpt: the job goes on" more
	check "sge-migr: saved" hook sge-migr $words
	check "sge-migr: nothing of the job is left" gone
	check "sge-restart: ended with status 0" back sge-restart $words
	check "sge-restart: the result is an uninterrupted run's" result
	check "sge-clean: the reference and the snapshot go" sh -c "'$HOOK' sge-clean $words && ! ls '$WORK/spool/ompi-cr-sge-33' 2>/dev/null"
	check "sge-clean again: nothing to do" "$HOOK" sge-clean $words
}
tell

# --- LSF: as the user, by the names that LSF looks for
ln -s "$HOOK" "$WORK/home/echkpnt.ompicr"
ln -s "$HOOK" "$WORK/home/erestart.ompicr"
mkdir "$WORK/spool/lsf" && chown "$user" "$WORK/spool/lsf"
lsf() { as "$WORK/home/$1" "${@:2}"; }
begin lsf
for ((i = 0; i < 300; i++)); do lsf echkpnt.ompicr -d "$WORK/spool/lsf" "$SID" 2>"$RUN/hook.err" && break; nap 100; done
check "echkpnt.ompicr: saved, the job goes on" more
CR_FAULT=dump:0:fail
export CR_FAULT
check "echkpnt.ompicr -k, a checkpoint that fails: the job is not killed" sh -c "! '$WORK/home/echkpnt.ompicr' -k -d '$WORK/spool/lsf' '$SID' 2>'$RUN/hook.err'"
unset CR_FAULT
check "echkpnt.ompicr -k, after that: the job goes on" more
check "echkpnt.ompicr -c -f -k: saved" lsf echkpnt.ompicr -c -f -k -d "$WORK/spool/lsf" -x "$SID"
check "echkpnt.ompicr -k: killed after success" gone
check "erestart.ompicr: writes .restart_cmd" lsf erestart.ompicr -c "$WORK/spool/lsf"
command=$(sed -n 's/^LSB_RESTART_CMD=//p' "$WORK/spool/lsf/.restart_cmd")
: >"$RUN/$name.back"
check "LSB_RESTART_CMD: ended with status 0" as sh -c "exec setsid --wait $command >/dev/null 2>'$RUN/lsfback.err' </dev/null"
check "LSB_RESTART_CMD: the result is an uninterrupted run's" result
tell

# --- Flux: from the job itself
begin flux
check "flux-signal USR1: saved, the job goes on" sh -c "$(declare -f as); user=$user WORK=$WORK; as '$HOOK' flux-signal USR1 $SID '$WORK/spool' 2>'$RUN/hook.err'"
check "flux-signal TERM: saved" as "$HOOK" flux-signal SIGTERM "$SID" "$WORK/spool"
check "flux-signal TERM: nothing of the job is left" gone
tell

# --- refusals
status() { "$@" >"$RUN/o" 2>"$RUN/e"; echo $?; }
check "no subcommand: 2" [ "$(status "$HOOK")" = 2 ]
check "a subcommand that is not there: 2" [ "$(status "$HOOK" nqs-checkpoint 1 2)" = 2 ]
check "too few words: 2, with those that are wanted" sh -c "[ $(status "$HOOK" torque-checkpoint 1 2) = 2 ] && grep -q 'SID JOBID' '$RUN/e'"
check "another signal than 0 and 15: 2" [ "$(status "$HOOK" torque-checkpoint $$ 1 "$user" "$group" "$WORK/spool" n 9 0)" = 2 ]
check "session 1 and group 0 are nobody's job: 2" [ "$(status "$HOOK" torque-checkpoint 1 1 "$user" "$group" "$WORK/spool" n 0 0)$(status "$HOOK" torque-checkpoint 0 1 "$user" "$group" "$WORK/spool" n 0 0)" = 22 ]
check "a user who is not there: 1" [ "$(status "$HOOK" torque-checkpoint $$ 1 no_such_user "$group" "$WORK/spool" n 0 0)" = 1 ]
check "nothing under protection: 1, and says so" sh -c "[ $(status as "$HOOK" flux-signal USR1 $$ "$WORK/spool") = 1 ] && grep -q 'protection\|no process of yours' '$RUN/e'"
check "no checkpoint to restart from: 1" [ "$(status "$HOOK" torque-restart 0 1 "$user" "$group" "$WORK/spool" nothing)" = 1 ]
check "a name with a slash: 1" [ "$(status "$HOOK" torque-restart 0 1 "$user" "$group" "$WORK/spool" ../x)" = 1 ]
echo 'reference version=1 seq=x dir=/etc' >"$WORK/spool/damaged"
chown "$user" "$WORK/spool/damaged"
check "a damaged reference: 1" [ "$(status "$HOOK" torque-restart 0 1 "$user" "$group" "$WORK/spool" damaged)" = 1 ]
if [ $root = yes ] && [ "$user" = nobody ]; then
	# What the user lays out for root: a link in the place of the reference, and one in the place of the directory
	begin traps
	echo precious >"$WORK/roots/precious"
	ln -s "$WORK/roots/precious" "$WORK/spool/trap"
	hook torque-checkpoint "$SID" 1 "$user" "$group" "$WORK/spool" trap 0 0
	check "root follows no link of the user's in the place of the file" [ "$(cat "$WORK/roots/precious")" = precious ]
	ln -s "$WORK/roots" "$WORK/spool/dir"
	hook torque-checkpoint "$SID" 1 "$user" "$group" "$WORK/spool/dir" trapped 0 0
	check "nor in the place of the directory" sh -c "[ $RC = 1 ] && ! [ -e '$WORK/roots/trapped' ]"
	check "another user's job cannot be saved" [ "$(status "$HOOK" torque-checkpoint "$SID" 1 daemon daemon /tmp n 0 0)" = 1 ]
	check "nor by another user himself" [ "$(status setpriv --reuid=daemon --regid=daemon --clear-groups "$HOOK" flux-signal TERM "$SID" /tmp)" = 1 ]
	check "the job is as it was" more
	as kill -KILL $(ps -o pid= -s "$SID")
fi
done_testing
