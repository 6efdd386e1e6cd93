#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# on-tty.py FILE COMMAND...: run a command whose standard error is a terminal; what it writes there goes to FILE. Ends with the command's status.
import os, pty, select, subprocess, sys

ours, theirs = pty.openpty()
child = subprocess.Popen(sys.argv[2:], stderr=theirs, stdin=subprocess.DEVNULL)
os.close(theirs)
seen = b""
while True:
    ready, _, _ = select.select([ours], [], [], 0.05)
    if ready:
        try:
            data = os.read(ours, 65536)
        except OSError: # every descriptor of the other side is closed
            break
        if not data:
            break
        seen += data
with open(sys.argv[1], "wb") as f:
    f.write(seen)
sys.exit(child.wait())
