#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# snapcd and ompi-checkpoint against a played job (fake_job): success, refusals, and a failure of every kind in every phase.
# After each failure the job runs, the old snapshot is valid, and nothing of the new one is left. TAP.
bin=${top_builddir:-.}
snapcd=$bin/snapc/snapcd
tool=$bin/orte-tools/ompi-checkpoint
fake=$bin/tests/unit/fake_job
tmp=$(mktemp -d) || exit 99
ref=ompi_global_snapshot_1.ckpt
job=
n=0
python=$(PATH=/usr/bin:/bin command -v python3)
unset OMPI_MCA_ompi_cr_snapshot_dir CR_FAULT
export OMPI_CR_REGISTRY_DIR="$tmp/registry" OMPI_CR_SNAPSHOT_DIR="$tmp/snaps" HOME="$tmp" CR_DEBUG=2

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
		sed 's/^/# /' "$tmp/out" "$tmp/err" 2>/dev/null
		tail -n 25 "$tmp/log" | sed 's/^/# log: /'
	fi
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
run() { "$@" >"$tmp/out" 2>"$tmp/err"; status=$?; }
keep_log() { # wait until the coordinator of the last job has ended (or is a zombie), and keep what it said
	i=0
	while [ $i -lt 40 ] && [ -e "/proc/${coordinator:-none}/exe" ]; do sleep 0.05; i=$((i + 1)); done
	cat "$tmp/log" >>"$tmp/all-logs" 2>/dev/null
}
arrived() { # arrived OPTION...: until the coordinator knows all ranks of the job that is started with these options, as far as they tell it
	here=2 odd=no i=0
	while [ $# -gt 0 ]; do
		case $1 in
		--np) here=$2 ;;
		--absent) here=$((here - 1)) ;;
		--late | --finalized | --rival | --no-mpi) odd=yes ;;
		esac
		shift
	done
	while [ $i -lt 1200 ]; do
		[ $odd = no ] && ready=$here || ready=0
		[ "$(grep -c 'is here for rank' "$tmp/log" 2>/dev/null)" -ge "$here" ] && [ "$(grep -c 'MPI is ready' "$tmp/log")" -ge $ready ] && break
		sleep 0.05
		i=$((i + 1))
	done
	sleep 0.1
}
start() { # start [OPTION of fake_job]...
	end_job
	keep_log
	rm -rf "$tmp/snaps" "$tmp/job" "$tmp/log"
	begin "$tmp/job" --dir "$tmp/snaps" "$@"
}
begin() { # begin FILE [OPTION]...: one more job; its pid is in $job
	file=$1
	shift
	"$fake" --snapcd "$snapcd" --ref $ref --log "$tmp/log" "$@" >"$file" 2>&1 &
	job=$!
	i=0
	until grep -q '^go' "$file" 2>/dev/null; do
		i=$((i + 1))
		[ $i -gt 1200 ] && { echo "Bail out! fake_job does not start"; exit 99; }
		sleep 0.05
	done
	arrived "$@"
	coordinator=$(sed -n 's/^snapcd_pid=//p' "$tmp/registry/$job.job")
}
checkpoint() { run "$tool" "$@" "$job"; }
alone() { # only snapshot 0, nothing half done
	[ "$("$tool" --list | grep -v '^Job: ')" = "Snapshot Ref.: $ref	[0]" ] && [ "$(echo "$tmp/snaps/$ref"/[0-9]*)" = "$tmp/snaps/$ref/0" ]
}
until_there() { # until_there FILE: at most half a minute
	i=0
	until [ -e "$1" ] || [ $i -gt 300 ]; do sleep 0.1; i=$((i + 1)); done
}
asked() { # asked PID: until the coordinator has heard that tool
	i=0
	until grep -q "checkpoint asked for by process $1\$" "$tmp/log" 2>/dev/null || [ $i -gt 400 ]; do sleep 0.05; i=$((i + 1)); done
	sleep 0.2
}
says() { grep -q -- "$1" "$tmp/err" "$tmp/out"; }

# --- success
start --np 3 --private 1
checkpoint -s
[ $status -eq 0 ] && [ "$(cat "$tmp/out")" = "Snapshot Ref.:   0 $ref" ]; ok $? "a checkpoint prints its reference"
grep -Eq '^\[.*:[0-9]+\] \[ +[0-9]+\.[0-9]+ / +[0-9]+\.[0-9]+\] +Checkpoint Established - ompi_global_snapshot_1.ckpt$' "$tmp/err"; ok $? "status lines have the original's form"
[ -f "$tmp/snaps/$ref/0/opal_snapshot_2.ckpt/cr_context" ] && alone; ok $? "files are where the specification says"
checkpoint --json
[ $status -eq 0 ] && "$python" -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["ok"] and d["seq"]==1 and d["np"]==3 and d["messages"]==6 and d["file_bytes"]==3*4096 and d["stopped_ns"]==1000000' "$tmp/out"
ok $? "--json"
checkpoint --quiet
[ $status -eq 0 ] && [ ! -s "$tmp/out" ] && [ ! -s "$tmp/err" ]; ok $? "--quiet"
checkpoint -w
[ $status -eq 0 ] && says "Snapshot Ref.:   3 $ref" && says "not waiting"; ok $? "--nowait"
until_there "$tmp/snaps/$ref/3"
sleep 0.5
run "$tool" -l
[ "$(grep -v '^Job: ' "$tmp/out")" = "Snapshot Ref.: $ref	[0,1,2,3]" ] && grep -Eq "^Job: .*, pid $job, 3 of 3 ranks, 4 checkpoints: " "$tmp/out"; ok $? "--list: jobs and snapshots"
run "$tool" --list --json
"$python" -c 'import json,sys; d=json.load(open(sys.argv[1])); j=d["jobs"]; assert len(j)==1 and j[0]["mpirun_pid"]==int(sys.argv[2]) and j[0]["np"]==3 and j[0]["answers"] and j[0]["interval"]==0; assert d["snapshots"][0]["sequences"]==[0,1,2,3]' "$tmp/out" "$job"
ok $? "--list --json"
checkpoint --check
[ $status -eq 0 ] && says "can be checkpointed" && [ ! -d "$tmp/snaps/$ref/4" ]; ok $? "--check takes no checkpoint"
run "$tool" --hnp-pid "$job"; [ $status -eq 0 ]; ok $? "--hnp-pid"
run "$tool" --hnp-jobid "$job"; [ $status -eq 0 ]; ok $? "--hnp-jobid"
run "$tool" -mca a b --am ft-enable-cr --latest --nosync; [ $status -eq 0 ]; ok $? "--latest, --nosync, parameters of every Open MPI tool"

TERM=xterm run "${top_srcdir:-.}/tests/lib/on-tty.py" "$tmp/tty" "$tool" "$job"
[ $status -eq 0 ] && tr '\r' '\n' <"$tmp/tty" | grep -Eq '^dump .*[0-9]+% .*/s' && says "Snapshot Ref"; ok $? "a bar on a terminal while files are written"

# --- by interval, set while the job runs
begun=$(ls -d "$tmp/snaps/$ref"/[0-9]* | wc -l)
checkpoint --interval 1
[ $status -eq 0 ] && says "every 1 s"; ok $? "--interval"
run "$tool" --list
says "every 1 s"; ok $? "--list shows the interval"
i=0
until [ -d "$tmp/snaps/$ref/$((begun + 1))" ] || [ $i -gt 300 ]; do sleep 0.1; i=$((i + 1)); done
[ -d "$tmp/snaps/$ref/$((begun + 1))" ]; ok $? "and checkpoints come by themselves"
run "$tool" --wait --interval 0 --json "$job"
[ $status -eq 0 ] && [ "$(cat "$tmp/out")" = '{"ok":true,"interval":0}' ]; ok $? "--interval 0 --json"
run "$tool" --wait "$job" # one that has begun is waited for
run "$tool" --list --json
"$python" -c 'import json,sys; j=json.load(open(sys.argv[1]))["jobs"][0]; assert j["interval"]==0 and "next_s" not in j and not j["running"], j' "$tmp/out"; ok $? "ends that: none is planned"

# --- the command line
for words in "" "1 2" "--check --stop 1" "--stop --term 1" "--check --term 1" "-V x 1" "--timeout 0 1" "--frobnicate 1" "--latest 1" "--list 1" "--interval x 1" "--interval -1 1" "--interval 5 --check 1" "--wait --nowait 1" "--crdebug 1" "--all 1" "--all --latest"; do
	# shellcheck disable=SC2086
	run "$tool" $words
	[ $status -eq 2 ]; ok $? "usage error: ompi-checkpoint $words"
done
run "$tool" $$; [ $status -eq 1 ] && says "ft-enable-cr"; ok $? "a process that is no protected mpirun"
run "$tool" 77.1; [ $status -eq 1 ] && says "no job 77.1"; ok $? "a job that is not there"
run "$tool" --help; [ $status -eq 0 ] && says "Usage"; ok $? "--help"

# --- two jobs
first=$job
begin "$tmp/job2" --dir "$tmp/snaps2" --np 1
run "$tool" --latest
[ $status -eq 0 ] && [ -d "$tmp/snaps2/$ref/0" ]; ok $? "--latest is the job that was started last"
run "$tool" --all --wait
[ $status -eq 0 ] && [ "$(grep -c '^Snapshot Ref' "$tmp/out")" -eq 2 ] && [ -d "$tmp/snaps2/$ref/1" ]; ok $? "--all: both jobs"
end_job
job=$first
before=$("$tool" --list --json | "$python" -c 'import json,sys; print(len(json.load(sys.stdin)["snapshots"][0]["sequences"]))')
run "$tool" --latest
[ $status -eq 0 ] && [ -d "$tmp/snaps/$ref/$before" ]; ok $? "--latest forgets a job that has ended"

# --- files that are written, and not on the storage yet
start --np 2 --delay 1500
TERM=xterm run "${top_srcdir:-.}/tests/lib/on-tty.py" "$tmp/tty" "$tool" "$job"
[ $status -eq 0 ] && tr '\r' '\n' <"$tmp/tty" | grep -Eq '^flush .* 8\.0 KiB' && says "Snapshot Ref"; ok $? "another bar while the kernel brings them to the storage"

# --- two requests at once
start --np 2 --delay 2500
"$tool" "$job" >"$tmp/out1" 2>&1 &
one=$!
asked $one
checkpoint
[ $status -eq 75 ] && says "a checkpoint is running"; ok $? "a second request is refused with 75"
wait $one; status=$?
[ $status -eq 0 ]; ok $? "the first one is not disturbed"
"$tool" "$job" >"$tmp/out1" 2>&1 &
one=$!
asked $one
kill -9 $one; wait $one 2>/dev/null
until_there "$tmp/snaps/$ref/1"
sleep 0.5
[ -d "$tmp/snaps/$ref/1" ]; ok $? "a tool that is killed does not stop its checkpoint"
"$tool" "$job" >"$tmp/out" 2>"$tmp/err" &
one=$!
asked $one
kill -INT $one; wait $one; status=$?
[ $status -eq 1 ] && says interrupted && [ ! -e "$tmp/snaps/$ref/2" ] && [ ! -e "$tmp/snaps/$ref/2.tmp" ]; ok $? "an interrupted tool undoes its checkpoint"
checkpoint --timeout 1
[ $status -eq 1 ] && says "longer than the 1 s" && [ ! -e "$tmp/snaps/$ref/2.tmp" ]; ok $? "--timeout"
sleep 1
checkpoint
[ $status -eq 0 ]; ok $? "and the next one succeeds"

# --- refusals
start --np 2 --behave 1:check:1:nocr --behave 2:check:1:nocr
checkpoint --check
[ $status -eq 1 ] && says "rank 1: fd 7: TCP socket to 10.0.0.1:80" && says "rank 1: address 0x1000: device memory"; ok $? "--check lists the reasons"
checkpoint --json
[ $status -eq 1 ] && "$python" -c 'import json,sys; d=json.load(open(sys.argv[1])); assert not d["ok"] and len(d["reasons"])==2 and d["reasons"][0]["rank"]==1' "$tmp/out"; ok $? "and so does a refused checkpoint"
checkpoint
[ $status -eq 0 ]; ok $? "a reason that is gone does no harm"
start --np 2 --late 1; checkpoint
[ $status -eq 75 ] && says "rank 1: has not passed MPI_Init"; ok $? "a rank before MPI_Init: try again"
run "$tool" --wait --timeout 1 "$job"
[ $status -eq 75 ] && [ "$(grep -c MPI_Init "$tmp/err")" -le 3 ] && says "waited 1 s"; ok $? "--wait ends at --timeout, and says things once"
start --np 2 --delay 1500
"$tool" "$job" >"$tmp/out1" 2>&1 &
one=$!
asked $one
checkpoint --wait
wait $one
[ $status -eq 0 ] && [ -d "$tmp/snaps/$ref/1" ] && [ ! -s "$tmp/err" ]; ok $? "--wait: after the checkpoint that runs"
start --np 2 --absent 0; checkpoint
[ $status -eq 75 ] && says "rank 0: no process"; ok $? "a rank without a process: try again"
start --np 2 --finalized 0; checkpoint
[ $status -eq 1 ] && says "rank 0: has entered MPI_Finalize"; ok $? "a rank in MPI_Finalize"
start --np 2 --rival; checkpoint
[ $status -eq 1 ] && says "rank 0: another MPI process has the same rank"; ok $? "a job that has spawned processes"
start --np 2 --no-mpi; checkpoint
[ $status -eq 0 ]; ok $? "a job without MPI"
start --np 2 --shell; checkpoint
[ $status -eq 0 ]; ok $? "a shell in front of every rank"
mkdir "$tmp/d"; : >"$tmp/d/file"
end_job; keep_log; rm -f "$tmp/log"; begin "$tmp/job" --dir "$tmp/d/file/snaps"; checkpoint
[ $status -eq 1 ] && says "$tmp/d/file"; ok $? "a snapshot directory that cannot be made"
if [ "$(id -u)" -eq 0 ] && mkdir "$tmp/small" && mount -t tmpfs -o size=16m none "$tmp/small" 2>/dev/null; then
	end_job; keep_log; rm -f "$tmp/log"; begin "$tmp/job" --dir "$tmp/small/snaps" --private 12; checkpoint
	[ $status -eq 1 ] && says "MiB left" && [ -z "$(find "$tmp/small" -name '*.tmp')" ]; ok $? "a file system that is too small is refused before anybody stops"
	end_job
	umount "$tmp/small"
else
	skip "a file system that is too small is refused before anybody stops" "needs root and mount"
fi

# --- failures that the coordinator injects
for phase in request quiesce freeze dump commit; do
	start --np 3; checkpoint
	run env CR_FAULT=$phase:1:fail "$tool" "$job"
	[ $status -eq 1 ] && says "fault injected in phase $phase" && alone; ok $? "failure in $phase"
	checkpoint
	[ $status -eq 0 ]; ok $? "a checkpoint after a failure in $phase"
done
for phase in request quiesce freeze dump; do
	start --np 3; checkpoint
	run env CR_FAULT=$phase:1:kill "$tool" "$job"
	[ $status -eq 1 ] && says "rank 1 .*ended in phase $phase" && alone; ok $? "a rank killed in $phase"
	checkpoint
	[ $status -eq 1 ] && says "rank 1: its MPI process has ended" && alone; ok $? "no checkpoint without the rank that was killed in $phase"
done
start --np 3
run env CR_FAULT=commit:1:kill "$tool" "$job"
[ $status -eq 0 ] && alone; ok $? "a rank killed in commit: its context file was complete"
for phase in request quiesce freeze dump commit; do
	upper=$(echo $phase | tr '[:lower:]' '[:upper:]')
	export "OMPI_CR_TIMEOUT_$upper=3"
	start --np 3; checkpoint
	run env CR_FAULT=$phase:1:hang "$tool" "$job"
	[ $status -eq 1 ] && says "phase $phase took longer than 3 s" && alone; ok $? "the deadline of $phase"
	checkpoint
	[ $status -eq 0 ]; ok $? "a checkpoint after the deadline of $phase"
	unset "OMPI_CR_TIMEOUT_$upper"
done
run env CR_FAULT=dmup "$tool" "$job"
[ $status -eq 1 ] && says "dmup"; ok $? "a fault that nobody knows"

# --- failures of the agents
for message in begin stop drain freeze dump snap; do
	start --np 3 --behave 2:$message:2:fail; checkpoint; checkpoint
	[ $status -eq 1 ] && says "rank 2 .*told to fail at $message" && alone; ok $? "FAILED from a rank at $message"
	checkpoint
	[ $status -eq 0 ]; ok $? "a checkpoint after FAILED at $message"
done
for message in check begin stop drain freeze dump snap; do
	start --np 3 --behave 2:$message:2:die; checkpoint; checkpoint
	[ $status -eq 1 ] && says "rank 2 .*ended in phase" && alone; ok $? "a rank that dies at $message"
done
start --np 3 --fork --behave 2:freeze:2:die; checkpoint; checkpoint
[ $status -eq 1 ] && says "rank 2 .*ended in phase freeze" && alone; ok $? "a rank that dies while its child holds the connection"
start --np 3 --behave 1:resume:2:die; checkpoint
[ $status -eq 0 ] && alone; ok $? "a rank that dies when it is told to go on: its context file was complete"
start --np 2 --behave 1:stop:1:hang; checkpoint -v
[ $status -eq 0 ] && [ "$(grep -c Stopped "$tmp/err")" -eq 2 ] && alone; ok $? "a rank that does not arrive: everybody goes on, and again"
export OMPI_CR_TIMEOUT_DUMP=1 OMPI_CR_TIMEOUT_RESUME=1
start --np 2 --behave 2:resume:0:hang --behave 3:resume:0:hang; checkpoint; checkpoint
[ $status -eq 1 ] && says "rank 0 .*has not said that it runs again" && alone; ok $? "a rank that does not answer RESUME"
unset OMPI_CR_TIMEOUT_DUMP OMPI_CR_TIMEOUT_RESUME

# --- strangers
start --np 2
if [ -n "$python" ]; then
	"$python" - "$job" <<'PY'
import socket, sys, os, struct
name = "\0fake-agent-" + sys.argv[1]
for junk in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(5000), struct.pack("<HHIII", 0x4352, 1, 6, 1 << 30, 0), struct.pack("<HHIII", 0x4352, 1, 9, 0, 1),
             struct.pack("<HHIII", 0x4352, 1, 1, 4, 0)):
    s = socket.socket(socket.AF_UNIX); s.connect(name); s.sendall(junk); s.close()
name = "\0fake-tool-" + sys.argv[1]
for junk in (b"x\n", b"checkpoint\n", b"checkpoint version=9\n", b"abort version=1\n", b"a" * 100000, b"status version=1\n" * 3):
    s = socket.socket(socket.AF_UNIX); s.connect(name)
    try: s.sendall(junk); s.recv(9999)
    except OSError: pass
    s.close()
PY
	checkpoint
	[ $status -eq 0 ]; ok $? "bytes that are no messages do no harm"
	if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
		setpriv --reuid=65534 --clear-groups "$python" - "$job" >"$tmp/out" 2>&1 <<'PY'
import socket, sys
for name in ("\0fake-agent-", "\0fake-tool-"):
    s = socket.socket(socket.AF_UNIX); s.connect(name + sys.argv[1])
    try:
        s.sendall(b"status version=1\n")
        data = s.recv(100)
    except OSError:
        data = b""
    assert data == b"", data
PY
		status=$?
		[ $status -eq 0 ] && grep -q "refused: process" "$tmp/log"; ok $? "another user is not served"
	else
		skip "another user is not served" "needs root and setpriv"
	fi
fi

# --- the end of the coordinator, and of a job
start --np 2 --delay 3000
"$tool" "$job" >"$tmp/out" 2>"$tmp/err" &
one=$!
asked $one
kill -TERM "$(sed -n 's/^snapcd_pid=//p' "$tmp/registry/$job.job")"
wait $one; status=$?
[ $status -eq 1 ] && says "coordinator was told to end" && [ -z "$(find "$tmp/snaps" -name '*.tmp')" ] && kill -0 "$job"; ok $? "SIGTERM to snapcd undoes a checkpoint; the job goes on"
i=0
while [ -e "/proc/$coordinator/exe" ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i + 1)); done
sleep 0.5
checkpoint
[ $status -eq 1 ] && says "ft-enable-cr"; ok $? "no coordinator, no checkpoint"
start --np 2
checkpoint --term
[ $status -eq 0 ] && says "Snapshot Ref.:   0" && alone; ok $? "--term"
wait "$job"; status=$?; job=
[ $status -eq 0 ] && grep -q ended "$tmp/job" && [ -z "$(ls "$tmp/registry")" ]; ok $? "and mpirun has ended with status 0, the registry is empty"
start --np 2 --deaf
checkpoint --term
[ $status -eq 0 ] && alone; ok $? "--term with an mpirun that does not listen"
wait "$job"; status=$?; job=
start --np 2 --delay 3000
"$tool" "$job" >"$tmp/out" 2>"$tmp/err" &
one=$!
asked $one
end_job
wait $one; status=$?
[ $status -eq 1 ] && says "ended" && [ -z "$(find "$tmp/snaps" -name '*.tmp')" ]; ok $? "a job that ends during a checkpoint leaves nothing half done"
keep_log
run "$tool" --all
[ $status -eq 0 ] && says "no job runs"; ok $? "--all without any job"
! grep -E 'Sanitizer|runtime error' "$tmp/all-logs" >"$tmp/out"; ok $? "the coordinators have nothing to complain about at their end"
echo "1..$n"
