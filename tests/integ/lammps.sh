#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's unmodified LAMMPS: a Lennard-Jones melt, thermodynamic output compared line by line; also its log file.
. "$(dirname "$0")/lib.sh"
need lmp lammps
filter() { awk '$1 ~ /^[0-9]+$/ && NF == 5'; }
FILES=log.lammps GAP=700
chain "lammps, 2 ranks" 2 lmp -in "$TOP/examples/lammps/melt.in" -var steps "$(n 2000)" -var every 20
done_testing
