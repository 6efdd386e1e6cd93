#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A shell as the program: its own arithmetic, arrays, a function with a trap, a command now and then.
steps=${1:-60}
declare -A book
state=12345
trap 'hits=$((hits + 1))' USR1
turn()
{
	local i
	for ((i = 0; i < 1500; i++)); do
		state=$(( (state * 1103515245 + 12345) & 0x7fffffff ))
	done
	book[$((state % 17))]=$state
}
for ((s = 0; s < steps; s++)); do
	turn
	kill -USR1 $$
	if ((s % 20 == 19)); then
		state=$(( state ^ $(/usr/bin/expr "$s" + 1) ))
	fi
	echo "step $s $state ${#book[@]} $hits"
	# as in step.h
	if [ -n "$STEP_HOLD" ] && [ "$s" -ge $((steps + ${STEP_HOLD%%:*})) ]; then until [ -e "${STEP_HOLD#*:}" ]; do :; done; fi
done
echo ok
