# SPDX-License-Identifier: GPL-2.0-or-later
# multiprocessing as most programs use it: a pool, workers of their own that take work from one queue and answer into another, a shared value with its lock.
import multiprocessing, os, sys, time

def hold():
    """The last steps are not made before the test has done what it wants (step.h)."""
    file = os.environ.get("STEP_HOLD", "").partition(":")[2]
    while file and not os.path.exists(file):
        time.sleep(0.01)

def power(n):
    return pow(3, 2000 + n, 1000003)

def worker(number, work, answers, total):
    for n in iter(work.get, None):
        with total.get_lock():
            total.value += n
        answers.put((n, number >= 0, sum(i * i for i in range(n % 50))))

def say(text):
    os.write(1, (text + "\n").encode())

def main(steps):
    multiprocessing.set_start_method("fork")
    work, answers, total = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Value("q", 0)
    workers = [multiprocessing.Process(target=worker, args=(i, work, answers, total)) for i in range(2)]
    for w in workers:
        w.start()
    with multiprocessing.Pool(2) as pool:
        for step in range(steps):
            if step == steps - 2:
                hold()
            for n in range(8):
                work.put(step * 8 + n)
            powers = pool.map(power, range(step, step + 20))
            got = sorted(answers.get() for n in range(8))
            say("step %d %d %d %d" % (step, sum(powers), sum(g[2] for g in got), got[0][0]))
    for w in workers:
        work.put(None)
    for w in workers:
        w.join()
    say("total %d, status %s" % (total.value, [w.exitcode for w in workers]))

main(int(sys.argv[1]))
