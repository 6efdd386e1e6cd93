#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# OpenMP teams inside of MPI ranks.
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive # more threads than cores: waiting ones must not spin
# Two threads of a rank on one core would only wait for each other.
export OMPI_MCA_hwloc_base_binding_policy=none
GAP=300
chain "OpenMP + MPI, 2 ranks of 2 threads" 2 "$PROGS/omp_mpi" "$(fit 8000 12 2 "$PROGS/omp_mpi")"
done_testing
