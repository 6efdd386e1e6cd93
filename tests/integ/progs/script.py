# SPDX-License-Identifier: GPL-2.0-or-later
"""Python: threads, generators, arbitrary integers, hashes, an open file; every line depends on all before it."""
import hashlib
import os
import queue
import sys
import tempfile
import threading
import time


def worker(todo, done):
    while True:
        item = todo.get()
        if item is None:
            return
        done.put(hashlib.sha256(item).digest())


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
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    todo, done = queue.Queue(), queue.Queue()
    thread = threading.Thread(target=worker, args=(todo, done))
    thread.start()
    state, big, pid = b"start", 3, os.getpid()
    with tempfile.TemporaryFile() as out:
        for step in range(steps):
            todo.put(state + str(big % (1 << 61)).encode())
            state = done.get()
            big = big * 7 + int.from_bytes(state[:4], "big")
            out.write(state)
            if step % 10 == 0:
                out.seek(0)
                state = hashlib.sha256(out.read()).digest()
            assert os.getpid() == pid
            say("step", step, state.hex()[:24])
            hold(step, steps)
            time.sleep(0.008)
    todo.put(None)
    thread.join()
    say("ok")


main()
