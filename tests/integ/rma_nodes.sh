#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One-sided communication over several nodes: checkpoints at random moments inside of every kind of epoch (the table in progs/mpi_rma.c), the job is
# killed and goes on on other nodes, on fewer, with another mapping. Shared windows are told that they need one node.
. "$(dirname "$0")/../lib/cluster.sh"
cluster_up 3 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }
PLACES=("n1:1 n2:2 n3:1" "n3:2 n2:1 n1:1" "n2:3 n3:1" "n1:4" "n1:2 n3:2") PLACE=0

place()
{
	# shellcheck disable=SC2086
	hosts ${PLACES[$((PLACE++ % ${#PLACES[@]}))]}
}
eval "$(declare -f reference | sed '1s/reference/reference_here/')"
eval "$(declare -f restart | sed '1s/restart/restart_there/')"
# Open MPI 4.1.4's own one-sided components stop or crash on some of these operations (MPI_MAXLOC of MPI_DOUBLE_INT over nodes, for one): on one node
# with osc/pt2pt and osc/sm they can all, and what comes out does not depend on the place.
reference()
{
	local rc
	hosts n1:4
	OMPI_MCA_osc=pt2pt,sm reference_here "$@"
	rc=$?
	PLACE=0
	place
	return $rc
}
restart() { place; say "goes on on $(tr '\n' ' ' <"$CLUSTER/hosts")"; restart_there "$@"; }

# On a machine that is busy with other things the program may end before its last checkpoint: then it gets more to do
eval "$(declare -f not_ok | sed '1s/not_ok/not_ok_indeed/')"
not_ok() { case $1 in *"the run was too short"*) SHORT=1; say "$1" ;; *) not_ok_indeed "$@" ;; esac; }
journey()
{
	local steps
	for steps in 1500 6000 24000; do
		SHORT=0 AGAIN=4 LIMIT=400
		CKPTS=${CKPTS_NODES:-10} GAP=150 chain "one-sided over 3 nodes, 4 ranks" 4 "$PROGS/mpi_rma" $steps -1 0 1
		if [ $SHORT = 0 ]; then return; fi
	done
	not_ok_indeed "the machine is too busy for the checkpoints"
}
journey

# --- a shared window asks for one node
RUN=$WORK/shared
shared_begin()
{
	mkdir -p "$RUN"
	SEG=0 N_CKPT=0
	hosts n1:2
	start_job 2 "$PROGS/mpi_rma" 100000 2
	for ((i = 0; i < 1200; i++)); do grep -qs '^step' "$RUN/out.1" && break || nap 50; done # the window is there
	checkpoint || { say_file "$RUN/ckpt.err"; return 1; }
	kill_job
}
shared_refused()
{
	hosts n1:1 n2:1
	restart_there "$REF" || return 1
	job_end 100
	[ "$RC" != 0 ] && [ "$RC" != 124 ] && grep -q "MPI_Win_allocate_shared.*on one node" "$RUN/err.$SEG" && ! [ -s "$RUN/out.$SEG" ] && return
	say "status $RC"
	say_file "$RUN/err.$SEG"
	return 1
}
shared_again()
{
	hosts n3:2
	restart_there "$REF"
	checkpoint --term || { say_file "$RUN/ckpt.err"; say_file "$RUN/err.$SEG"; return 1; }
	job_end 60
	[ "$RC" = 0 ] || { say "status $RC"; say_file "$RUN/err.$SEG"; return 1; }
}
check "a shared window: checkpoint" shared_begin
check "a shared window: its ranks on two nodes are refused, by the function's name, before anything runs" shared_refused
check "a shared window: on another node" shared_again

done_testing
