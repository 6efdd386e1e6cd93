# SPDX-License-Identifier: GPL-2.0-or-later
# A redis-server on a unix socket; one client that stays connected, and one for each step.
import os, socket, subprocess, sys, time

server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no", "--logfile", "/dev/null"])
client = socket.socket(socket.AF_UNIX)
while client.connect_ex("redis.sock"):
    time.sleep(0.02)
answers = client.makefile("rb")

def hold():
    """The last steps are not made before the test has done what it wants (step.h)."""
    file = os.environ.get("STEP_HOLD", "").partition(":")[2]
    while file and not os.path.exists(file):
        time.sleep(0.01)

def ask(*words):
    client.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in (str(word).encode() for word in words)))
    return answers.readline()[1:].strip().decode()

total = 1
steps = int(sys.argv[1])
for step in range(steps):
    if step == steps - 2:
        hold()
    for i in range(20):
        total = ask("incrby", "total", step * i % 97)
        length = ask("rpush", "list", "%d-%d-%s" % (step, i, total))
    answer = ask("eval", "local t = 0 for i = 1, 20000 do t = (t * 31 + i) % 1000003 end return t", 0)
    other = subprocess.run(["redis-cli", "-s", "redis.sock", "lindex", "list", str(int(length) // 2)], stdout=subprocess.PIPE).stdout.decode()
    os.write(1, ("step %d %s %s %s %s\n" % (step, total, length, answer, other.strip())).encode())
ask("shutdown", "nosave")
os.write(1, b"end, status %d\n" % server.wait())
