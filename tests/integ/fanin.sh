#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A job over six nodes whose daemons may talk to two others each (so some are reached through others): checkpoint; the daemon of every node and the coordinator's are killed,
# and another checkpoint; restart; the result is that of an uninterrupted run.
. "$(dirname "$0")/../lib/cluster.sh"
[ -x "$PROGS/mpi_stress" ] || skip_all "mpi_stress is not built"
cluster_up 6 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }

NP=6 RUN=$WORK/run N_CKPT=0 RC=''
export OMPI_CR_FANIN=2
filter() { grep -E '^ok|checksum' "$1"; }

# What went wrong, unless it is that the program has ended too early
give_up()
{
	TOO_EARLY=no
	if ! alive "$JOB" && [ -n "$(filter "$WORK/ref/out")" ] && [ "$(filter "$RUN/out.$SEG")" = "$(filter "$WORK/ref/out")" ]; then
		TOO_EARLY=yes
		return 1
	fi
	say "$1: status $RC"
	say_file "$RUN/ckpt.err"
	say_file "$RUN/err.$SEG"
	say_file "$(cluster_log)" 30
	alive "$JOB" && kill_job
	return 1
}

begin()
{
	rm -rf "$RUN" && mkdir -p "$RUN"
	SEG=0 N_CKPT=0
	hosts n1:1 n2:1 n3:1 n4:1 n5:1 n6:1
	reference $NP "$PROGS/mpi_stress" --seed "$SEED" --rounds "$1" || return 1
	rm -f "$OMPI_CR_REGISTRY_DIR"/snapcd-*.log
	start_job $NP "$PROGS/mpi_stress" --seed "$SEED" --rounds "$1"
	checkpoint && return
	RC=$? give_up "first checkpoint"
}

# pid of the daemon of node $1
daemon()
{
	local pid
	for pid in $(ps -eo pid=,comm= | awk '$2 == "snapcd" { print $1 }'); do
		if [ "$(readlink "/proc/$pid/ns/pid")" = "$(readlink "/proc/$(cat "$CLUSTER/$1/pid")/ns/pid")" ]; then echo "$pid"; fi
	done
}

# TCP connections of the daemon of node $1
connections()
{
	local pid
	pid=$(daemon "$1")
	for fd in /proc/"$pid"/fd/*; do readlink "$fd"; done 2>/dev/null | sed -n 's/^socket:\[\(.*\)\]$/\1/p' |
		awk 'NR == FNR { want[$1]; next } $4 == "01" && $10 in want { n++ } END { print n + 0 }' - "/proc/$pid"/net/tcp*
}

# Nobody has more than two connections, and two nodes have that many
branches()
{
	local name c inner=0
	for name in n1 n2 n3 n4 n5 n6; do
		c=$(connections $name)
		say "$name: $c connections"
		[ "$c" -le 2 ] || return 1
		[ "$c" -lt 2 ] || inner=$((inner + 1))
	done
	[ $inner -ge 2 ] && grep -q "below node" "$(cluster_log)"
}
tree()
{
	local i
	for ((i = 0; i < 20; i++)); do # one that is just moving has a third for a moment
		branches && return
		alive "$JOB" || break
		nap 500
	done
	RC=$? give_up "the connections"
}

# kill_daemon PID
kill_daemon()
{
	local i
	kill -KILL "$1" || return 1
	for ((i = 0; i < 600; i++)); do alive "$1" && nap 50 || return 0; done
	return 1
}

inner_dies()
{
	local name
	for name in n1 n2 n3 n4 n5 n6; do
		if [ "$(connections $name)" = 2 ]; then
			say "the daemon of $name is killed"
			kill_daemon "$(daemon $name)" && checkpoint && return
			RC=$? give_up "checkpoint after the death of the daemon of $name"
			return 1
		fi
	done
	RC=0 give_up "no node has another below it"
}

coordinator_dies()
{
	kill_daemon "$(sed -n 's/^snapcd_pid=//p' "$OMPI_CR_REGISTRY_DIR/$JOB.job")" && checkpoint && return
	RC=$? give_up "checkpoint after the death of the coordinator's daemon"
}

over()
{
	checkpoint --term || { RC=$? give_up "--term"; return 1; }
	job_end 60
	[ "$RC" = 0 ] || give_up "the end by --term"
}

again()
{
	hosts n2:2 n4:1 n6:3
	restart
	job_end 300
	[ "$RC" = 0 ] && [ -n "$(filter "$WORK/ref/out")" ] && [ "$(filter "$RUN/out.$SEG")" = "$(filter "$WORK/ref/out")" ] || give_up "the restarted job"
}

step() { "$@" && { DONE="$DONE ${1}"; return; }; }
# On a quick machine the program may end too early: then it gets more to do
for rounds in 2000 8000 32000 128000; do
	DONE='' TOO_EARLY=no
	step begin $rounds && step tree && step inner_dies && step coordinator_dies && step over && step again
	[ $TOO_EARLY = yes ] || break
	say "the program has ended too early: again, longer"
done
did() { case "$DONE " in *" $1 "*) ;; *) return 1 ;; esac }
check "six nodes: a checkpoint" did begin
check "no node has more than two connections, and some are below others" did tree
check "the daemon of a node that has others below it is killed: the next checkpoint works" did inner_dies
check "the coordinator's daemon is killed: the next checkpoint works" did coordinator_dies
check "ended by --term" did over
check "restarted on three of the nodes: the result is the uninterrupted run's" did again

done_testing
