# SPDX-License-Identifier: GPL-2.0-or-later
# Built by their users, and by tests/integ/examples.sh.

EXTRA_DIST += examples/README.md examples/mpi/heat.c examples/libcr/callback.c examples/slurm/job.sbatch examples/lammps/melt.in
