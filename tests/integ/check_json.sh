#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cr_restart --check --json: one object, everything that is missing or wrong in it; status and words as without --json. cr_checkpoint --json: names as they are.
# shellcheck source=tests/integ/lib.sh
. "$(dirname "$0")/lib.sh"
need cr_run "(this project: make install)"
RUN=$WORK/json
mkdir -p "$RUN"
cat >"$RUN/holds.py" <<'END'
import mmap, os, sys, time
run = sys.argv[1]
held = open(run + "/held")
with open(run + "/mapped", "r+b") as f:
    mapped = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
child = os.fork() if len(sys.argv) > 2 else 0
open(run + "/ready." + ("parent" if child else "child"), "w").close()
while not os.path.exists(run + "/end"):
    time.sleep(0.05)
END

# saved NAME [OPTION...]: the program, with a child when options are there, in $RUN/NAME
saved()
{
	local name=$1
	shift
	echo held >"$RUN/held"
	head -c 65536 /dev/zero | tr '\0' m >"$RUN/mapped"
	rm -f "$RUN"/ready.*
	cr_run -- /usr/bin/python3 "$RUN/holds.py" "$RUN" ${1:+child} >"$RUN/job.out" 2>&1 </dev/null &
	JOB=$!
	STARTED+=("$JOB")
	for ((i = 0; i < 1200; i++)); do
		[ -e "$RUN/ready.child" ] && { [ -z "${1:-}" ] || [ -e "$RUN/ready.parent" ]; } && break
		nap 50
	done
	patiently cr_checkpoint --json "$@" --kill -f "$RUN/$name" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err" || { say_file "$RUN/ckpt.err"; return 1; }
	wait "$JOB" 2>/dev/null
	return 0
}
# found STATUS EXPRESSION ARGUMENT...: cr_restart ends so, and of its object o the expression is true in Python
found()
{
	local want=$1 expression=$2 rc
	shift 2
	timeout -k 5 60 cr_restart --check --json "$@" >"$RUN/out" 2>"$RUN/err" </dev/null
	rc=$?
	[ $rc = "$want" ] && /usr/bin/python3 -c 'import json, sys
o = json.load(open(sys.argv[1]))
p = o["problems"]
names = sorted(x["name"] for x in p)
words = open(sys.argv[2]).read()
sys.exit(not (o["ok"] == (not p) and all(x["reason"] for x in p) and eval(sys.argv[3])))' "$RUN/out" "$RUN/err" "$expression" && return 0
	say "status $rc"
	say_file "$RUN/out"
	say_file "$RUN/err"
	return 1
}
saved one || { not_ok "saved"; done_testing; }
check "nothing is missing: ok, and no problems" found 0 'o["ok"] is True and o["file"].endswith("/json/one") and not words' "$RUN/one"
check "--quiet: the object all the same" found 0 'o["ok"]' --quiet "$RUN/one"
mv "$RUN/held" "$RUN/held.away"
check "an open file is missing: it is named" found 1 'names == ["files"] and p[0]["reason"].count("/held") and p[0]["process"] > 0' "$RUN/one"
mv "$RUN/mapped" "$RUN/mapped.away"
check "and a mapped one: both are named, the first on standard error too" \
	found 1 'names == ["files", "memory"] and {"/held", "/mapped"} == {w for x in p for w in ("/held", "/mapped") if w in x["reason"]} and words == "cr_restart: " + p[0]["reason"] + "\n"' "$RUN/one"
mv "$RUN/held.away" "$RUN/held" && mv "$RUN/mapped.away" "$RUN/mapped"
check "they are back: ok" found 0 'o["ok"]' "$RUN/one"
cp "$RUN/one" "$RUN/one \"damaged\""
at=$(cr_inspect --json --pages "$RUN/one" | /usr/bin/python3 -c 'import json, sys
print([e["file_offset"] for e in json.load(sys.stdin)["entries"] if e["record"] == "PAGES"][0] + 100)')
printf 'damage' | dd of="$RUN/one \"damaged\"" bs=1 seek="$at" conv=notrunc status=none
check "a damaged page, in a file with quotes in its name" found 1 'names == ["pages"] and o["file"].endswith("\"damaged\"")' "$RUN/one \"damaged\""
head -c 4096 "$RUN/one" >"$RUN/short"
check "an incomplete file" found 1 'names == ["file"] and o["file"].endswith("/short")' "$RUN/short"
check "no file" found 1 'names == ["file"] and "nothing" in p[0]["reason"]' "$RUN/nothing"
cr_restart --json "$RUN/one" >"$RUN/out" 2>"$RUN/err" </dev/null
check "without --check: wrong usage" sh -c "[ $? = 2 ] && [ ! -s '$RUN/out' ]"
saved '"quoted"' || not_ok "saved: a name with quotes"
check "cr_checkpoint --json: the same name" /usr/bin/python3 -c 'import json, sys
sys.exit(not json.load(open(sys.argv[1]))["file"].endswith("/\"quoted\""))' "$RUN/ckpt.out"
saved two --tree || { not_ok "saved: two processes"; done_testing; }
check "two processes: ok" found 0 'o["ok"]' "$RUN/two"
rm "$RUN/mapped"
check "what both miss is said of each" found 1 'names.count("memory") == 2 and len({x["process"] for x in p if x["name"] == "memory"}) == 2' "$RUN/two"
done_testing
