#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The random messages of integ/stress with all the rest between them: windows, a file, communicators that come and go, derived datatypes, pending
# non-blocking collectives, and a second thread with messages and collectives of its own. STRESS=long takes hundreds of checkpoints and dozens of restarts.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_stress" ] || skip_all "mpi_stress is not built"
if [ "${STRESS:-}" = long ]; then
	CKPTS=300 LIMIT=3000 ROUNDS=${ROUNDS:-60000}
else
	CKPTS=${STRESS_CKPTS:-8} LIMIT=300 ROUNDS=${ROUNDS:-$(n 2000)}
fi
GAP=200
filter() { grep -E '^ok|checksum'; }
for threads in 1 2; do
	chain "everything, 2 ranks, $threads threads, seed $SEED" 2 "$PROGS/mpi_stress" --seed "$SEED" --rounds "$ROUNDS" --max-bytes 200000 --more 1 --file data --threads $threads
	check "the file is the same" cmp "$WORK/ref/data" "$WORK/run/data"
done
done_testing
