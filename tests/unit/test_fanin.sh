#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Daemons in a tree: how many connections and messages there are for 4 to 256 ranks; an inner node dies. TAP.
. "$(dirname "$0")/fanin_lib.sh"

# --- connections and messages: with 3 connections per node at most, and answers put together, neither grows with the job
export OMPI_CR_FANIN=3
for size in 4:2 64:12 256:12; do
	np=${size%:*} nodes=${size#*:}
	start --np "$np" --nodes "$nodes"
	checkpoint
	ok $? "$np ranks on $nodes nodes: a checkpoint"
	ask
	[ "$(value nodes)" = "$nodes" ] && [ "$(value np)" = "$np" ] && [ "$(value connections)" -le 3 ]
	ok $? "... the coordinator knows all of them by $(value connections) connections"
	most=$("$python" "$tmp/daemons.py" snapcd "$tmp/log.node*" | sort -k2n | tail -n 1 | cut -d' ' -f2)
	[ "$most" -ge 1 ] && [ "$most" -le 3 ]; ok $? "... no node has more than 3 ($most)"
	before_in=$(value frames_in) before_out=$(value frames_out) before_msgs=$(value messages_in)
	checkpoint
	ok $? "... another checkpoint"
	ask
	in=$(($(value frames_in) - before_in)) out=$(($(value frames_out) - before_out)) msgs=$(($(value messages_in) - before_msgs))
	echo "# $np ranks, $nodes nodes: coordinator's frames per checkpoint: $in in (with $msgs messages), $out out"
	[ $msgs -ge $((8 * np)) ]; ok $? "... every rank has answered"
	[ "$np" -lt 64 ] || { [ $((in * 2)) -lt $msgs ] && [ $((out * 4)) -lt $msgs ]; }; ok $? "... in few frames"
done

# --- an inner node dies: those below come back on another way. Of 7 nodes with 3 connections each some are below others
start --np 14 --nodes 7
checkpoint
ok $? "7 nodes"
inner=
for m in 0 1 2 3 4 5 6; do
	[ "$("$python" "$tmp/daemons.py" snapcd "$tmp/log.node$m" | cut -d' ' -f2)" -gt 1 ] && inner=$m
done
[ -n "$inner" ]; ok $? "node $inner has others below it"
p=$(daemons snapcd ".node$inner")
kill -KILL "$p"; gone "$p"
checkpoint
ok $? "its daemon is killed: another one takes its place, a checkpoint works"
grep -q "a new one takes its place" "$tmp/log.node$inner"; ok $? "the node's log says so"
kill -KILL "$(sed -n "s/^node $inner //p" "$tmp/job")" # its orted: node, daemons and ranks
i=0
while "$tool" --check "$job" >"$tmp/out" 2>"$tmp/err" && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done
grep -q "not there yet" "$tmp/err"; ok $? "the whole node dies: its ranks are missed"
i=0
while ask && [ "$(value nodes)" != 6 ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done
[ "$(value nodes)" = 6 ]; ok $? "the other nodes have found another way"

# --- over IPv6 alone, in a tree as well
if grep -qs ' lo$' /proc/net/if_inet6; then
	OMPI_CR_NETWORK=::1/128 start --np 7 --nodes 7
	checkpoint
	ok $? "7 nodes over IPv6: a checkpoint"
	grep -qE 'other nodes: \[::1\]:[0-9]+,' "$tmp/log" && grep -qE 'node .* \(\[::1\]:[0-9]+\) is number' "$tmp/log"; ok $? "... nodes are told an IPv6 address, and come from one"
	grep -q 'below node' "$tmp/log"; ok $? "... some by way of others"
	! grep -q '127\.0\.0\.1' "$tmp/log"; ok $? "... and none over IPv4"
	p=$(entry snapcd_pid)
	kill -KILL "$p"; replaced "$p"; checkpoint
	ok $? "... the coordinator's daemon is killed: the nodes come back, a checkpoint works"
else
	n=$((n + 1)); echo "ok $n - 7 nodes over IPv6 # SKIP this machine has no IPv6"
fi
echo "1..$n"
