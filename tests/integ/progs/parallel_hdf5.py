# SPDX-License-Identifier: GPL-2.0-or-later
# Parallel HDF5 by Debian's h5py: all ranks write and read one file, collectively and each by itself; datasets are made on the way. No place of the file is
# written twice with different contents: what a killed life wrote after its last checkpoint is still there when the job goes on from before it.
import sys

import h5py
import numpy as np
from mpi4py import MPI

WIDTH, EVERY = 512, 10
comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
steps = int(sys.argv[1])
assert h5py.get_config().mpi


def say(*words):
    """A line in one write: a checkpoint between two writes of a line would show it cut in two. print() makes several, with PYTHONUNBUFFERED."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def row(s, r):
    return (np.arange(WIDTH, dtype=np.int64) * 7919 + s * 104729 + r * 1299709) % 1000003


with h5py.File(sys.argv[2], "w", driver="mpio", comm=comm) as f:
    rows = f.create_dataset("rows", (steps, size, WIDTH), dtype=np.int64)
    total = 0
    for s in range(steps):
        if s % EVERY == 0:
            group = f.create_group("part%d" % (s // EVERY))
            sums = group.create_dataset("sums", (EVERY, size), dtype=np.int64)
            group.attrs["first"] = s
        if s % 3 == 0:
            rows[s, rank, :] = row(s, rank)
        else:
            with rows.collective:
                rows[s, rank, :] = row(s, rank)
        comm.Barrier()
        if s % 4 == 0:
            f.flush()
        back = s - s % 5
        r = (rank + s) % size
        got = rows[back, r, :]
        assert (got == row(back, r)).all(), "rank %d, step %d: row %d of rank %d is wrong" % (rank, s, back, r)
        mine = int(got.sum())
        sums[s % EVERY, rank] = mine
        total = comm.allreduce(mine + total % 1000003)
        if rank == 0:
            say("step", s, total)
if rank == 0:
    with h5py.File(sys.argv[2], "r") as f:
        assert len(f) == 1 + (steps + EVERY - 1) // EVERY
        assert all((f["rows"][s, r] == row(s, r)).all() for s in range(steps) for r in range(size))
    say("ok")
