#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The three Fortran interfaces, on Debian's own binding libraries.
. "$(dirname "$0")/lib.sh"
GAP=250
chain "mpi_f08, 2 ranks" 2 "$PROGS/ring_f08" "$(fit 350000 8 2 "$PROGS/ring_f08")"
CKPTS=8 chain "mpif.h, 2 ranks" 2 "$PROGS/ring_mpifh" "$(fit 450000 4 2 "$PROGS/ring_mpifh")"
CKPTS=8 chain "mpi module, 2 ranks" 2 "$PROGS/ring_mpimod" "$(fit 70000 4 2 "$PROGS/ring_mpimod")"
CKPTS=6 chain "mpi_f08, 4 ranks" 4 "$PROGS/ring_f08" $(n 40000)
done_testing
