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
STEPS=$(n 150)
[ "${STRESS:-}" = long ] && STEPS=3000
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
zsh                   | zsh      | -f "$HERE/count.zsh" $STEPS
perl                  | perl     | "$HERE/count.pl" $STEPS
python3, threads      | python3  | "$HERE/threads.py" $STEPS
ruby                  | ruby     | "$HERE/count.rb" $STEPS
lua                   | lua5.4   | "$HERE/count.lua" $STEPS
tcl                   | tclsh    | "$HERE/count.tcl" $STEPS
gawk                  | gawk     | -f "$HERE/count.awk" -v steps=$STEPS
sqlite3, in memory    | sqlite3  | -init "$HERE/count.sql" :memory: .quit
sqlite3, a file       | sqlite3  | -init "$HERE/count.sql" numbers.db .quit
openssl in python3    | python3  | "$HERE/digests.py" $STEPS
gnuplot               | gnuplot  | "$HERE/count.gp"
TABLE

# The numbers that it prints are its own measurements: everything else is the same
if want "openssl speed"; then
	need openssl openssl
	filter() { sed -E 's/[0-9]+(\.[0-9]+)?//g; s/ +/ /g'; }
	chain "openssl speed" 1 "$(command -v openssl)" speed -seconds 1 -bytes 4096 sha256 sha512 aes-128-cbc
fi
done_testing
