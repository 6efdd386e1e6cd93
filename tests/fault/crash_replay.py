#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a power loss may leave: crash_replay.py LOG BEFORE REF WORK MUST...

LOG is what crash_shim.so wrote down while a program ran on a copy of the tree BEFORE. After each operation the states that the disk may be in are
built: what was not fsync'ed (data of a file by its own fsync, an entry of a directory by that of the directory) is there, or not, or in part. Each
different one is judged: `ompi-snapshot verify REF` and `ompi-restart --dry-run` must be content, and the sequences that are listed must be one of
the sets MUST ("0", "0,1", "none"), the last of them when the program had ended.
"""
import os
import shutil
import subprocess
import sys


class File:
    def __init__(self, data=b""):
        self.data, self.safe = data, data  # as programs see it; as the disk has it for sure


class Dir:
    def __init__(self):
        self.entries, self.safe = {}, {}
        self.pending = []  # [{name: object or None}]: one dict for each operation since the last fsync


def load(path):
    d = Dir()
    for name in os.listdir(path):
        p = os.path.join(path, name)
        d.entries[name] = load(p) if os.path.isdir(p) else File(open(p, "rb").read())
    d.safe = dict(d.entries)
    return d


class Disk:
    def __init__(self, root, before):
        self.root, self.top = root, load(before)

    def find(self, path):
        o = self.top
        for w in os.path.relpath(path, self.root).split("/"):
            if w != ".":
                o = o.entries[w]
        return o

    def change(self, path, changes):
        d = self.find(os.path.dirname(path))
        for name, o in changes.items():
            if o is None:
                d.entries.pop(name, None)
            else:
                d.entries[name] = o
        d.pending.append(changes)

    def do(self, what, path, other, data):
        name = os.path.basename(path)
        if what == "create":
            parent = self.find(os.path.dirname(path))
            if name not in parent.entries:
                self.change(path, {name: File()})
            elif other == "truncate":
                parent.entries[name].data = b""
        elif what == "mkdir":
            self.change(path, {name: Dir()})
        elif what == "write":
            self.find(path).data += data
        elif what == "fsync":
            try:
                o = self.find(path) if path.startswith(self.root) else None
            except KeyError:
                o = None
            if isinstance(o, File):
                o.safe = o.data
            elif o:
                o.safe, o.pending = dict(o.entries), []
        elif what == "rename":
            assert os.path.dirname(path) == os.path.dirname(other)
            self.change(path, {name: None, os.path.basename(other): self.find(path)})
        elif what in ("unlink", "rmdir"):
            self.change(path, {name: None})
        else:
            raise SystemExit("unknown operation " + what)

    def pending(self):
        """Directories with operations that may or may not be on the disk."""
        found, todo, seen = [], [self.top], set()
        while todo:
            d = todo.pop()
            if id(d) in seen:
                continue
            seen.add(id(d))
            found += [(d, i) for i in range(len(d.pending))]
            every = list(d.entries.values()) + list(d.safe.values()) + [o for c in d.pending for o in c.values() if o]
            todo += [o for o in every if isinstance(o, Dir)]
        return found

    def states(self):
        p = self.pending()
        choices = [set(range(len(p))), set()]
        choices += [set(range(len(p))) - {i} for i in range(len(p))] + [{i} for i in range(len(p))]
        for kept in choices:
            for data in ("all", "safe", "torn", "zeros"):
                yield self.build(self.top, {(id(p[i][0]), p[i][1]) for i in kept}, data)

    def build(self, d, kept, data):
        entries = dict(d.safe)
        for i, changes in enumerate(d.pending):
            if (id(d), i) not in kept:
                continue
            for name, o in changes.items():
                if o is None:
                    entries.pop(name, None)
                else:
                    entries[name] = o
        out = {}
        for name, o in entries.items():
            if isinstance(o, Dir):
                out[name] = self.build(o, kept, data)
            elif data == "all" or o.data == o.safe:
                out[name] = o.data
            elif data == "safe":
                out[name] = o.safe
            elif data == "torn":
                out[name] = o.data[: len(o.data) // 2]
            else:
                out[name] = b"\0" * len(o.data)
        return out


def write(path, tree):
    os.mkdir(path)
    for name, o in tree.items():
        p = os.path.join(path, name)
        if isinstance(o, dict):
            write(p, o)
        else:
            with open(p, "wb") as f:
                f.write(o)


def relevant(tree, ref, old_meta):
    """What a reader of snapshots can see: while the metadata are the old ones, new files do not count."""
    d = tree.get(ref)
    if d is None:
        return None
    meta = d.get("global_snapshot_meta.h5")
    return repr([(n, hash(repr(o))) for n, o in sorted(d.items()) if n.isdigit() and (meta != old_meta or n == "0")]) + repr(hash(meta))


def judge(work, tree, ref):
    """Sequences that are listed and good, or words."""
    shutil.rmtree(work, ignore_errors=True)
    write(work, tree)
    path = os.path.join(work, ref)
    if not os.path.exists(os.path.join(path, "global_snapshot_meta.h5")):
        return "none"
    v = subprocess.run(["ompi-snapshot", "verify", path], capture_output=True, text=True)
    if v.returncode:
        return "verify: " + v.stderr
    r = subprocess.run(["ompi-restart", "--dry-run", path], capture_output=True, text=True)
    if r.returncode:
        return "restart: " + r.stderr
    return ",".join(sorted(line.split()[1].rstrip(":") for line in v.stdout.splitlines() if line.startswith("sequence")))


def main():
    log, before, ref, work, may = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]
    root = open(log).readline().strip()
    disk = Disk(root, before)
    old_meta = disk.top.entries[ref].entries["global_snapshot_meta.h5"].data if ref in disk.top.entries else None
    known, operations, built, bad = {}, 0, 0, 0
    lines = open(log).read().splitlines()[1:]
    for number, line in enumerate(lines, 1):
        what, path, other, data = line.split("\t")
        disk.do(what, path, other, bytes.fromhex(data))
        operations += 1
        for tree in disk.states():
            built += 1
            key = relevant(tree, ref, old_meta)
            if key not in known:
                known[key] = judge(work, tree, ref)
            allowed = may[-1:] if number == len(lines) else may
            if known[key] not in allowed:
                bad += 1
                if bad <= 3:
                    print("# after operation %d (%s %s): %s" % (number, what, os.path.relpath(path, root), known[key].strip()))
    print("# %d operations, %d states after a power loss, %d of them different, %d bad" % (operations, built, len(known), bad))
    sys.exit(bad != 0 or not operations)


main()
