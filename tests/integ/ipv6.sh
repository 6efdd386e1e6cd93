#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A cluster whose network has IPv6 alone: a job over two nodes is saved, ended, and brought back on the other way round.
CLUSTER_FAMILY=6
. "$(dirname "$0")/../lib/cluster.sh"
[ -x "$PROGS/mpi_steady" ] || skip_all "mpi_steady is not built"
[ -e /proc/net/if_inet6 ] || skip_all "this machine has no IPv6"
cluster_up 2 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }

RUN=$WORK/run N_CKPT=0 RC=''
mkdir -p "$RUN"
give_up()
{
	say "$1: status $RC"
	say_file "$RUN/ckpt.err"
	say_file "$RUN/err.$SEG"
	say_file "$(cluster_log)" 25
	return 1
}
alone() { [ -z "$(ip -4 -o addr show scope global)" ] && [ -z "$(node n1 ip -4 -o addr show scope global)" ]; }
begin()
{
	hosts n1:1 n2:1
	start_job 2 "$PROGS/mpi_steady" "$RUN/progress" "$RUN/stop"
	checkpoint || { RC=$?; give_up "the first checkpoint"; }
}
ended()
{
	checkpoint --term || { RC=$?; give_up "--term"; return 1; }
	job_end 60
	[ "$RC" = 0 ] || give_up "the end by --term"
}
back()
{
	hosts n2:2
	restart
	local i
	for ((i = 0; i < 1200; i++)); do
		[ -e "$OMPI_CR_REGISTRY_DIR/$JOB.job" ] && break
		alive "$JOB" || break
		nap 50
	done
	checkpoint || { RC=$?; give_up "the checkpoint of the restarted job"; return 1; }
	touch "$RUN/stop"
	job_end 60
	[ "$RC" = 0 ] && grep -q '^ok' "$RUN/out.$SEG" || give_up "the restarted job"
}
check "no node has an IPv4 address besides loopback" alone
check "two nodes: a checkpoint" begin
check "... nodes have come from their IPv6 addresses" eval 'grep -q "node n1 (\[fd77::1\]:[0-9]*) is number" "$(cluster_log)" && grep -q "other nodes: \[fd77::254\]:" "$(cluster_log)"'
check "ended by --term" ended
check "restarted on one of the nodes: saved again, and its result is right" back
done_testing
