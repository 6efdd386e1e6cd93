#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random messages (sizes, wildcards, communicators, every kind of send, receive and probe, collectives between), each byte and the order checked by the
# program itself, while checkpoints come at random moments. STRESS=long takes a few hundred checkpoints.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_stress" ] || skip_all "mpi_stress is not built"
if [ "${STRESS:-}" = long ]; then
	CKPTS=300 LIMIT=3000 ROUNDS=${ROUNDS:-400000}
else
	CKPTS=${STRESS_CKPTS:-12} LIMIT=400 ROUNDS=${ROUNDS:-12000}
fi
GAP=200
filter() { grep -E '^ok|checksum'; }
for np in 2 3; do
	chain "stress, $np ranks, seed $SEED" "$np" "$PROGS/mpi_stress" --seed "$SEED" --rounds "$ROUNDS"
done
done_testing
