#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The three Fortran interfaces, on Debian's own binding libraries.
. "$(dirname "$0")/lib.sh"
GAP=250
chain "mpi_f08, 2 ranks" 2 "$PROGS/ring_f08" "$(fit 250000 4 2 "$PROGS/ring_f08")"
CKPTS=5 chain "mpif.h, 2 ranks" 2 "$PROGS/ring_mpifh" "$(fit 250000 3 2 "$PROGS/ring_mpifh")"
CKPTS=5 chain "mpi module, 2 ranks" 2 "$PROGS/ring_mpimod" "$(fit 50000 3 2 "$PROGS/ring_mpimod")"
CKPTS=4 chain "mpi_f08, 4 ranks" 4 "$PROGS/ring_f08" $(n 20000)
done_testing
