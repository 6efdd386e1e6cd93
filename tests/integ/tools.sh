#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a user does by hand: mpirun with and without -am, ompi-checkpoint in its forms, ompi-snapshot, ompi-restart and their refusals; metadata read with h5dump.
. "$(dirname "$0")/lib.sh"
RUN=$WORK/run N_CKPT=0 N_RESTART=0
mkdir -p "$RUN"
# --latest and --list are about the jobs of this test
export OMPI_CR_REGISTRY_DIR=$WORK/registry
mkdir -m 700 "$OMPI_CR_REGISTRY_DIR"
prog=("$PROGS/mpi_objects" 600)
has() { grep -qE -- "$1" "$2" || { say "no '$1' in:"; say_file "$2"; return 1; }; }
quiet_fails() { local want=$1; shift; "$@" >"$RUN/o" 2>"$RUN/e"; local rc=$?; [ "$rc" = "$want" ] && [ -s "$RUN/e" ] || { say "status $rc:"; say_file "$RUN/e"; return 1; }; }

# Without -am nothing is different
"$MPIRUN" -np 2 sh -c 'env | grep -c ^OMPI_CR_SNAPC_SOCKET=; cat /proc/self/maps | grep -cE "cr_run|libcr"; true' >"$RUN/plain" 2>/dev/null
check "without -am the ranks are plain Open MPI" [ "$(sort -u "$RUN/plain" | tr -d '\n')" = 0 ]

# Programs without a slash that are not in PATH: mpirun looks in the working directory, and in --path
found() { (cd "$1" && shift && "$MPIRUN" -am ft-enable-cr -np 1 "$@") >"$RUN/o" 2>"$RUN/e" </dev/null || { say_file "$RUN/e"; return 1; }; }
check "mpirun finds the program in the working directory" found "$PROGS" mpi_family 2
check "and in that of --wdir" found / --wdir "$PROGS" mpi_family 2
check "and in --path" found / --path "$PROGS" mpi_family 2

reference 2 "${prog[@]}" || { not_ok "uninterrupted run"; done_testing; }
# It is not to end before it is told to
export STEP_HOLD=550:$RUN/go
start_job 2 "${prog[@]}"
until_step 20
for ((i = 0; i < 600; i++)); do grep -q '^ompi-cr: job' "$RUN/err.1" && break; nap 100; done
check "mpirun prints the job id" has '^ompi-cr: job .*mpirun pid '"$JOB" "$RUN/err.1"
id=$(sed -n 's/^ompi-cr: job \([^ ]*\).*/\1/p' "$RUN/err.1" | head -1)
check "a first checkpoint, by the pid of mpirun" checkpoint -v
say_file "$RUN/ckpt.err" 3
check "status lines have the form of the original" has '\[ *[0-9.]+ / +[0-9.]+\] +[A-Za-z/ ]+ - ' "$RUN/ckpt.err"
check "the reference is named after mpirun" [ "$REF" = "ompi_global_snapshot_$JOB.ckpt" ]
engine_refused() { CR_ENGINE=$1 cr_run -- true 2>"$RUN/e"; [ $? = 126 ] && has "$2" "$RUN/e"; }
check "an engine that there is not is refused, with those that there are" engine_refused fast 'CR_ENGINE=fast.*user, kmod and auto'
if [ -e /dev/crmod ]; then
	skip "the kernel module's engine without the module is refused, with what to do" "the module is loaded"
else
	check "the kernel module's engine without the module is refused, with what to do" engine_refused kmod '/dev/crmod.*docs/kmod.md.*CR_ENGINE=user'
	check "without it the user-level engine is what the metadata has" sh -c "ompi-snapshot show '$REF' | grep -cE '^ *[01] .* user ' | grep -qx 2"
fi
patiently timeout 60 ompi-checkpoint "$id" >"$RUN/o" 2>"$RUN/e"
check "by the job id: sequence 1" has '^Snapshot Ref\.: +1 '"$REF" "$RUN/o"
patiently timeout 60 ompi-checkpoint --latest --json >"$RUN/o" 2>"$RUN/e"
check "--latest --json: valid JSON" sh -c "/usr/bin/python3 -m json.tool <'$RUN/o' >/dev/null"
check "--list names the snapshot" sh -c "ompi-checkpoint --list | grep -q '$REF'"
patiently timeout 60 ompi-checkpoint --check "$JOB" >"$RUN/o" 2>"$RUN/e"
check "--check: nothing against it" [ $? = 0 ]
timeout 60 ompi-checkpoint "$JOB" >"$RUN/o1" 2>"$RUN/e1" & a=$!
timeout 60 ompi-checkpoint "$JOB" >"$RUN/o2" 2>"$RUN/e2" & b=$!
wait $a; ra=$?; wait $b; rb=$?
check "two at once: one is done, the other done after it or told to try again" sh -c "[ $ra = 0 -o $rb = 0 ] && [ $ra = 0 -o $ra = 75 ] && [ $rb = 0 -o $rb = 75 ]"
check "--dry-run of a job that runs: refused, with words" quiet_fails 1 ompi-restart --dry-run "$REF"
from=$SECONDS
checkpoint --term
check "--term: saved" [ -n "$REF" ]
job_end 60
check "--term: mpirun ends quietly with status 0" sh -c "[ $RC = 0 ] && ! grep -qiE 'abort|signal|exited' '$RUN/err.1'"
say_file "$RUN/err.1" 4
seqs=$(find "$OMPI_CR_SNAPSHOT_DIR/$REF" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*' | wc -l)
newest=$((seqs - 1))

# What is on disk
ompi-snapshot list >"$RUN/o" 2>&1
check "ompi-snapshot list" has "$REF" "$RUN/o"
ompi-snapshot show "$REF" >"$RUN/o" 2>&1
check "ompi-snapshot show: ranks and their files" sh -c "grep -q 'opal_snapshot_0' '$RUN/o' && grep -q 'opal_snapshot_1' '$RUN/o' || { [ \$(grep -cE '^ *[01] ' '$RUN/o') -ge 2 ]; }"
check "ompi-snapshot verify" ompi-snapshot verify "$REF"
meta=$OMPI_CR_SNAPSHOT_DIR/$REF/global_snapshot_meta.h5
if command -v h5dump >/dev/null; then
	h5dump "$meta" >"$RUN/h5" 2>&1
	check "h5dump reads the metadata" [ $? = 0 ]
	check "h5dump: a row per rank with its context file" sh -c "grep -q 'opal_snapshot_0.ckpt/cr_context' '$RUN/h5' && grep -q 'opal_snapshot_1.ckpt/cr_context' '$RUN/h5'"
	check "h5dump: the command line, the Open MPI version, the host, the phases" sh -c \
		"grep -q mpi_objects '$RUN/h5' && grep -q '4\\.1\\.' '$RUN/h5' && grep -q '$(hostname)' '$RUN/h5' && grep -q quiesce '$RUN/h5'"
	check "h5dump: the node's topology" has 'topology' "$RUN/h5"
else
	skip "h5dump" "hdf5-tools is not installed"
fi
first=$(find "$OMPI_CR_SNAPSHOT_DIR/$REF" -name cr_context | sort | head -1)
check "cr_inspect reads a context file" sh -c "cr_inspect '$first' | grep -q 'complete'"
check "cr_inspect --verify" cr_inspect --verify "$first"
check "files and directories are the user's alone" [ -z "$(find "$OMPI_CR_SNAPSHOT_DIR/$REF" -perm /077)" ]

# Restart: forms
ompi-restart --info "$REF" >"$RUN/o" 2>&1
check "--info: sequences and processes" sh -c "grep -qi 'Sequences: *$seqs' '$RUN/o' && grep -qi 'Processes: *2' '$RUN/o'"
ompi-restart -p --showme "$REF/" >"$RUN/o" 2>&1
check "-p --showme, with a slash at the end: the mpirun line" has 'mpirun.*ft-enable-cr.*cr_restart' "$RUN/o"
ompi-restart --dry-run "$REF" >"$RUN/o" 2>"$RUN/e" </dev/null
check "--dry-run: every rank can be restarted here; the command, nothing started" sh -c "[ $? = 0 ] && grep -q '^mpirun.*cr_restart' '$RUN/o' && [ \$(wc -l <'$RUN/o') = 1 ]"
: >"$RUN/go"
restart "$REF"
job_end 60
check "the job goes on to the same result" sh -c "[ $RC = 0 ]"
check "its output too" covered "$WORK/ref/out" "$RUN/out.1" "$RUN/out.$SEG"
say_file "$RUN/err.$SEG" 3
rm "$RUN/go"
restart "$OMPI_CR_SNAPSHOT_DIR/$REF" -s 0
until_speaks
N_CKPT=0 OLD=$REF
check "by path, an older sequence; checkpointed again" checkpoint
check "under a reference of its own" [ "$REF" != "$OLD" ]
ompi-snapshot show "$REF" >"$RUN/o" 2>&1
check "whose lineage names the old one" has "$OLD" "$RUN/o"
kill_job
: >"$RUN/go"
restart "$REF"
job_end 60
check "the second generation restarts" [ "$RC" = 0 ]
check "and prints what the uninterrupted run prints" covered "$WORK/ref/out" "$RUN/out.1" "$RUN/out.$((SEG - 1))" "$RUN/out.$SEG"

# Refusals
check "no such job: status 1 with words" quiet_fails 1 ompi-checkpoint 999999999
check "bad option: status 2 with words" quiet_fails 2 ompi-checkpoint --no-such-option
check "no such snapshot: refused" sh -c "! ompi-restart no_such_ref 2>'$RUN/e' && grep -q no_such_ref '$RUN/e'"
victim=$OMPI_CR_SNAPSHOT_DIR/$OLD/$newest/opal_snapshot_1.ckpt/cr_context
bytes=$(stat -c %s "$victim")
cp "$victim" "$WORK/kept"
printf 'XYZ' | dd of="$victim" bs=1 seek=$((bytes / 2)) conv=notrunc 2>/dev/null
check "a flipped byte: verify names the rank's file" sh -c "! ompi-snapshot verify '$OLD' >'$RUN/o' 2>&1 && grep -q 'opal_snapshot_1' '$RUN/o'"
ompi-restart "$OLD" >"$RUN/o" 2>"$RUN/e" </dev/null
rc=$?
say_file "$RUN/e" 3
check "a flipped byte: the restart is refused before anything starts" sh -c "[ $rc != 0 ] && ! grep -q '^step' '$RUN/o' && grep -q 'opal_snapshot_1' '$RUN/e'"
restart "$OLD" --fallback
job_end 60
check "a flipped byte: --fallback takes an older sequence and says so" sh -c "[ $RC = 0 ] && tail -1 '$RUN/out.$SEG' | grep -q '^ok' && [ -s '$RUN/err.$SEG' ]"
head -c $((bytes / 2)) "$WORK/kept" >"$victim"
check "a cut file: refused" sh -c "! ompi-restart '$OLD' >'$RUN/o' 2>'$RUN/e' </dev/null"
cp "$WORK/kept" "$victim"
check "whole again: valid" ompi-snapshot verify "$OLD"
ompi-snapshot prune "$OLD" --keep 1 >"$RUN/o" 2>&1
check "prune keeps the newest" sh -c "[ -d '$OMPI_CR_SNAPSHOT_DIR/$OLD/$newest' ] && ! [ -d '$OMPI_CR_SNAPSHOT_DIR/$OLD/0' ] && ompi-snapshot verify '$OLD' >/dev/null"
for t in cr_run cr_checkpoint cr_restart cr_inspect ompi-checkpoint ompi-restart ompi-snapshot; do
	check "$t --help and --version" sh -c "$t --help | grep -qi usage && $t --version | grep -q '[0-9]\\.[0-9]'"
done
done_testing
