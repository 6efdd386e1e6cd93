#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Processes that are not to be saved, until the file "go" comes: "session": one whose session's leader has ended; "epoll": two that hold one epoll.
# "owner": two that share a pipe that tells their process group. "memfd": one that has sent to the other what it has as memory, and closed it.
import ctypes, fcntl, os, select, socket, sys, time

if sys.argv[1] == "session":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
    else:
        os.waitpid(child, 0)
elif sys.argv[1] == "owner":
    out, into = os.pipe()
    child = os.fork()
    if child:
        fcntl.fcntl(out, fcntl.F_SETOWN, -os.getpgrp())
elif sys.argv[1] == "epoll":
    epoll = select.epoll()
    child = os.fork()
else:
    mine, theirs = socket.socketpair()
    child = os.fork()
    if child:
        memory = os.memfd_create("passed")
        os.ftruncate(memory, 4096)
        ctypes.CDLL(None).mmap.restype = ctypes.c_void_p
        ctypes.CDLL(None).mmap(None, 4096, 3, 1, memory, 0)  # that of the module keeps a descriptor
        socket.send_fds(mine, [b"take it"], [memory])
        os.close(memory)
if child:
    print("ready", flush=True)
while not os.path.exists("go"):
    time.sleep(0.05)
if child:
    os.wait()
