# SPDX-License-Identifier: GPL-2.0-or-later
"""mpi4py: pickled objects (size, then data: two messages of different type), buffers, communicators, a dynamic language's heap."""
import hashlib
import os
import sys
import time

from mpi4py import MPI


def say(*words):
    """A line in one write: a checkpoint between two writes of a line would show it cut in two. print() makes several, with PYTHONUNBUFFERED."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def hold(step, steps):
    """As in step.h"""
    at, _, name = os.environ.get("STEP_HOLD", "0").partition(":")
    while name and step >= int(at) + (steps if int(at) < 0 else 0) and not os.path.exists(name):
        time.sleep(0.01)


def main():
    world = MPI.COMM_WORLD
    rank, size = world.Get_rank(), world.Get_size()
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    cart = world.Create_cart([size], periods=[True])
    left, right = cart.Shift(0, 1)
    half = world.Split(rank % 2, rank)
    state = hashlib.sha256(str(rank).encode()).hexdigest()
    data = bytearray(10000)
    for step in range(steps):
        req = cart.isend({"step": step, "state": state, "list": list(range(step % 50))}, right, tag=step % 9)
        for _ in range(60):
            state = hashlib.sha256(state.encode()).hexdigest()
        got = cart.recv(source=MPI.ANY_SOURCE, tag=step % 9)
        req.wait()
        assert got["step"] == step and len(got["list"]) == step % 50
        state = hashlib.sha256((state + got["state"]).encode()).hexdigest()
        root = step % size
        word = world.bcast(state if rank == root else None, root)
        short = world.bcast((step, word[:3]) if rank == root else None, root)
        assert short == (step, word[:3])
        total = half.allreduce(int(state[:8], 16))
        data[step % 10000] = total & 255
        out = bytearray(len(data))
        cart.Sendrecv([data, MPI.BYTE], dest=left, recvbuf=[out, MPI.BYTE], source=right)
        every = world.gather(hashlib.sha256(bytes(out) + state.encode()).hexdigest(), 0)
        if rank == 0 and step % 5 == 0:
            say("step", step, total, hashlib.sha256("".join(every).encode()).hexdigest()[:16])
        if rank == 0:
            hold(step, steps)
    half.Free()
    cart.Free()
    if rank == 0:
        say("ok")


main()
