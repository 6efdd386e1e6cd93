# Four threads pass numbers on in a ring of queues, each adding what it knows; a generator, a lock and a condition are under way all the time.
import queue, sys, threading, time

steps = int(sys.argv[1])
queues = [queue.Queue() for _ in range(5)]

def say(*words):
    """A line in one write: a checkpoint between two writes of a line would show it cut in two. print() makes several, with PYTHONUNBUFFERED."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()

def known():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, (a + b) % 1000003

def work(i):
    mine = known()
    while True:
        v = queues[i].get()
        if v is None:
            break
        queues[i + 1].put((v * 31 + next(mine) + i) % 1000000007)
    queues[i + 1].put(None)

threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for t in threads:
    t.start()
total = 1
for step in range(1, steps + 1):
    queues[0].put(total)
    total = queues[4].get()
    time.sleep(0.003)
    say("step", step, total)
queues[0].put(None)
for t in threads:
    t.join()
say("end", queues[4].get(), threading.active_count())
