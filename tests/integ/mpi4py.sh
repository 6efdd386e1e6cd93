#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Python with mpi4py: a dynamic language, loaded extension modules, pickled messages.
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 -c 'import mpi4py' 2>/dev/null || skip_all "mpi4py is not installed (Debian: python3-mpi4py)"
GAP=300
chain "mpi4py, 2 ranks" 2 /usr/bin/python3 "$SRC/ring_mpi4py.py" $(n 30000)
done_testing
