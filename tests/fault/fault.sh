#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Things go wrong during a checkpoint: in each phase a rank fails, hangs or dies; the disk is full; the directory cannot be written; the coordinator,
# the tool or mpirun is killed. The job goes on with the right result (or ends, if it was its rank that died), earlier snapshots stay valid,
# nothing partial is left, and the message says what happened.
. "$(dirname "$0")/../integ/lib.sh"
# ended PID: gone, or a zombie that init has not reaped yet
ended() { ! alive "$1"; }
prog=("$PROGS/mpi_objects" 500)
RUN=$WORK/run N_RESTART=0 N_CKPT=0
mkdir -p "$RUN"
want() { [ -z "${ONLY:-}" ] || [[ $1 == *$ONLY* ]]; }
reference 2 "${prog[@]}" || { not_ok "the uninterrupted run"; done_testing; }

# It is not to end before it is told to
export STEP_HOLD=480:$RUN/go
begin()
{
	rm -f "$RUN/go"
	start_job 2 "${prog[@]}"
	until_step 20
}
ends()
{
	: >"$RUN/go"
	job_end 60
}

# An old snapshot, which must stay valid whatever comes
start_job 2 "${prog[@]}"
until_step 60
if ! checkpoint; then
	explain
	not_ok "the first checkpoint"
	done_testing
fi
OLD=$REF
kill_job
mv "$RUN/out.1" "$RUN/first"
old_is_valid() { ompi-snapshot verify "$OLD" >"$RUN/verify" 2>&1 || { say_file "$RUN/verify"; return 1; }; }
# The coordinator of JOB
coordinator() { ps -eo pid=,comm=,args= | awk -v p="$JOB" '$2 == "snapcd" && $0 ~ "--mpirun-pid " p "( |$)" { print $1; exit }'; }
# Nothing that looks like a part of a snapshot, outside of the old one
nothing_left()
{
	local left i
	for ((i = 0; i < 300; i++)); do # what removes it may be a moment behind who asks
		left=$(find "$OMPI_CR_SNAPSHOT_DIR" -path "$OMPI_CR_SNAPSHOT_DIR/$OLD" -prune -o \( -name '*.tmp' -o -name 'cr_context*' -o -name '[0-9]*' \) -print | head -3)
		[ -z "$left" ] && return
		nap 100
	done
	[ -z "$left" ] || { say "left: $left"; return 1; }
}
finishes()
{
	ends
	[ "$RC" = 0 ] && covered "$WORK/ref/out" "$RUN/first" "$RUN/out.$SEG" && return 0
	say "status $RC"
	say_file "$RUN/err.$SEG"
	return 1
}
# the restarted job under a fault: fault PHASE ACTION [MORE-ENVIRONMENT...]
fault()
{
	local what=$1 phase=${1%%:*} action=${1##*:} rc from
	shift
	want "$what" || return 0
	SEG=1
	export CR_FAULT=$what
	for e in "$@"; do export "${e?}"; done
	rm -f "$RUN/go"
	restart "$OLD"
	unset CR_FAULT
	for e in "$@"; do unset "${e%%=*}"; done
	until_speaks
	from=$SECONDS
	N_CKPT=1
	checkpoint
	rc=$?
	say_file "$RUN/ckpt.err" 2
	check "$what: the checkpoint fails within its deadline" [ $rc != 0 -a $rc != 124 -a $((SECONDS - from)) -lt 18 ]
	check "$what: says in which phase" grep -qi "$phase" "$RUN/ckpt.err"
	if [ "$action" = kill ]; then
		check "$what: names the rank" grep -qE 'rank 1' "$RUN/ckpt.err"
		job_end 60
		check "$what: the job ends, since its rank died" [ "$RC" != 0 ] && [ "$RC" != 124 ]
	else
		check "$what: the job goes on to the right result" finishes
	fi
	check "$what: nothing partial is left" nothing_left
	check "$what: the old snapshot is valid" old_is_valid
	# references without a snapshot are of no use
	find "$OMPI_CR_SNAPSHOT_DIR" -mindepth 1 -maxdepth 1 ! -name "$OLD" -exec rm -rf {} +
}
for phase in request quiesce freeze dump commit; do
	fault $phase:1:fail
done
for phase in request quiesce freeze dump; do
	fault $phase:1:kill
	fault $phase:1:hang "OMPI_CR_TIMEOUT_${phase^^}=2"
done

# A full disk, with a snapshot on it already
if want disk; then
	if [ "$(id -u)" = 0 ] && mkdir -p "$WORK/small" && mount -t tmpfs -o size=2g,mode=0777 tmpfs "$WORK/small" 2>/dev/null; then
		saved=$OMPI_CR_SNAPSHOT_DIR
		export OMPI_CR_SNAPSHOT_DIR=$WORK/small
		SEG=0
		begin
		check "full disk: a first checkpoint fits" checkpoint
		first=$REF used=$(df -Pk "$WORK/small" | awk 'NR == 2 { print $3 }')
		mount -o "remount,size=$((used + used / 3))k" "$WORK/small"
		checkpoint
		rc=$?
		say_file "$RUN/ckpt.err" 2
		check "full disk: the second one fails" [ $rc != 0 -a $rc != 124 ]
		check "full disk: and says so" grep -qiE 'space|full|ENOSPC' "$RUN/ckpt.err"
		check "full disk: what it had written is gone" [ "$(df -Pk "$WORK/small" | awk 'NR == 2 { print $3 }')" -le $((used + 64)) ]
		check "full disk: the first snapshot is valid" ompi-snapshot verify "$first"
		mount -o remount,ro "$WORK/small" 2>/dev/null && {
			checkpoint
			rc=$?
			say_file "$RUN/ckpt.err" 2
			check "read-only directory: the checkpoint fails and says so" [ $rc != 0 -a $rc != 124 -a -s "$RUN/ckpt.err" ]
			mount -o remount,rw,size=2g "$WORK/small"
		}
		check "full disk: with room again it works" checkpoint
		kill_job
		restart "$first"
		SEG=2
		ends
		check "full disk: the job comes back from it" sh -c "[ $RC = 0 ] && tail -1 '$RUN/out.2' | grep -q '^ok'"
		umount -l "$WORK/small"
		export OMPI_CR_SNAPSHOT_DIR=$saved
	else
		skip "full disk" "needs root to mount a small tmpfs"
	fi
fi

if want unwritable && [ "$(id -u)" != 0 ]; then
	SEG=0
	mkdir -p "$WORK/closed"
	chmod 500 "$WORK/closed"
	saved=$OMPI_CR_SNAPSHOT_DIR
	export OMPI_CR_SNAPSHOT_DIR=$WORK/closed
	begin
	export OMPI_CR_SNAPSHOT_DIR=$saved
	checkpoint
	rc=$?
	check "unwritable directory: the checkpoint fails and names it" sh -c "[ $rc != 0 ] && grep -q closed '$RUN/ckpt.err'"
	ends
	check "unwritable directory: the job goes on" [ "$RC" = 0 ]
fi

# The coordinator dies, and is replaced
if want coordinator; then
	SEG=0
	begin
	daemon=$(coordinator)
	if [ -n "$daemon" ]; then
		kill -KILL "$daemon"
		check "the coordinator is killed: another one takes the next checkpoint" checkpoint
		say_file "$RUN/ckpt.err" 2
		check "the coordinator is killed: it is another" [ "$(coordinator)" != "$daemon" ]
	else
		not_ok "the coordinator is killed: no snapcd below mpirun"
	fi
	ends
	check "the coordinator is killed: the job goes on" sh -c "[ $RC = 0 ] && tail -1 '$RUN/out.1' | grep -q '^ok'"
	find "$OMPI_CR_SNAPSHOT_DIR" -mindepth 1 -maxdepth 1 ! -name "$OLD" -exec rm -rf {} +
fi

# until_middle: until the checkpoint that $tool has asked for has begun
until_middle()
{
	local i
	for ((i = 0; i < 600; i++)); do
		[ -z "$(find "$OMPI_CR_SNAPSHOT_DIR" -name '*.tmp')" ] || return 0
		alive "$tool" || return 1
		nap 50
	done
	return 1
}
# The tool, then the whole job, die in the middle of a checkpoint
if want middle; then
	SEG=0
	CR_FAULT=dump:1:hang OMPI_CR_TIMEOUT_DUMP=3 begin
	ompi-checkpoint "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err" &
	tool=$!
	until_middle
	kill -KILL $tool
	wait $tool 2>/dev/null
	ends
	check "the tool is killed: the job goes on" sh -c "[ $RC = 0 ] && tail -1 '$RUN/out.1' | grep -q '^ok'"
	check "the tool is killed: nothing partial is left" nothing_left
	SEG=0
	CR_FAULT=dump:1:hang OMPI_CR_TIMEOUT_DUMP=30 begin
	ompi-checkpoint "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err" &
	tool=$!
	until_middle
	daemon=$(coordinator)
	kill_job
	for ((i = 0; i < 100; i++)); do alive "$tool" && nap 100 || break; done
	wait $tool
	rc=$?
	check "the job is killed in a checkpoint: the tool ends and fails" [ $rc != 0 ]
	for ((i = 0; i < 600; i++)); do [ -n "$daemon" ] && alive "$daemon" && nap 100 || break; done
	check "the job is killed in a checkpoint: its coordinator ends too" ended "${daemon:-none}"
	check "the job is killed in a checkpoint: nothing partial is left" nothing_left
fi
SEG=1
CR_FAULT=restart:1:stop restart "$OLD" --timeout 5
job_end 120
say_file "$RUN/err.$SEG" 3
check "ompi-restart --timeout: a rank that hangs in the restart ends what was started, with its number" [ "$RC" != 0 -a "$RC" != 124 ]
check "ompi-restart --timeout: the limit is named" grep -q "rank 1.* not back within 5 s" "$RUN/err.$SEG"
check "the old snapshot is valid in the end" old_is_valid
SEG=1
restart "$OLD"
check "and restarts to the right result" finishes
done_testing
