#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The three Fortran interfaces, on Debian's own binding libraries.
. "$(dirname "$0")/lib.sh"
GAP=250
chain "mpi_f08, 2 ranks" 2 "$PROGS/ring_f08" $(n 350000)
chain "mpif.h, 2 ranks" 2 "$PROGS/ring_mpifh" $(n 450000)
chain "mpi module, 2 ranks" 2 "$PROGS/ring_mpimod" $(n 70000)
CKPTS=6 chain "mpi_f08, 4 ranks" 4 "$PROGS/ring_f08" $(n 40000)
done_testing
