#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Processes that are not to be saved, until the file "go" comes: "session": one whose session's leader has ended; "epoll": two that hold one epoll.
import ctypes, os, select, sys, time

if sys.argv[1] == "session":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
    else:
        os.waitpid(child, 0)
else:
    epoll = select.epoll()
    child = os.fork()
if child:
    print("ready", flush=True)
while not os.path.exists("go"):
    time.sleep(0.05)
if child:
    os.wait()
