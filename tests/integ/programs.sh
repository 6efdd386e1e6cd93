#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Interpreters and other programs as Debian ships them, restarted in the middle: their output is that of an uninterrupted run.
# shellcheck source=tests/integ/lib.sh
. "$(dirname "$0")/lib.sh"
MODE=plain GAP=150 LIMIT=90
CKPTS=${PROGRAM_CKPTS:-4}
if [ "${STRESS:-}" = long ]; then CKPTS=40; fi
need cr_run "(this project: make install)"
want() { [ -z "${ONLY:-}" ] || [[ $1 == *$ONLY* ]]; }
HERE=$SRC/programs
STEPS=$(n 100)
[ "${STRESS:-}" = long ] && STEPS=1000
# The same again and again
SQL=()
for ((i = 0; i < STEPS / 10; i++)); do SQL+=(".read $HERE/count.sql"); done
export LC_ALL=C

# name, file that is run, its arguments. Each prints a line per step, from state that grows with the steps, and takes a few milliseconds for one.
while IFS='|' read -r name program args; do
	read -r name <<<"$name"
	read -r program <<<"$program"
	[ -n "$name" ] && want "$name" || continue
	need "$program" "$name"
	# shellcheck disable=SC2086
	eval "chain \"$name\" 1 \"$(command -v "$program")\" $args"
done <<'TABLE'
zsh                   | zsh      | -f "$HERE/count.zsh" $((STEPS * 25))
perl                  | perl     | "$HERE/count.pl" $((STEPS * 6))
python3, threads      | /usr/bin/python3 | "$HERE/threads.py" $((STEPS * 5))
ruby                  | ruby     | "$HERE/count.rb" $((STEPS * 5))
lua                   | lua5.4   | "$HERE/count.lua" $((STEPS * 50))
tcl                   | tclsh    | "$HERE/count.tcl" $((STEPS * 5))
gawk                  | gawk     | -f "$HERE/count.awk" -v steps=$((STEPS * 5))
sqlite3, in memory    | sqlite3  | :memory: "${SQL[@]}" .quit
openssl in python3    | /usr/bin/python3 | "$HERE/digests.py" $((STEPS * 12))
gnuplot               | gnuplot  | -e "last=$((STEPS * 6 / 10))" "$HERE/count.gp"
TABLE

# The numbers that it prints are its own measurements: everything else is the same. Not by the time of the processor: that of a process begins at a restart
if want "openssl speed"; then
	need openssl openssl
	filter() { sed -E 's/[0-9]+(\.[0-9]+)?k?//g; s/ +/ /g'; }
	chain "openssl speed" 1 "$(command -v openssl)" speed -elapsed -seconds 1 -bytes 4096 sha1 sha256 sha512 aes-128-cbc
fi
done_testing
