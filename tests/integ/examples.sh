#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The examples, built and run as their first comments say.
. "$(dirname "$0")/lib.sh"
export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig
check "mpi/heat.c compiles without a warning" sh -c "mpicc -Wall -Wextra -Werror -O2 -o '$WORK/heat' '$TOP/examples/mpi/heat.c'"
CKPTS=5 chain "mpi/heat.c, 2 ranks" 2 "$WORK/heat" "$(n 4000)"

# shellcheck disable=SC2046
check "libcr/callback.c compiles without a warning" gcc -Wall -Wextra -Werror $(pkg-config --cflags libcr) -o "$WORK/callback" "$TOP/examples/libcr/callback.c" $(pkg-config --libs libcr)
MODE=plain RUN=$WORK/callback.run SEG=0 N_CKPT=0
mkdir -p "$RUN"
start_job 1 "$WORK/callback" 50
for ((i = 0; i < 600; i++)); do grep -q '^step 3' "$RUN/out.1" 2>/dev/null && break || nap 50; done
check "libcr/callback.c: checkpoint" checkpoint --term
job_end 60
restart
job_end 120
check "libcr/callback.c: it was told of checkpoint and restart, and ended" sh -c "[ $RC = 0 ] &&
	[ \"\$(cat '$RUN'/out.* | grep -cE 'a checkpoint comes|^restarted')\" = 2 ] && cat '$RUN'/out.* | grep -q '^done'"
[ $N_FAILED = 0 ] || { say_file "$RUN/err.1"; say_file "$RUN/err.2"; say_file "$RUN/ckpt.err"; cat "$RUN"/out.* | tail -5 | sed 's/^/# /'; }
done_testing
