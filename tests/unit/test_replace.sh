#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Daemons that die: in every phase of a checkpoint, their supervisors, one that stands still, one that dies again and again. TAP.
. "$(dirname "$0")/fanin_lib.sh"

# --- the coordinator's daemon is killed while a checkpoint is in each of its phases
phase_count() { grep -c ": $1 at" "$tmp/log"; }
dies_in() { # dies_in PHASE
	was=$(entry snapcd_pid) before=$(phase_count "$1")
	CR_FAULT=$1:1:hang "$tool" "$job" >"$tmp/out2" 2>&1 &
	asked=$!
	i=0
	while [ "$(phase_count "$1")" -le "$before" ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i + 1)); done
	kill -KILL "$was"
	wait "$asked"
	[ $? -ne 0 ]; ok $? "the daemon is killed in phase $1: the request fails"
	replaced "$was"; ok $? "... another one is in the registry"
	checkpoint
	ok $? "... the next checkpoint works"
	i=0
	while [ -n "$(find "$tmp/snaps/$ref" -name '*.tmp')" ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i + 1)); done
	[ -z "$(find "$tmp/snaps/$ref" -name '*.tmp')" ]; ok $? "... nothing is left of the broken one"
}
# Not all in one job: a daemon that dies for the fifth time is given up
for phases in "request quiesce freeze" "dump commit"; do
	start --np 4 --nodes 2
	checkpoint
	ok $? "two nodes, a first checkpoint"
	for phase in $phases; do dies_in "$phase"; done
	[ "$(awk '/^node/ { print $3 }' "$tmp/job" | while read -r p; do kill -0 "$p" && echo x; done | wc -l)" = 2 ]; ok $? "no process of the job has ended"
done
"$tool" --list >"$tmp/out" 2>&1
grep -q '\[0,1,2\]' "$tmp/out"; ok $? "all snapshots are there, their numbers go on"

# --- the supervisor
was=$(entry snapcd_pid)
p=$(daemons snapcd-watch '')
kill -KILL "$p"; gone "$p"
i=0
until grep -q "the supervisor of this daemon has died: a new one" "$tmp/log" || [ $i -gt 600 ]; do sleep 0.05; i=$((i + 1)); done
checkpoint
[ $status -eq 0 ] && [ "$(entry snapcd_pid)" = "$was" ]; ok $? "the supervisor is killed: the daemon goes on, a checkpoint works"
kill -KILL "$was"; replaced "$was"; checkpoint
ok $? "the daemon is killed: the new supervisor puts another one into its place"

# --- a daemon that stands still
end_job
export OMPI_CR_WATCHDOG=3
start --np 2
checkpoint
ok $? "a job whose daemons are watched closely"
was=$(entry snapcd_pid)
kill -STOP "$was"; replaced "$was"; checkpoint
ok $? "a daemon that is stopped is replaced"
unset OMPI_CR_WATCHDOG

# --- one that dies again and again
start --np 1
checkpoint
ok $? "a job on one node"
for i in 1 2 3 4 5; do
	was=$(entry snapcd_pid)
	[ -n "$was" ] || break
	kill -KILL "$was"
	j=0
	until [ ! -e "$tmp/registry/$job.job" ] || [ "$(entry snapcd_pid)" != "$was" ] || [ $j -gt 600 ]; do sleep 0.05; j=$((j + 1)); done
done 2>/dev/null
i=0
until grep -q "it is given up" "$tmp/log" || [ $i -gt 1200 ]; do sleep 0.05; i=$((i + 1)); done
grep -q "it is given up" "$tmp/log" && [ -z "$(daemons snapcd '')$(daemons snapcd-watch '')" ] && [ ! -e "$tmp/registry/$job.job" ]
ok $? "a daemon that dies five times is given up, and nothing of it is left"
kill -0 "$job"; ok $? "the job goes on"
echo "1..$n"
