#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Processes that are not to be saved, until the file "go" comes: "session": one whose session's leader has ended; "epoll": two that hold one epoll.
# "memfd": two that map one memfd. "open_memfd": one that maps it, and one that only has it open.
import ctypes, mmap, os, select, sys, time

if sys.argv[1] == "session":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
    else:
        os.waitpid(child, 0)
elif sys.argv[1] == "epoll":
    epoll = select.epoll()
    child = os.fork()
else:
    memory = os.memfd_create("shared")
    os.ftruncate(memory, 4096)
    if sys.argv[1] == "memfd":
        mapped = mmap.mmap(memory, 4096)
    child = os.fork()
    if child and sys.argv[1] == "open_memfd":
        mapped = mmap.mmap(memory, 4096)
if child:
    print("ready", flush=True)
while not os.path.exists("go"):
    time.sleep(0.05)
if child:
    os.wait()
