# SPDX-License-Identifier: GPL-2.0-or-later
"""mpi4py: one-sided communication in every kind of epoch and on every kind of window, and collectives of buffers and of objects."""
import hashlib
import os
import sys
import time

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "serialized"  # what Open MPI 4.1.4's osc/pt2pt can do
from mpi4py import MPI

world = MPI.COMM_WORLD
rank, size = world.Get_rank(), world.Get_size()
left, right = (rank - 1) % size, (rank + 1) % size
WIDTH = 64


def say(*words):
    """A line in one write, as in ring_mpi4py.py"""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def hold(step, steps):
    """As in step.h"""
    at, _, name = os.environ.get("STEP_HOLD", "0").partition(":")
    while name and step >= int(at) + (steps if int(at) < 0 else 0) and not os.path.exists(name):
        time.sleep(0.01)


def numbers(step, who):
    return (np.arange(WIDTH, dtype=np.int64) * 7919 + step * 104729 + who * 1299709) % 1000003


class Windows:
    """Three windows; the one of the counters is locked for as long as the program runs."""

    def __init__(self):
        self.board = MPI.Win.Allocate(WIDTH * 8, 8, comm=world)
        self.mine = np.frombuffer(self.board, dtype=np.int64)
        self.mine[:] = 0
        self.counters = np.zeros(4, dtype=np.int64)
        self.counting = MPI.Win.Create(self.counters, 8, comm=world)
        self.shared = MPI.Win.Allocate_shared(WIDTH * 8, 8, comm=world)
        self.own = np.frombuffer(self.shared.Shared_query(rank)[0], dtype=np.int64)
        self.next = np.frombuffer(self.shared.Shared_query(right)[0], dtype=np.int64)
        self.heap = np.zeros(WIDTH, dtype=np.int64)
        self.dynamic = MPI.Win.Create_dynamic(comm=world)
        self.dynamic.Attach(self.heap)
        self.places = world.allgather(MPI.Get_address(self.heap))
        world.Barrier()
        self.counting.Lock_all()
        self.shared.Lock_all()

    def free(self):
        self.shared.Unlock_all()
        self.counting.Unlock_all()
        self.dynamic.Detach(self.heap)
        for win in (self.dynamic, self.shared, self.counting, self.board):
            win.Free()


def fence_epoch(w, step):
    w.board.Fence()
    w.board.Put(numbers(step, rank), right)
    w.board.Fence()
    assert (w.mine == numbers(step, left)).all()
    got = np.zeros(WIDTH, dtype=np.int64)
    w.board.Get(got, left)
    w.board.Fence(MPI.MODE_NOSUCCEED)
    assert (got == numbers(step, (left - 1) % size)).all()
    return got


def lock_epoch(w, step):
    root = step % size
    if rank == root:
        w.board.Lock(rank)
        w.mine[:] = 0
        w.board.Unlock(rank)
    world.Barrier()
    w.board.Lock(root, MPI.LOCK_SHARED)
    w.board.Accumulate(numbers(step, rank), root, op=MPI.SUM)
    w.board.Unlock(root)
    world.Barrier()
    got = np.zeros(WIDTH, dtype=np.int64)
    w.board.Lock(root, MPI.LOCK_SHARED)
    w.board.Rget(got, root).Wait()
    w.board.Unlock(root)
    world.Barrier()
    assert (got == sum(numbers(step, r) for r in range(size))).all()
    return got


def posted_epoch(w, step):
    group = world.Get_group()
    to, of = group.Incl([right]), group.Incl([left])
    w.board.Post(of)
    w.board.Start(to)
    w.board.Put(numbers(step + 5, rank), right)
    w.board.Complete()
    w.board.Wait()
    for g in (to, of, group):
        g.Free()
    assert (w.mine == numbers(step + 5, left)).all()
    return w.mine


def counted(w, step):
    """The ranks hand a word of rank 0 on, each to the next, and count in another one."""
    one, before, after, mine = (np.zeros(1, dtype=np.int64) for _ in range(4))
    one[0] = 1
    for turn in range(size):
        if turn == rank:
            after[0], mine[0] = step * size + rank + 1, step * size + rank
            w.counting.Compare_and_swap(after, mine, before, 0, 1)
            w.counting.Flush(0)
            assert before[0] == mine[0]
        world.Barrier()
    w.counting.Fetch_and_op(one, before, 0, 0, MPI.SUM)
    w.counting.Flush(0)
    assert before[0] >= step * size
    world.Barrier()
    w.counting.Fetch_and_op(one, before, 0, 0, MPI.NO_OP)
    w.counting.Flush(0)
    assert before[0] == (step + 1) * size
    world.Barrier()
    return before


def shared_words(w, step):
    w.own[:] = numbers(step, rank)
    w.shared.Sync()
    world.Barrier()
    w.shared.Sync()
    got = w.next.copy()
    world.Barrier()
    assert (got == numbers(step, right)).all()
    return got


def dynamic_words(w, step):
    w.dynamic.Lock(right)
    w.dynamic.Rput(numbers(step + 9, rank), right, target=(w.places[right], WIDTH * 8, MPI.BYTE)).Wait()
    w.dynamic.Unlock(right)
    world.Barrier()
    got = w.heap.copy()
    world.Barrier()
    assert (got == numbers(step + 9, left)).all()
    return got


def buffers(cart, step):
    v = numbers(step, rank)
    reduce = world.Iallreduce(v, (total := np.zeros_like(v)), MPI.SUM)
    counts = [1 + (r + step) % 5 for r in range(size)]
    parts = np.zeros(sum(counts), dtype=np.int64)
    world.Allgatherv(v[: counts[rank]], (parts, counts))
    reduce.Wait()
    across = np.zeros(size * 4, dtype=np.int64)
    world.Alltoall(v[: size * 4].copy(), across)
    scan, before, share = (np.zeros_like(v) for _ in range(3))
    world.Scan(v, scan, MPI.SUM)
    world.Exscan(v, before, MPI.MAX)
    world.Reduce_scatter_block(np.concatenate([numbers(step + r, rank) for r in range(size)]), share, MPI.MIN)
    near = np.zeros((2, WIDTH), dtype=np.int64)
    cart.Neighbor_allgather(v, near)
    strided = MPI.INT64_T.Create_vector(WIDTH // 2, 1, 2).Commit()
    every = np.zeros(size * WIDTH // 2, dtype=np.int64)
    world.Gather([v, 1, strided], every if rank == step % size else None, step % size)
    strided.Free()
    if rank:
        scan += before
    return np.concatenate([total, parts, across, scan, share, near.ravel(), every])


def objects(step):
    part = world.scatter([{"for": r, "step": step} for r in range(size)] if rank == step % size else None, step % size)
    assert part == {"for": rank, "step": step}
    every = world.alltoall([(rank, r, step) for r in range(size)])
    assert every == [(r, rank, step) for r in range(size)]
    text = world.allreduce("%d:" % ((rank + 1) * step), lambda a, b: a + b)
    return text + world.scan(str(rank))


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    cart = world.Create_cart([size], periods=[True])
    w = Windows()
    state = hashlib.sha256()
    for step in range(steps):
        for part in (fence_epoch, lock_epoch, posted_epoch, counted, shared_words, dynamic_words):
            state.update(part(w, step).tobytes())
        state.update(buffers(cart, step).tobytes())
        state.update(objects(step).encode())
        every = world.gather(state.hexdigest(), 0)
        if rank == 0:
            if step % 5 == 0:
                say("step", step, hashlib.sha256("".join(every).encode()).hexdigest()[:16])
            hold(step, steps)
    w.free()
    cart.Free()
    if rank == 0:
        say("ok")


main()
