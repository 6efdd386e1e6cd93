#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files of MPI-IO that are open over checkpoints and restarts: every access, view, pointer and mode; what they hold at the end; what is refused.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_files" ] || skip_all "mpi_files is not built"
GAP=250
FILES='view.dat shared.dat split.dat atomic.dat sequential.dat append.dat ext.dat self.0.dat self.1.dat'
CKPTS=8 chain "files of every kind, 2 ranks" 2 "$PROGS/mpi_files" $(n 80)
done_testing
