#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A shell with background jobs, pipelines, a co-process, statuses and signals between its processes.
steps=${1:-12}
state=1
pause() { /bin/sleep "0.0$1"; }
coproc UPPER { while read -r line; do echo "${line^^}"; done; }
exec 7>&"${UPPER[1]}"
for ((s = 0; s < steps; s++)); do
	(pause 4; exit $((s % 7))) &
	one=$!
	{ pause 2; echo "a $s"; pause 2; echo "b $s"; } | { while read -r word n; do state=$(( (state * 31 + n + ${#word}) % 100003 )); done; exit $((state % 5)); } &
	two=$!
	/bin/sh -c 'trap "exit 9" TERM; echo up; while :; do /bin/sleep 0.01; done' >&7 &
	three=$!
	read -r up <&"${UPPER[0]}" # its trap is set
	echo "word $s" >&"${UPPER[1]}"
	read -r answer <&"${UPPER[0]}"
	wait $one; r1=$?
	wait $two; r2=$?
	kill -0 $three || echo "process three is gone"
	pause 2
	kill -TERM $three
	wait $three; r3=$?
	sum=$(seq 1 $((s + 3)) | sort -rn | /usr/bin/awk '{ t = t * 7 + $1; t %= 9973 } END { print t }')
	echo "step $s $r1 $r2 $r3 $sum $answer"
done
exec {UPPER[1]}>&- 7>&-
wait
echo ok
