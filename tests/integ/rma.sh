#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One-sided communication: checkpoints and restarts inside every kind of epoch (the table in progs/mpi_rma.c).
. "$(dirname "$0")/lib.sh"
GAP=250 LIMIT=600 # it is short of breath on a busy machine: three ranks that wait actively
# For the reference: Open MPI 4.1.4's osc/rdma, its first choice within a node, crashes in MPI_Compare_and_swap on memory of the calling rank.
export OMPI_MCA_osc=pt2pt,sm
chain "one-sided, 3 ranks" 3 "$PROGS/mpi_rma" $(n 2500)
done_testing
