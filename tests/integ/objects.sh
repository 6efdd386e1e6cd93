#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All kinds of MPI objects are still what they were after a restart.
. "$(dirname "$0")/lib.sh"
GAP=250
chain "MPI objects, 2 ranks" 2 "$PROGS/mpi_objects" $(n 2400)
CKPTS=8 chain "MPI objects, 4 ranks" 4 "$PROGS/mpi_objects" $(n 900)
CKPTS=6 chain "communicators on their way, 3 ranks" 3 "$PROGS/mpi_idup" "$(fit 2000 3 3 "$PROGS/mpi_idup")"
done_testing
