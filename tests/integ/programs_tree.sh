#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that consist of several processes, as Debian ships them, saved as trees and restarted in the middle: their output is that of an uninterrupted run.
# shellcheck source=tests/integ/lib.sh
. "$(dirname "$0")/lib.sh"
MODE=plain GAP=200 LIMIT=120 CKPT_ARGS=--tree
CKPTS=${PROGRAM_CKPTS:-3}
if [ "${STRESS:-}" = long ]; then CKPTS=40; fi
need cr_run "(this project: make install)"
want() { [ -z "${ONLY:-}" ] || [[ $1 == *$ONLY* ]]; }
HERE=$SRC/programs
STEPS=$(n 100)
[ "${STRESS:-}" = long ] && STEPS=1000
export LC_ALL=C

# name, what it needs, the program and its arguments
while IFS='|' read -r name needs program; do
	read -r name <<<"$name"
	[ -n "$name" ] && want "$name" || continue
	for one in $needs; do need "$one" "$name"; done
	eval "chain \"$name\" 1 $program"
done <<'TABLE'
python3, multiprocessing | /usr/bin/python3      | /usr/bin/python3 "$HERE/processes.py" $((STEPS * 40 / 100))
redis-server and clients | redis-server redis-cli | /usr/bin/python3 "$HERE/redis.py" $((STEPS * 30 / 100))
nginx and curl           | nginx curl            | /bin/bash "$HERE/nginx.bash" $((STEPS * 16 / 100))
R                        | R                     | /usr/bin/R -s -f "$HERE/count.R" --args $((STEPS * 3))
TABLE

if want gcc; then
	need gcc gcc
	FILES="many.1.o many.2.o" chain "gcc and its children" 1 /bin/bash "$HERE/compile.bash" $STEPS
fi
done_testing
