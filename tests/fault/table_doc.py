#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/failure-table.md from tests/fault/table.def and the results of a run: table_doc.py TABLE RESULTS"""
import sys

WHO = {
    "rank": "A rank (rank 1, on node n2)",
    "daemon": "The snapcd of a node (of n2)",
    "global": "The coordinator (the snapcd beside mpirun)",
    "mpirun": "mpirun",
    "tool": "ompi-checkpoint",
    "network": "The network of a node (the link of n2)",
    "node": "A node (all of n2)",
}
WHAT = [("kill", "kill -9"), ("stop", "SIGSTOP"), ("cut", "connection cut"), ("enospc", "disk full"), ("eio", "I/O error")]
PHASES = ["request", "quiesce", "freeze", "dump", "commit", "resume", "restart"]
TOOL = {"ok": "saved", "fail": "reason", "gone": "saved, nobody is told"}
TOOL_RESTART = {"ok": "restarts", "fail": "reason"}
JOB = {"runs": "runs on", "waits": "runs on after SIGCONT", "ends": "ends"}

HEAD = """# The failure table

What happens when something fails in each phase of a checkpoint, and in a restart. Made by `tests/fault/table --all` (or `--only`, in pieces) from `tests/fault/table.def` and what each cell gave when it ran last: {date}, {good} of {all} cells that can
exist were run and came out as written here{bad}. The CI runs a sample each time (column s of the table).
"(not run)": this outcome is what the table asks for; no result of a run is recorded for it yet.

In **every** cell, besides what it says: the last committed snapshot is valid (`ompi-snapshot verify`) and is what the next cell's job is restarted from; no process, socket, registry entry or part of a snapshot is left; the
answer comes within the deadline of the phase, plus that of resume (the undoing), plus 10 s when the coordinator itself is silent. Where the job runs on, its results are checked in each step, and the next checkpoint works.

| word | meaning |
|---|---|
| saved | the new snapshot is valid, and the tool says so |
| reason | the tool ends with status 1 and names what failed; no new snapshot. Where the coordinator itself fails in commit or resume, the snapshot may have become valid: `ompi-snapshot list` says |
| runs on | the job goes on by itself |
| runs on after SIGCONT | what was stopped keeps the job waiting, as it would without us; then it goes on |
| ends | the job ends with mpirun's own message, since Open MPI ends a job that loses a rank, a node or its mpirun |
| restarts, reason | phase restart: the job comes back; or mpirun ends and says why, the snapshot is unchanged and restarts the next time |

The node that fails is not mpirun's own. When that one fails, mpirun and the coordinator fail together, which is the row of mpirun without anybody who could clean up: a part of a snapshot that is left is
removed by `ompi-snapshot prune`, and is never taken for a snapshot.
"""


def main():
    import datetime
    rows = {}
    for line in open(sys.argv[1]):
        if line.startswith("#") or not line.strip():
            continue
        w = line.split(None, 7)
        rows[w[0], w[1], w[2]] = (w[4], w[5], w[6], w[7].strip() if len(w) > 7 else "")
    results = {tuple(l.split()[:3]): l.split()[3] for l in open(sys.argv[2])}  # the last one of a cell counts
    runnable = [k for k, v in rows.items() if v[0] != "-"]
    good = sum(results.get(k) == "good" for k in runnable)
    bad = [k for k in runnable if results.get(k) == "BAD"]
    out = HEAD.format(date=datetime.date.today().isoformat(), good=good, all=len(runnable),
                      bad="" if not bad else "; otherwise came out: " + ", ".join(" ".join(k) for k in bad))
    for who, title in WHO.items():
        notes = []
        out += "\n## %s\n\n| phase | %s |\n|---|%s\n" % (title, " | ".join(t for _, t in WHAT), "---|" * len(WHAT))
        for phase in PHASES:
            cells = []
            for what, _ in WHAT:
                tool, job, _, text = rows[who, what, phase]
                if tool == "-":
                    if text not in notes:
                        notes.append(text)
                    cells.append("[%d]" % (notes.index(text) + 1))
                    continue
                word = TOOL_RESTART[tool] if phase == "restart" else TOOL[tool]
                if phase == "restart":
                    cell = word
                else:
                    cell = word + "; " + JOB[job]
                cells.append(cell + {"good": "", "BAD": " **(failed)**"}.get(results.get((who, what, phase)), " (not run)"))
            out += "| %s | %s |\n" % (phase, " | ".join(cells))
        if notes:
            out += "\n" + "".join("[%d] cannot happen: %s.  \n" % (i + 1, n) for i, n in enumerate(notes))
    out += """
## In restart

Before mpirun is started `ompi-restart` reads every context file; a missing or damaged one is named and nothing is started (`--fallback` takes the newest older sequence that is whole, and says so). Each rank checks its file
once more before it changes anything. A rank that hangs before it has joined the others is found by the coordinator after `timeout_restart` seconds: mpirun says which rank is not back, and ends.
"""
    print(out, end="")


main()
