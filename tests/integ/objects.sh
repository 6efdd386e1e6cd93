#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All kinds of MPI objects are still what they were after a restart.
. "$(dirname "$0")/lib.sh"
GAP=250
chain "MPI objects, 2 ranks" 2 "$PROGS/mpi_objects" $(n 2400)
CKPTS=8 chain "MPI objects, 4 ranks" 4 "$PROGS/mpi_objects" $(n 900)
done_testing
