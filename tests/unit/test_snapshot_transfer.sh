#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-snapshot export and import: there and back is the same; every damage and every stranger in the archive is refused, and leaves nothing. TAP.
bin=${top_builddir:-.}
make=$bin/tests/unit/make_snapshot
snapshot=$bin/orte-tools/ompi-snapshot
restart=$bin/orte-tools/ompi-restart
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
unset OMPI_MCA_ompi_cr_snapshot_dir
export OMPI_CR_SNAPSHOT_DIR="$tmp/snaps" HOME="$tmp" TMPDIR="$tmp/t"
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
mkdir "$tmp/t"
"$make" "$tmp/snaps" 3 3 >/dev/null || { echo "Bail out! make_snapshot failed"; exit 99; }
clean() { [ -z "$(ls -A "$tmp/t")" ] && [ -z "$(ls -A "$tmp/there" 2>/dev/null)" ]; } # nothing left of an attempt

run "$snapshot" export $ref -s 1 -o "$tmp/one.tar" --json
[ $status -eq 0 ] && python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["sequence"]==1 and d["np"]==3 and d["bytes"]>3*65536' "$tmp/out" && clean; ok $? "export --json"
run tar -tf "$tmp/one.tar"
[ $status -eq 0 ] && [ "$(head -1 "$tmp/out")" = ompi-cr-export ] && [ "$(tail -1 "$tmp/out")" = ompi-cr-checksums ] && [ "$(wc -l <"$tmp/out")" -eq 7 ]; ok $? "tar reads it"
run "$snapshot" import "$tmp/one.tar" --dir "$tmp/there"
[ $status -eq 0 ] && grep -q "$tmp/there/$ref" "$tmp/out"; ok $? "import"
run "$snapshot" verify "$tmp/there/$ref"
[ $status -eq 0 ] && [ "$(cat "$tmp/out")" = "sequence 1: 3 context files are whole" ]; ok $? "what was imported is whole, and only that sequence"
cmp -s "$tmp/snaps/$ref/1/opal_snapshot_2.ckpt/cr_context" "$tmp/there/$ref/1/opal_snapshot_2.ckpt/cr_context" && cmp -s "$tmp/snaps/$ref/owner" "$tmp/there/$ref/owner" &&
	[ -z "$(find "$tmp/there" -perm /077)" ]; ok $? "the files are the same, and the user's alone"
"$snapshot" show --json "$tmp/snaps/$ref" -s 1 | sed "s|$tmp/snaps|DIR|" >"$tmp/a"; "$snapshot" show --json "$tmp/there/$ref" | sed "s|$tmp/there|DIR|" >"$tmp/b"
cmp -s "$tmp/a" "$tmp/b"; ok $? "the metadata say the same"
run "$restart" --dry-run "$tmp/there/$ref"
[ $status -eq 0 ] && grep -q "$tmp/there/$ref/1/" "$tmp/out"; ok $? "it can be restarted there"
run "$snapshot" import "$tmp/one.tar" --dir "$tmp/there"
[ $status -eq 1 ] && grep -q "is there already" "$tmp/err" && [ "$(ls -A "$tmp/there")" = $ref ]; ok $? "what is there is not replaced"
rm -rf "$tmp/there"
"$snapshot" export $ref -o - 2>"$tmp/err" | gzip | "$snapshot" import - --dir "$tmp/there" >"$tmp/out" 2>&1
grep -q "sequence 2: 3 ranks" "$tmp/out" && "$snapshot" verify -q "$tmp/there/$ref"; ok $? "through pipes and gzip; the newest"
rm -rf "$tmp/there"

# Damage: every tenth of the file, cuts, members that do not belong
bytes=$(stat -c %s "$tmp/one.tar")
refused=0
for i in 0 1 2 3 4 5 6 7 8 9; do
	cp "$tmp/one.tar" "$tmp/bad.tar"
	at=$((i == 0 ? 520 : i == 9 ? $(grep -abo ompi-cr-checksums "$tmp/bad.tar" | head -1 | cut -d: -f1) + 530 : bytes * i / 10))
	printf '\125' | dd of="$tmp/bad.tar" bs=1 seek=$at conv=notrunc 2>/dev/null
	cmp -s "$tmp/one.tar" "$tmp/bad.tar" && printf '\252' | dd of="$tmp/bad.tar" bs=1 seek=$at conv=notrunc 2>/dev/null
	run "$snapshot" import "$tmp/bad.tar" --dir "$tmp/there"
	if [ $status -eq 1 ] && [ -s "$tmp/err" ] && clean; then refused=$((refused + 1)); else echo "# byte $at of $bytes: status $status"; fi
done
[ $refused -eq 10 ]; ok $? "a changed byte anywhere is refused"
refused=0
for cut in 0 100 512 5000 $((bytes / 2)) $((bytes - 2048)); do
	head -c "$cut" "$tmp/one.tar" >"$tmp/bad.tar"
	run "$snapshot" import "$tmp/bad.tar" --dir "$tmp/there"
	[ $status -eq 1 ] && [ -s "$tmp/err" ] && clean && refused=$((refused + 1))
done
[ $refused -eq 6 ]; ok $? "a cut archive is refused"
python3 - "$tmp" "$ref" <<'PY'
import io, sys, tarfile
tmp, ref = sys.argv[1:]
def write(name, change):
    old = tarfile.open(tmp + "/one.tar")
    new = tarfile.open(tmp + "/" + name, "w", format=tarfile.PAX_FORMAT)
    for m in old.getmembers():
        data = old.extractfile(m).read()
        for info, content in change(m, data):
            if content is not None:
                info.size = len(content)
            new.addfile(info, io.BytesIO(content or b""))
    new.close()
def named(name, type=tarfile.REGTYPE, link=""):
    i = tarfile.TarInfo(name); i.type = type; i.linkname = link
    return i
last = lambda m: m.name == "ompi-cr-checksums"
extra = lambda i, c=b"x": (lambda m, d: ([(i, c)] if last(m) else []) + [(m, d)])
write("up.tar", extra(named("../escaped")))
write("absolute.tar", extra(named(tmp + "/escaped")))
write("inner.tar", extra(named(ref + "/1/../../../escaped")))
write("link.tar", extra(named(ref + "/2", tarfile.SYMTYPE, tmp), None))
write("hard.tar", extra(named(ref + "/owner2", tarfile.LNKTYPE, "/etc/passwd"), None))
write("fifo.tar", extra(named(ref + "/f", tarfile.FIFOTYPE), None))
write("twice.tar", lambda m, d: [(m, d)] * (2 if m.name.endswith("owner") else 1))
write("rank.tar", extra(named(ref + "/1/opal_snapshot_3.ckpt/cr_context")))
write("missing.tar", lambda m, d: [] if "opal_snapshot_1" in m.name else [(m, d)])
write("ranks.tar", lambda m, d: [(m, d.replace(b"ranks 3", b"ranks 2"))])
write("name.tar", lambda m, d: [(m, d.replace(b"reference " + ref.encode(), b"reference ../../x"))])
write("version.tar", lambda m, d: [(m, d.replace(b"export 1", b"export 2"))])
write("nosums.tar", lambda m, d: [] if last(m) else [(m, d)])
PY
for bad in up absolute inner link hard fifo twice rank missing ranks name version nosums; do
	run "$snapshot" import "$tmp/$bad.tar" --dir "$tmp/there"
	[ $status -eq 1 ] && [ -s "$tmp/err" ] && clean && [ ! -e "$tmp/escaped" ]; ok $? "refused: $bad ($(cut -c1-100 "$tmp/err" | sed "s|$tmp/||g"))"
done
run "$snapshot" import /dev/null --dir "$tmp/there"; [ $status -eq 1 ] && clean; ok $? "refused: nothing at all"
run "$snapshot" export $ref; [ $status -eq 2 ]; ok $? "export without -o is a usage error"
run "$snapshot" export $ref -o "$tmp/no/such/place"; [ $status -eq 1 ] && grep -q "no/such/place" "$tmp/err"; ok $? "a place that is not there"
truncate -s 5000 "$tmp/snaps/$ref/2/opal_snapshot_1.ckpt/cr_context"
echo old >"$tmp/two.tar"
run "$snapshot" export $ref -o "$tmp/two.tar"
[ $status -eq 1 ] && grep -q "opal_snapshot_1" "$tmp/err" && [ "$(cat "$tmp/two.tar")" = old ] && [ -z "$(find "$tmp" -name '*.tmp.*')" ] && clean; ok $? "a damaged sequence is not exported, the file that was there stays"
if [ -w /dev/full ]; then
	"$snapshot" export $ref -s 0 -o - >/dev/full 2>"$tmp/err"; status=$?
	[ $status -eq 1 ] && [ -s "$tmp/err" ]; ok $? "a full disk is an error"
fi
echo "1..$n"
