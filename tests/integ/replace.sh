#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Both processes of a snapcd, daemon and supervisor, are killed at the same moment: on mpirun's node, and on another one, in a checkpoint and outside of one. Another
# one is started in each case, and the next checkpoint works. Told to end, it ends, and whoever asks then is told why.
. "$(dirname "$0")/../lib/cluster.sh"
[ -x "$PROGS/mpi_steady" ] || skip_all "mpi_steady is not built"
cluster_up 2 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }

RUN=$WORK/run N_CKPT=0 RC=''
mkdir -p "$RUN"
export CR_DEBUG=2 OMPI_CR_AUTH=secret
entry() { sed -n "s/^$1=//p" "$OMPI_CR_REGISTRY_DIR/$JOB.job" 2>/dev/null; }
give_up()
{
	say "$1"
	say_file "$RUN/ckpt.err"
	say_file "$RUN/err.$SEG"
	say_file "$(cluster_log)" 25
	say_file "$(ls -t "$OMPI_CR_REGISTRY_DIR"/snapcd-n2-*.log | head -1)" 15
	return 1
}
# both NODE: pids of daemon and supervisor there (head: mpirun's)
both()
{
	local pid ns
	ns=$(readlink "/proc/$([ "$1" = head ] && echo $$ || cat "$CLUSTER/$1/pid")/ns/uts")
	for pid in $(ps -eo pid=,comm= | awk '$2 ~ /^snapcd/ { print $1 }'); do
		if [ "$(readlink "/proc/$pid/ns/uts")" = "$ns" ]; then echo "$pid"; fi
	done
}
# others NODE PIDS: two processes, none of which is one of those
others()
{
	local now
	now=$(both "$1")
	[ "$(wc -w <<<"$now")" = 2 ] && ! grep -qwF "$2" <<<"$now"
}
until_true() # COMMAND...
{
	local i
	for ((i = 0; i < 1200; i++)); do "$@" && return 0; nap 50; done
	return 1
}
begin()
{
	hosts n1:1 n2:1
	start_job 2 "$PROGS/mpi_steady" "$RUN/progress" "$RUN/stop"
	checkpoint || give_up "the first checkpoint"
}
# One kill(2) after another, within the same millisecond: neither process can put anything into the other's place
die()
{
	local pids
	pids=$(both "$1")
	[ "$(wc -w <<<"$pids")" = 2 ] || { say "on $1: $pids"; return 1; }
	# shellcheck disable=SC2086
	kill -STOP $pids && kill -KILL $pids || return 1
	until_true others "$1" "$pids" || give_up "nobody has come into the place of $pids on $1"
}
replaced() { die "$1" && { checkpoint || give_up "the checkpoint after that"; }; }
in_checkpoint()
{
	local rc
	CR_FAULT=freeze:1:hang ompi-checkpoint "$JOB" >"$RUN/hang.out" 2>"$RUN/hang.err" &
	rc=$!
	STARTED+=($rc)
	until_true eval '[ -n "$(find "$OMPI_CR_SNAPSHOT_DIR" -name "*.tmp")" ] && grep -q ": freeze at" "$(cluster_log)"' || return 1
	die head || return 1
	wait $rc
	[ $? = 1 ] && grep -q "coordinator of the job died in phase" "$RUN/hang.err" || { say_file "$RUN/hang.err"; return 1; }
	until_true eval '[ -z "$(find "$OMPI_CR_SNAPSHOT_DIR" -name "*.tmp")" ]' || give_up "a part of a snapshot is left"
	checkpoint || give_up "the checkpoint after that"
}
told()
{
	kill -TERM "$(entry snapcd_pid)" && until_true eval '[ -z "$(both head)" ]' || return 1
	ompi-checkpoint "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
	RC=$?
	[ $RC = 1 ] && grep -q "has ended, why is in .*: the job runs without protection" "$RUN/ckpt.err" || { give_up "status $RC"; return 1; }
	until_true grep -q "without protection" "$RUN/err.$SEG" || give_up "mpirun does not say so"
}
over()
{
	touch "$RUN/stop"
	job_end 60
	[ "$RC" = 0 ] && grep -q '^ok' "$RUN/out.$SEG" && until_true eval '[ -z "$(both head)$(both n1)$(both n2)" ]' || give_up "the end: status $RC"
}
check "a job on two nodes" begin
# What runs there needs no locks (docs/operations.md): a sanitizer for threads would have nothing to look at
one_thread()
{
	local pid
	for pid in $(both head) $(both n1) $(both n2); do [ "$(ls "/proc/$pid/task" | wc -l)" = 1 ] || return 1; done
}
check "every process of every snapcd has one thread" one_thread
check "both processes of the coordinator are killed: others take their place, the next checkpoint works" replaced head
check "... mpirun says so" until_true grep -q "has died, with its supervisor: another one is started" "$RUN/err.1"
check "both processes of a node's snapcd: the same" replaced n2
check "in the middle of a checkpoint: the requester is told, nothing is left of it, the next one works" in_checkpoint
check "one that is told to end is not replaced, and the next requester is told" told
check "the job has come to no harm: its result is right, and nothing is left" over
done_testing
