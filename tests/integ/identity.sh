#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who may talk to a job's coordinator: nodes with a munge credential of the job's owner for this job and this connection, or with the job's secret;
# nobody else, and no attempt does the job any harm. A munged of the test's own runs for it.
. "$(dirname "$0")/../lib/cluster.sh"
[ -x "$PROGS/mpi_stress" ] || skip_all "mpi_stress is not built"
need munge munge
need munged munge
need python3 python3
cluster_up 2 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }

RUN=$WORK/run N_CKPT=0 RC=''
mkdir -p "$RUN"
# A place that other users can enter
OPEN=$(mktemp -d "${TMPDIR:-/tmp}/ompi-cr-open.XXXXXX")
chmod 755 "$OPEN"
cp "$TOP/tests/lib/node_client.py" "$OPEN"
trap 'rm -rf "$OPEN"; cleanup' EXIT
nobody() { setpriv --reuid="$(id -u nobody)" --regid="$(id -g nobody)" --clear-groups env HOME=/ USER=nobody "$@"; }

munged_start()
{
	local i
	head -c 1024 /dev/urandom >"$WORK/munge.key"
	chmod 600 "$WORK/munge.key"
	setpriv --pdeathsig KILL munged --foreground --force --num-threads 2 --key-file "$WORK/munge.key" --socket "$OPEN/munge.sock" --pid-file "$WORK/munged.pid" \
		--log-file "$WORK/munged.log" --seed-file "$WORK/munged.seed" >"$WORK/munged.out" 2>&1 </dev/null &
	STARTED+=($!)
	for ((i = 0; i < 1500; i++)); do
		munge --socket "$OPEN/munge.sock" --no-input >/dev/null 2>&1 && return
		nap 40
	done
	say_file "$WORK/munged.out"
	return 1
}

# job_start: sets ADDRESS, KEY, AUTH and CREDENTIALS
job_start()
{
	local pid line=
	SEG=0 N_CKPT=0
	hosts n1:1 n2:1
	rm -f "$OMPI_CR_REGISTRY_DIR"/snapcd-*.log
	start_job 2 "$PROGS/mpi_stress" --seed "$SEED" --seconds 3000
	checkpoint || { say_file "$RUN/ckpt.err"; say_file "$RUN/err.1"; say_file "$(cluster_log)"; return 1; }
	# the owner can read it in the environment of a node's daemon
	for pid in $(ps -eo pid=,comm=,args= | awk '$2 == "snapcd" && / --node/ { print $1 }'); do
		# ours: another test may run on this machine
		[ "$(readlink "/proc/$pid/ns/pid")" = "$(readlink "/proc/$(cat "$CLUSTER/n1/pid")/ns/pid")" ] || continue
		line=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^OMPI_CR_COORDINATOR=//p')
		[ -n "$line" ] && break
	done
	ADDRESS=$(sed 's/.*addresses=\([0-9.:]*\).*/\1/' <<<"$line") KEY=$(sed 's/.*key=\([0-9a-f]*\).*/\1/' <<<"$line")
	AUTH=$(sed 's/.*auth=\([^ ]*\).*/\1/' <<<"$line")
	CREDENTIALS=$OPEN/munge.sock
	case $AUTH in secret:*) CREDENTIALS=${AUTH#secret:} ;; esac
	[ -n "$ADDRESS" ] && [ -n "$KEY" ]
}

# attempt PATTERN MODE [ARGUMENT]: what the client says in this mode; AS=nobody: as another user
attempt()
{
	local want=$1 mode=$2 got
	shift 2
	got=$(${AS:-} timeout -k 5 120 python3 "$OPEN/node_client.py" "$mode" "$ADDRESS" "$KEY" "$CREDENTIALS" "$@" 2>"$RUN/client.err")
	# shellcheck disable=SC2053
	[[ $got == $want ]] && return
	say "$mode: $got, and not: $want"
	say_file "$RUN/client.err"
	say_file "$(cluster_log)"
	return 1
}

# The job is there, unharmed, with both of its nodes
unharmed()
{
	alive "$JOB" && checkpoint && alive "$JOB" && return
	say_file "$RUN/ckpt.err"
	say_file "$(cluster_log)" 20
	return 1
}

job_over()
{
	checkpoint --term || { say_file "$RUN/ckpt.err"; kill_job; return 1; }
	job_end 60
	[ "$RC" = 0 ]
}

logged() { grep -q "$1" "$(cluster_log)"; }
export OMPI_CR_MUNGE_SOCKET=$OPEN/munge.sock

check "munged of this test" munged_start
check "a job on two nodes with munge" job_start
check "the log says that it is munge" logged "with munge"
check "a node with the owner's credential is welcome" attempt welcome good
AS=nobody check "another user's credential is not" attempt "refused: *of user*belongs to user*" good
check "a replayed one is not" attempt "welcome, refused: *Replayed*" replay
check "an expired one is not" attempt "refused: *Expired*" expired
check "a truncated one is not" attempt "refused: *" truncated
check "a forged one is not" attempt "refused: *" forged
check "one for another job is not" attempt "refused: *another job*" wrong-key
check "one for another node is not" attempt "refused: *another job or another connection*" wrong-host
check "words that are no credential are not" attempt "refused: *" guess
check "an oversized message ends the connection" attempt closed oversized
check "another protocol" attempt closed magic
check "another version of the protocol" attempt closed version
check "a message of a node that has not said who it is" attempt closed early
check "a text without an end" attempt closed unended
check "an owner's node that sends nonsense: a rank" attempt "welcome, closed" mad-rank
check "... a type" attempt "welcome, closed" mad-type
check "... a size" attempt "welcome, closed" mad-size
check "... a kind" attempt "welcome, closed" mad-kind
check "... several messages of which one is cut off" attempt "welcome, closed" mad-batch
check "... several in several" attempt "welcome, closed" mad-nest
check "a tool of the owner on another node is served" attempt "welcome, ok" tool
AS=nobody check "... another user's is not" attempt "refused: *of user*belongs to user*" tool
check "... nor one with a node's proof" attempt "refused: *another job or another connection*" tool-by-node
check "... and nonsense is answered" attempt "welcome, error" tool nonsense
check "... also of great length" attempt "welcome, error" tool "$(printf '%09000d' 0)"
flooded()
{
	local pid rc
	attempt closed flood 200 &
	pid=$!
	unharmed
	rc=$?
	wait $pid && [ $rc = 0 ]
}
check "a checkpoint during a flood of connections; they are thrown out" flooded

# --- another user on the same node
cat >"$OPEN/knock.py" <<'E2'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
try:
    s.connect("\0" + sys.argv[1])
    s.sendall(b"status version=1\n")
    print("answer" if s.recv(100) else "closed")
except OSError:
    print("closed")
E2
entry() { sed -n "s/^$1=//p" "$OMPI_CR_REGISTRY_DIR"/*.job | head -1; }
lists() { nobody env -u OMPI_CR_REGISTRY_DIR "$PREFIX/bin/ompi-checkpoint" --status "$JOB" >/dev/null 2>&1; }
tries() { nobody env OMPI_CR_REGISTRY_DIR="$OMPI_CR_REGISTRY_DIR" "$PREFIX/bin/ompi-checkpoint" "$@" "$JOB" >/dev/null 2>&1; }
reads() { nobody cat "$OMPI_CR_SNAPSHOT_DIR/$REF"/*/*/cr_context "$OMPI_CR_REGISTRY_DIR"/* >/dev/null 2>&1; }
knock() { [ "$(nobody python3 "$OPEN/knock.py" "$1")" = closed ]; }
if nobody test -x "$PREFIX/bin/ompi-checkpoint"; then
	check "another user does not see the job" eval '! lists'
	check "... nor checkpoint it" eval '! tries'
	check "... nor end it" eval '! tries --term'
else
	skip "another user sees, checkpoints and ends nothing" "an ordinary user cannot reach $PREFIX: the clone is in a directory closed to others"
fi
check "... nor read its snapshot or what the daemon keeps" eval '! reads'
check "... nor talk to its coordinator as a tool" knock "$(entry tool_socket)"
check "... nor as a rank" knock "$(entry snapc_socket)"
check "the owner does" eval '[ "$(python3 "$OPEN/knock.py" "$(entry tool_socket)")" = answer ]'
check "none of this has harmed the job" unharmed
check "it ends as told" job_over

# --- without munge
export OMPI_CR_MUNGE_SOCKET=$OPEN/nobody-listens
check "a job on two nodes without munge" job_start
check "the log says so" logged "without munge"
check "the secret is the owner's alone" eval '[ "$(stat -c "%a %s %u" "$CREDENTIALS")" = "600 32 $(id -u)" ] && ! nobody cat "$CREDENTIALS" >/dev/null 2>&1'
check "a node with the secret is welcome" attempt welcome good
check "a guess is not" attempt "refused: *" guess
check "a replayed proof is not" attempt "welcome, refused: *" replay
check "a proof for another job is not" attempt "refused: *" wrong-key
check "a proof for another node is not" attempt "refused: *" wrong-host
check "the job is unharmed" unharmed
check "it ends as told" job_over
# the coordinator ends a moment after mpirun
secret_gone()
{
	local i
	for ((i = 0; i < 1200; i++)); do
		[ -e "$CREDENTIALS" ] || return 0
		nap 50
	done
	return 1
}
check "the secret has gone with it" secret_gone

done_testing
