#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# A parent sends descriptors to its child, which is always some messages behind: they are under way, and nobody else has them. The two share a memfd, that one of
# them has as memory and the other has open too.
import array, mmap, os, socket, struct, sys, time

LAG = 4
steps = int(sys.argv[1])
mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET if len(sys.argv) < 3 else socket.SOCK_STREAM)
theirs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
token_out, token_in = os.pipe()
memory = os.memfd_create("counter")
os.ftruncate(memory, 4096)
counter = mmap.mmap(memory, 4096)
common = os.open("common", os.O_RDWR | os.O_CREAT | os.O_TRUNC)

def hold():
    """The last steps are not made before the test has done what it wants (step.h)."""
    file = os.environ.get("STEP_HOLD", "").partition(":")[2]
    while file and not os.path.exists(file):
        time.sleep(0.01)

def parent_as_known():
    """After a restart the kernel may know the parent by another id."""
    with open("/proc/self/stat") as f:
        return int(f.read().rsplit(") ", 1)[1].split()[1]) == os.getppid()

def child():
    seen = 0
    while os.read(token_out, 1):
        data, control, flags, _ = theirs.recvmsg(8, socket.CMSG_SPACE(8) + socket.CMSG_SPACE(12))
        fds, who = array.array("i"), None
        for _, kind, content in control:
            if kind == socket.SCM_RIGHTS:
                fds.frombytes(content)
            else:
                who = struct.unpack("3i", content)
        known = who and who[1:] == (os.getuid(), os.getgid()) and (who[0] == os.getppid() or not parent_as_known())
        seen += 1
        struct.pack_into("q", counter, 0, seen)
        answer = "%s:%d:%s:%d" % (data.decode(), len(fds), known, os.fstat(memory).st_size)
        os.write(fds[0], answer.encode())
        os.write(fds[1], b".")  # at the position that all share
        for fd in fds:
            os.close(fd)
    os._exit(7)

pid = os.fork()
if pid == 0:
    os.close(token_in)
    mine.close()
    child()
os.close(token_out)
os.close(memory)
theirs.close()
ends = []
for step in range(steps + LAG):
    if step == steps - 2:
        hold()
    if step < steps:
        out, into = os.pipe()
        mine.sendmsg([b"%08d" % step], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [into, common]))])
        os.close(into)
        ends.append(out)
    if step >= LAG:
        os.write(token_in, b"t")
        end = ends.pop(0)
        text = b""
        while True:  # until its end: nobody has the other one any more
            got = os.read(end, 100)
            if not got:
                break
            text += got
        os.close(end)
        time.sleep(0.01)
        os.write(1, b"step %d %s %d %d\n" % (step - LAG, text, struct.unpack_from("q", counter)[0], os.lseek(common, 0, os.SEEK_CUR)))
os.close(token_in)
os.write(1, b"end %d\n" % (os.waitpid(pid, 0)[1] >> 8))
