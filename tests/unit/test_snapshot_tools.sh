#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-snapshot and ompi-restart on snapshots whose context files are whole but hold no program. TAP.
bin=${top_builddir:-.}
make=$bin/tests/unit/make_snapshot
snapshot=$bin/orte-tools/ompi-snapshot
restart=$bin/orte-tools/ompi-restart
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
unset OMPI_MCA_ompi_cr_snapshot_dir
export OMPI_CR_SNAPSHOT_DIR="$tmp/snaps" HOME="$tmp"
# These context files hold no program: what `cr_restart --check` would say of them is not the question here
printf '#!/bin/sh\nexit 0\n' >"$tmp/cr_restart" && chmod +x "$tmp/cr_restart"
export OMPI_CR_RESTORER="$tmp/cr_restart"
ref=ompi_global_snapshot_4711.ckpt
n=0
ok() { # ok STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; sed 's/^/# /' "$tmp/out" "$tmp/err" 2>/dev/null; fi
}
run() { "$@" >"$tmp/out" 2>"$tmp/err"; status=$?; }
fresh() { rm -rf "$tmp/snaps"; "$make" "$tmp/snaps" "$@" >/dev/null || { echo "Bail out! make_snapshot failed"; exit 99; }; }
flip() { # flip FILE OFFSET
	printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

fresh 3 3
run "$snapshot" list
[ $status -eq 0 ] && [ "$(grep -c "$ref" "$tmp/out")" -eq 3 ] && grep -q ./heat "$tmp/out"; ok $? "list shows every sequence"
run "$snapshot" list --json
[ $status -eq 0 ] && python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert [e["sequence"] for e in d]==[0,1,2] and d[0]["np"]==3' "$tmp/out"; ok $? "list --json"
run "$snapshot" show $ref -s 1
[ $status -eq 0 ] && grep -q '^Sequence: *1' "$tmp/out" && grep -q node7 "$tmp/out"; ok $? "show"
run "$snapshot" show --json "$tmp/snaps/$ref/"
[ $status -eq 0 ] && python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["sequence"]==2 and len(d["ranks"])==3' "$tmp/out"; ok $? "show --json of a path with a slash at the end: the newest"
run "$snapshot" verify $ref
[ $status -eq 0 ] && [ "$(grep -c whole "$tmp/out")" -eq 3 ]; ok $? "verify: whole"
run "$snapshot" show nonesuch
[ $status -eq 1 ] && grep -q nonesuch "$tmp/err"; ok $? "show of a name that is not there"
run "$snapshot" frobnicate
[ $status -eq 2 ]; ok $? "unknown command is a usage error"

if [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import h5py' 2>/dev/null; then
	run /usr/bin/python3 -c '
import h5py, sys
with h5py.File(sys.argv[1], "r") as f:
    assert f.attrs["format"] == 1 and sorted(f["sequence"]) == ["0", "1", "2"]
    rows = f["sequence/2/ranks"][:]
    assert list(rows["rank"]) == [0, 1, 2] and rows["context_file"][1] == b"opal_snapshot_1.ckpt/cr_context"
    assert f["job/argv"][0] == b"mpirun" and b"<topology" in f["topology"][f["sequence/2/nodes"][0]["topology"].decode()][0]
' "$tmp/snaps/$ref/global_snapshot_meta.h5"
	ok $status "h5py reads the metadata"
else
	n=$((n + 1)); echo "ok $n - h5py reads the metadata # SKIP python3-h5py is not installed"
fi

# Damage: one byte of page data, of the structure, a cut file, a missing file, one that was exchanged.
bad="$tmp/snaps/$ref/2/opal_snapshot_1.ckpt/cr_context"
for how in page head cut missing exchanged; do
	fresh 3 3
	case $how in
	page) flip "$bad" 20000 ;;
	head) flip "$bad" 3 ;;
	cut) truncate -s 5000 "$bad" ;;
	missing) rm "$bad" ;;
	exchanged) cp "$tmp/snaps/$ref/1/opal_snapshot_1.ckpt/cr_context" "$bad" ;;
	esac
	run "$snapshot" verify $ref
	[ $status -eq 1 ] && grep -q "rank 1: $bad" "$tmp/err" && [ "$(grep -c whole "$tmp/out")" -eq 2 ]; ok $? "verify names the bad file ($how)"
	run "$restart" --dry-run $ref
	[ $status -eq 1 ] && grep -q "rank 1" "$tmp/err" && grep -q "nothing was started" "$tmp/err"; ok $? "restart refuses ($how)"
	run "$restart" --dry-run -s 1 $ref
	[ $status -eq 0 ] && grep -q "/1/opal_snapshot_%d.ckpt" "$tmp/out"; ok $? "an older sequence can be asked for ($how)"
	run "$restart" --dry-run --fallback $ref
	[ $status -eq 0 ] && grep -q "falling back to sequence 1" "$tmp/err" && grep -q "/1/opal_snapshot_%d.ckpt" "$tmp/out"; ok $? "--fallback takes the older one and says so ($how)"
done
flip "$tmp/snaps/$ref/global_snapshot_meta.h5" 900
run "$restart" $ref
[ $status -eq 1 ] && grep -q damaged "$tmp/err"; ok $? "restart refuses damaged metadata"

fresh 2 5
run "$snapshot" prune $ref
[ $status -eq 2 ]; ok $? "prune without --keep is a usage error"
run "$snapshot" prune $ref --keep 2
[ $status -eq 0 ] && [ ! -e "$tmp/snaps/$ref/2" ] && [ -e "$tmp/snaps/$ref/3" ] && [ -e "$tmp/snaps/$ref/4" ]; ok $? "prune keeps the newest"
run "$snapshot" verify $ref
[ $status -eq 0 ] && [ "$(grep -c whole "$tmp/out")" -eq 2 ]; ok $? "what is left is whole"
# The last good one stays, whatever is asked for; leftovers of a job that is over go.
fresh 2 5
flip "$tmp/snaps/$ref/4/opal_snapshot_0.ckpt/cr_context" 20000
flip "$tmp/snaps/$ref/3/opal_snapshot_1.ckpt/cr_context" 20000
mkdir -p "$tmp/snaps/$ref/9.tmp/opal_snapshot_0.ckpt" "$tmp/snaps/$ref/8"
run "$restart" --dry-run --fallback $ref
[ $status -eq 0 ] && grep -q "falling back to sequence 2" "$tmp/err" && grep -q "sequence 4, rank 0: .*/4/" "$tmp/err" && grep -q "sequence 3, rank 1: .*/3/" "$tmp/err"; ok $? "--fallback over two damaged ones: both bad files are named"
run "$restart" --dry-run $ref
[ $status -eq 1 ] && grep -q "sequence 4, rank 0: .*/4/" "$tmp/err" && grep -q -- "--fallback takes" "$tmp/err"; ok $? "without --fallback: refused, the file is named, --fallback is told of"
run "$snapshot" prune $ref --keep 2
[ $status -eq 0 ] && [ ! -e "$tmp/snaps/$ref/1" ] && [ -e "$tmp/snaps/$ref/2" ] && [ -e "$tmp/snaps/$ref/4" ] && grep -q "sequence 2, the newest one that is whole" "$tmp/err"; ok $? "prune keeps the last good one as well"
[ ! -e "$tmp/snaps/$ref/9.tmp" ] && [ ! -e "$tmp/snaps/$ref/8" ]; ok $? "prune takes leftovers away"
flip "$tmp/snaps/$ref/2/opal_snapshot_1.ckpt/cr_context" 20000
run "$snapshot" prune $ref --keep 1
[ $status -eq 1 ] && [ -e "$tmp/snaps/$ref/2" ] && [ -e "$tmp/snaps/$ref/3" ] && grep -q "nothing is removed" "$tmp/err"; ok $? "prune removes nothing when nothing is whole"
run "$restart" --dry-run --fallback $ref
[ $status -eq 1 ] && grep -q "no older one is whole" "$tmp/err"; ok $? "--fallback with nothing whole is refused"

# The command.
fresh 4 1 mpirun -am ft-enable-cr -np 4 --oversubscribe --mca btl self,tcp --hostfile nodes -x SECRET=1 ./heat -np 7 --oversubscribe
run "$restart" --showme $ref
[ $status -eq 0 ] && grep -q '^mpirun -am [^ ]*ft-enable-cr -np 4 --oversubscribe --mca btl self,tcp --hostfile /home/u/nodes [^ ]*/cr_restart --rank-file [^ ]*/0/opal_snapshot_%d.ckpt/cr_context$' "$tmp/out"; ok $? "the command repeats placement, parameters and nodes"
run "$restart" --showme --hostfile mine $ref -- --mca btl vader,self
[ $status -eq 0 ] && grep -q -- '-np 4 --oversubscribe --hostfile mine --mca btl vader,self ' "$tmp/out"; ok $? "what the user gives goes before what was saved"
run "$restart" -showme -machinefile mine --mpirun_opts "--map-by 'node'" "$tmp/snaps/$ref/"
[ $status -eq 0 ] && grep -q -- '--hostfile mine --map-by node ' "$tmp/out"; ok $? "long options with one dash, --mpirun_opts is split"
fresh 2 1 mpirun -am ft-enable-cr --mca ompi_cr_snapshot_dir here --output-filename out -np 2 ./heat
run "$restart" --showme $ref
grep -q -- '--mca ompi_cr_snapshot_dir /home/u/here --output-filename /home/u/out ' "$tmp/out"; ok $? "paths relative to the job's working directory"
run "$restart" --showme $ref -- ./other
[ $status -eq 1 ] && grep -q ./other "$tmp/err"; ok $? "another program is refused"
fresh 4 1
run "$restart" --dry-run --json $ref
[ $status -eq 0 ] && python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["np"]==4 and d["command"][0]=="mpirun"' "$tmp/out"; ok $? "--dry-run --json"
printf '#!/bin/sh\ncase $2 in *_2.ckpt*) echo no such processor >&2; exit 1 ;; esac\n' >"$tmp/cr_restart"
run "$restart" --dry-run $ref
[ $status -eq 1 ] && [ ! -s "$tmp/out" ] && grep -q "no such processor" "$tmp/err" && grep -q "rank 2 cannot be restarted on this host" "$tmp/err"; ok $? "--dry-run asks cr_restart --check about every rank"
run "$restart" --dry-run --hostfile nodes $ref
[ $status -eq 0 ] && grep -q "not checked" "$tmp/err"; ok $? "--dry-run for other hosts says that it does not"
printf '#!/bin/sh\nexit 0\n' >"$tmp/cr_restart"
PATH=$tmp run "$restart" --dry-run $ref
[ $status -eq 1 ] && grep -q "no mpirun in PATH" "$tmp/err"; ok $? "--dry-run without mpirun"
OMPI_CR_RESTORER=$tmp/none run "$restart" --dry-run $ref
[ $status -eq 1 ] && grep -q "none cannot be run" "$tmp/err"; ok $? "--dry-run without cr_restart"
run "$restart" -i -v $ref
[ $status -eq 0 ] && grep -q '^Sequences: 1$' "$tmp/out" && grep -q '^Processes: 4$' "$tmp/out" && grep -q 'Rank 3' "$tmp/out"; ok $? "--info"
run "$restart" --apponly $ref
[ $status -eq 0 ] && grep -q '^-np 4 .*cr_restart --rank-file' "$tmp/snaps/$ref/restart-appfile"; ok $? "--apponly"
run "$restart" $ref another
[ $status -eq 2 ]; ok $? "two references are a usage error"
run "$restart" -s 9 $ref
[ $status -eq 1 ] && grep -q 'no sequence 9' "$tmp/err"; ok $? "a sequence that is not there"
run "$restart" -s x $ref
[ $status -eq 2 ]; ok $? "a sequence that is no number"

# exec: a mpirun of our own shows what it is given.
mkdir "$tmp/bin"
cat >"$tmp/bin/mpirun" <<'END'
#!/bin/sh
echo "$OMPI_CR_RESTARTED_FROM $OMPI_CR_RESTARTED_SEQ $OMPI_MCA_btl_test $$"
exit 37
END
chmod +x "$tmp/bin/mpirun"
PATH="$tmp/bin:$PATH"
fresh 2 2
run "$restart" $ref
[ $status -eq 37 ] && grep -q "^$tmp/snaps/$ref 1 saved " "$tmp/out"; ok $? "the exit status is mpirun's, the lineage is in its environment, saved parameters too"
OMPI_MCA_btl_test=mine run "$restart" -s 0 $ref
grep -q "^$tmp/snaps/$ref 0 mine " "$tmp/out"; ok $? "the environment goes before the saved one"
run "$restart" --fork $ref
[ $status -eq 0 ]; ok $? "--fork returns at once"
rm -rf "$tmp/snaps"; MAKE_SNAPSHOT_RUNNING=1 "$make" "$tmp/snaps" 1 1 >/dev/null
run "$restart" $ref
[ $status -eq 1 ] && grep -q 'still running' "$tmp/err"; ok $? "a job that still runs is not brought back"
run "$restart" --force $ref
[ $status -eq 37 ]; ok $? "--force"
echo "1..$n"
