#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-checkpoint on another node than mpirun's: found by the contact file, let in by munge. What cannot be reached says why.
. "$(dirname "$0")/../lib/cluster.sh"
[ -x "$PROGS/mpi_steady" ] || skip_all "mpi_steady is not built"
need munge munge
need munged munge
cluster_up 2 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }
cluster_munged || { echo "1..1"; echo "not ok 1 - munged does not start"; exit 1; }

RUN=$WORK/run N_CKPT=0 RC=''
mkdir -p "$RUN"
export OMPI_CR_AUTH=munge
PROG=("$PROGS/mpi_steady" "$RUN/progress" "$RUN/stop")
entry() { sed -n "s/^$1=//p" "$OMPI_CR_REGISTRY_DIR/$JOB.job" 2>/dev/null; }
give_up()
{
	say "$1: status $RC"
	say_file "$RUN/far.out"
	say_file "$RUN/far.err"
	say_file "$RUN/err.$SEG"
	say_file "$(cluster_log)" 25
	return 1
}
until_true() # COMMAND...
{
	local i
	for ((i = 0; i < 1200; i++)); do "$@" && return 0; nap 50; done
	return 1
}
# far ARGUMENT...: on n2, again as long as it says "try again"
far()
{
	local i
	for ((i = 0; i < 600; i++)); do
		node n2 ompi-checkpoint "$@" >"$RUN/far.out" 2>"$RUN/far.err"
		RC=$?
		[ $RC = 75 ] || break
		nap 100
	done
	return $RC
}
# The job is known there
known() { [ -n "$(find "$OMPI_CR_CONTACT_DIR" -name "head-$JOB.job" 2>/dev/null)" ]; }
begin()
{
	hosts "$@"
	rm -f "$RUN/stop"
	start_job 2 "${PROG[@]}"
	until_true eval '[ -n "$(entry tool_socket)" ]' || give_up "the job does not begin"
}
saves()
{
	until_true known && far --host head "$@" && grep -q "^Snapshot Ref.:.*ompi_global_snapshot_$JOB.ckpt" "$RUN/far.out" || give_up "ompi-checkpoint --host head $*"
}
may() { far --host head --latest --check && grep -q "can be checkpointed: 2 ranks" "$RUN/far.out" || give_up "--latest --check"; }
# refused WORDS ARGUMENT...
refused()
{
	local words=$1
	shift
	! far "$@" && [ $RC = 1 ] && grep -q -- "$words" "$RUN/far.err" || give_up "$*"
}
unshared()
{
	# shellcheck disable=SC2016
	node n2 unshare --mount --propagation private sh -c 'mount -t tmpfs -o mode=700 none "$1" && ompi-checkpoint --host head "$2"' - "$OMPI_CR_CONTACT_DIR" "$JOB" \
		>"$RUN/far.out" 2>"$RUN/far.err"
	RC=$?
	[ $RC = 1 ] && grep -q "both nodes do not share this directory (setting contact_dir)" "$RUN/far.err" || give_up "a contact directory that is not shared"
}
again()
{
	kill -KILL "$(entry snapcd_pid)" && saves "$JOB"
}
ended()
{
	saves --term "$JOB" || return 1
	job_end 60
	[ "$RC" = 0 ] && until_true eval '[ -z "$(ls "$OMPI_CR_CONTACT_DIR")" ]' || give_up "--term from n2"
}
over()
{
	touch "$RUN/stop"
	job_end 60
	[ "$RC" = 0 ] && grep -q '^ok' "$RUN/out.$SEG" && until_true eval '[ -z "$(ls "$OMPI_CR_CONTACT_DIR")" ]' || give_up "the end"
}
closed() { until_true grep -q "the port for other nodes is closed" "$(cluster_log)" || give_up "the port stays open"; }
open_and_saved() { saves "$JOB" && ! grep -q "the port for other nodes is closed" "$(cluster_log)"; }
private() { [ "$(stat -c %a "$OMPI_CR_CONTACT_DIR" "$OMPI_CR_CONTACT_DIR/head-$JOB.job" | tr '\n' ' ')" = "700 600 " ]; }

export CR_DEBUG=2
check "a job on two nodes" begin n1:1 n2:1
check "it is saved from another node than mpirun's" eval 'saves "$JOB"'
check "... the log says from where" eval 'grep -q "asked for by a tool on n2 (10.77.0.2:" "$(cluster_log)"'
check "... what is needed for it is the owner's alone" private
check "... the newest job, asked whether it could be" may
check "another host's name" refused "there is no job .* of n9" --host n9 "$JOB"
check "a directory that the nodes do not share: said" unshared
check "no directory at all: said" eval 'OMPI_CR_CONTACT_DIR=/nowhere/at/all refused "setting contact_dir" --host head "$JOB"'
check "without --host the node is asked for" refused "or with --host\|there is no job" "$JOB"
check "the coordinator's daemon dies: it is reached again" again
check "ended from there; the contact file is gone" ended
check "a job on mpirun's node alone" begin localhost:2
check "... closes its port" closed
check "... which is said to who looks for it" refused "remote_tools = 2" --host head "$JOB"
check "... and ends well" over
export OMPI_CR_REMOTE_TOOLS=2
check "with remote_tools = 2" begin localhost:2
check "... it is saved from another node" open_and_saved
check "... and ends well" over
done_testing
