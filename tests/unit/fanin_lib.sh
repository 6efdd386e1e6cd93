# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034
# Real snapcds and played ranks (fake_job): what test_fanin.sh and test_replace.sh share.
bin=${top_builddir:-.}
snapcd=$bin/snapc/snapcd
tool=$bin/orte-tools/ompi-checkpoint
fake=$bin/tests/unit/fake_job
tmp=$(mktemp -d) || exit 99
ref=ompi_global_snapshot_1.ckpt
job=
n=0
unset OMPI_MCA_ompi_cr_snapshot_dir CR_FAULT
export OMPI_CR_REGISTRY_DIR="$tmp/registry" OMPI_CR_SNAPSHOT_DIR="$tmp/snaps" HOME="$tmp" CR_DEBUG=2 OMPI_CR_NETWORK=lo OMPI_CR_AUTH=secret
python=$(PATH=/usr/bin:/bin command -v python3)
[ -n "$python" ] || { echo "1..0 # SKIP python3 is not installed"; exit 0; }

end_job() {
	[ -n "$job" ] && kill "$job" 2>/dev/null && wait "$job" 2>/dev/null
	job=
}
trap 'end_job; rm -rf "$tmp"' EXIT
ok() { # ok STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		echo "# exit status $status"
		tail -qn 3 "$tmp/out" "$tmp/err" "$tmp/status" 2>/dev/null | sed 's/^/# /'
		tail -n 25 "$tmp/log" | sed 's/^/# log: /'
		tail -qn 3 "$tmp"/log.node* 2>/dev/null | sed 's/^/# node: /' | tail -n 30
	fi
}
start() { # start [OPTION of fake_job]...
	end_job
	rm -rf "$tmp/snaps" "$tmp/job" "$tmp"/log*
	"$fake" --snapcd "$snapcd" --ref $ref --log "$tmp/log" --dir "$tmp/snaps" "$@" >"$tmp/job" 2>&1 &
	job=$!
	i=0
	until grep -q '^go' "$tmp/job" 2>/dev/null; do
		i=$((i + 1))
		[ $i -gt 600 ] && { echo "Bail out! fake_job does not start"; exit 99; }
		sleep 0.1
	done
}
# One request; as long as ranks are not there (status 75), again
checkpoint() {
	i=0
	while :; do
		"$tool" "$@" "$job" >"$tmp/out" 2>"$tmp/err"
		status=$?
		i=$((i + 1))
		[ $status -eq 75 ] && [ $i -lt 300 ] || return $status
		sleep 0.1
	done
}
cat >"$tmp/status.py" <<'E2'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect("\0" + sys.argv[1])
s.sendall(b"status version=1\n")
print(s.makefile().readline().strip())
E2
# The processes of the name COMM whose log is LOG (all nodes': LOG ends in *): pid, TCP connections
cat >"$tmp/daemons.py" <<'E2'
import fnmatch, glob, os, sys
comm, log = sys.argv[1:3]
established = {l.split()[9] for f in glob.glob("/proc/net/tcp*") for l in open(f) if l.split()[3] == "01"}
for p in glob.glob("/proc/[0-9]*"):
    try:
        if open(p + "/comm").read().strip() != comm:
            continue
        words = open(p + "/cmdline").read().split("\0")
        if "--log" not in words or not fnmatch.fnmatch(words[words.index("--log") + 1], log):
            continue
        sockets = 0
        for fd in os.listdir(p + "/fd"):
            try:
                sockets += os.readlink(p + "/fd/" + fd)[8:-1] in established
            except OSError:
                pass
        print(p[6:], sockets)
    except OSError:
        pass
E2
entry() { sed -n "s/^$1=//p" "$tmp/registry/$job.job"; }
# value KEY: of the coordinator's answer to "status", asked for by ask
ask() { "$python" "$tmp/status.py" "$(entry tool_socket)" >"$tmp/status"; }
value() { tr ' ' '\n' <"$tmp/status" | sed -n "s/^$1=//p"; }
daemons() { "$python" "$tmp/daemons.py" "$1" "$tmp/log$2" | cut -d' ' -f1; }
gone() { # wait until the process has ended
	i=0
	while [ -e "/proc/$1/exe" ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i + 1)); done
	[ ! -e "/proc/$1/exe" ]
}
replaced() { # wait until the registry names another daemon than $1
	i=0
	while [ "$(entry snapcd_pid)" = "$1" ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i + 1)); done
	[ "$(entry snapcd_pid)" != "$1" ]
}

