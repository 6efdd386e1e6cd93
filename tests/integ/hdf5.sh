#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Parallel HDF5: Debian's h5py with MPI. Output and file must be the same as in one uninterrupted run.
. "$(dirname "$0")/lib.sh"
/usr/bin/python3 -c 'import mpi4py, h5py._debian_h5py_mpi' 2>/dev/null || skip_all "h5py with MPI is not installed (Debian: python3-h5py-mpi)"
need h5dump hdf5-tools
GAP=400 CKPTS=${HDF5_CKPTS:-5}
chain "h5py, 2 ranks" 2 /usr/bin/python3 "$SRC/parallel_hdf5.py" "$(n 400)" data.h5
check "the file is the same" cmp -s <(cd "$WORK/ref" && h5dump data.h5) <(cd "$WORK/run" && h5dump data.h5)
done_testing
