#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Python with mpi4py: a dynamic language, loaded extension modules, pickled messages.
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 -c 'import mpi4py' 2>/dev/null || skip_all "mpi4py is not installed (Debian: python3-mpi4py)"
GAP=300
chain "mpi4py, 2 ranks" 2 /usr/bin/python3 "$SRC/ring_mpi4py.py" $(n 30000)
# One-sided communication and collectives. osc/pt2pt for the reference: as in rma.sh
export OMPI_MCA_osc=pt2pt,sm
CKPTS=5 chain "mpi4py, windows and collectives, 3 ranks" 3 /usr/bin/python3 "$SRC/more_mpi4py.py" "$(fit 2000 4 3 /usr/bin/python3 "$SRC/more_mpi4py.py")"
done_testing
