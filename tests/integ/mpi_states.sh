#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A checkpoint in every state of the table in progs/mpi_states.c: pending generalized requests, cancelled receives, matched messages, buffered, synchronous
# and ready sends, library memory, functions of the program that are called from below, the tool interface.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_states" ] || skip_all "mpi_states is not built"
GAP=250
CKPTS=8 chain "interesting states, 2 ranks" 2 "$PROGS/mpi_states" $(n 120)
CKPTS=4 chain "interesting states, 3 ranks" 3 "$PROGS/mpi_states" $(n 150)
done_testing
