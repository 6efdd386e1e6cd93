#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-snapshot report: the page needs nothing else, says what the metadata say, takes no command from a hostile job, and is a picture of something in a browser. TAP.
bin=${top_builddir:-.}
make=$bin/tests/unit/make_snapshot
snapshot=$bin/orte-tools/ompi-snapshot
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
unset OMPI_MCA_ompi_cr_snapshot_dir
export OMPI_CR_SNAPSHOT_DIR="$tmp/snaps" HOME="$tmp"
ref=ompi_global_snapshot_4711.ckpt
page=$tmp/report.html
n=0
ok() { # ok STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; sed 's/^/# /' "$tmp/out" "$tmp/err" 2>/dev/null; fi
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
run() { "$@" >"$tmp/out" 2>"$tmp/err"; status=$?; }
"$make" "$tmp/snaps" 8 2 mpirun -am ft-enable-cr -np 8 ./heat '<script>document.title="owned"</script>' '"><img src=x onerror=alert(1)>' "$(printf 'bytes \377\033[31m')" '&amp;' >/dev/null ||
	{ echo "Bail out! make_snapshot failed"; exit 99; }

run "$snapshot" report $ref --html "$page"
[ $status -eq 0 ] && [ -s "$page" ]; ok $? "report writes a page"
run "$snapshot" report $ref --html -
cmp -s "$tmp/out" "$page"; ok $? "- is standard output"
run "$snapshot" report $ref; [ $status -eq 2 ]; ok $? "report without --html is a usage error"
run "$snapshot" report $ref --html "$tmp/no/such"; [ $status -eq 1 ] && grep -q "no/such" "$tmp/err"; ok $? "a place that is not there"
cat >"$tmp/look.py" <<'PY'
import html.parser, re, sys
class Page(html.parser.HTMLParser):
    void = {"meta", "rect", "line"}
    allowed = set("html head meta title style body main section h1 h2 p div span b i small table tr th td dl dt dd code pre svg line text tspan rect footer".split())
    def __init__(self):
        super().__init__(); self.tags = []; self.stack = []; self.attributes = []; self.data = ""
    def handle_starttag(self, tag, attrs):
        assert tag in self.allowed, tag
        self.tags.append(tag); self.attributes += attrs
        if tag not in self.void: self.stack.append(tag)
    def handle_startendtag(self, tag, attrs):
        assert tag in self.allowed, tag
        self.tags.append(tag); self.attributes += attrs
    def handle_endtag(self, tag):
        if tag in self.void: return
        assert self.stack.pop() == tag, tag
    def handle_data(self, data): self.data += data
raw = open(sys.argv[1], encoding="utf-8").read() # strict: a byte that is not UTF-8 fails
page = Page(); page.feed(raw); page.close()
assert not page.stack, page.stack
for name, value in page.attributes:
    assert not name.startswith("on") and name not in ("src", "href", "xlink:href", "action"), name
assert not re.search(r"url\(|@import|https?:|//[a-z]", raw), "the page points outside"
assert '<script>document.title="owned"</script>' in page.data and '"><img src=x' in page.data and "&amp;" in page.data
assert not [c for c in raw if ord(c) < 32 and c not in "\n\t"]
text = page.data
for want in ("8", "rank 7, node7 (late)", "Who was late?", "32.0 ms", "500.0 ms", "quiesce", "sequence 1: this one", "18.0 ms", "ft-enable-cr", "/home/u"):
    assert want in text, want
assert page.tags.count("svg") == 2 and page.tags.count("rect") > 8 * 2 * 4
PY
run python3 "$tmp/look.py" "$page"; ok $status "the page is whole, self-contained, says who was late, and shows hostile words as words"

# Lineage: a job that was brought back from this one, and one whose ancestor is gone
cat >"$tmp/screen.py" <<'PY'
# How many pixels of each colour: a PNG as Chromium writes it (8 bits, RGB or RGBA, not interlaced).
import collections, struct, sys, zlib
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n"
at, idat = 8, b""
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at:at + 8]); body = data[at + 8:at + 8 + size]; at += 12 + size
    if kind == b"IHDR": width, height, depth, colour, _, _, lace = struct.unpack(">IIBBBBB", body)
    if kind == b"IDAT": idat += body
assert depth == 8 and colour in (2, 6) and lace == 0
bpp = 3 if colour == 2 else 4
raw, stride = zlib.decompress(idat), width * bpp
before, count = bytearray(stride), collections.Counter()
for y in range(height):
    how, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
    if how == 1:
        for i in range(bpp, stride): row[i] = (row[i] + row[i - bpp]) & 255
    elif how == 2:
        row = bytearray((a + b) & 255 for a, b in zip(row, before))
    elif how == 3:
        for i in range(stride): row[i] = (row[i] + (((row[i - bpp] if i >= bpp else 0) + before[i]) >> 1)) & 255
    elif how == 4:
        for i in range(stride):
            a, b, c = (row[i - bpp] if i >= bpp else 0), before[i], (before[i - bpp] if i >= bpp else 0)
            p = a + b - c; pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
            row[i] = (row[i] + (a if pa <= pb and pa <= pc else b if pb <= pc else c)) & 255
    before = row
    count.update(zip(row[0::bpp], row[1::bpp], row[2::bpp]))
print(width, height, len(count), "colours")
for name, rgb, least in (("to the cut", (0xb9, 0xc3, 0xd0), 300), ("write", (0x35, 0x78, 0xc6), 2000), ("runs again", (0x6f, 0xb9, 0x8a), 2000),
                         ("drain", (0xf0, 0xa0, 0x20), 60), ("freeze", (0xd9, 0x48, 0x3b), 60), ("capture", (0x8a, 0x5b, 0xd6), 60), ("card", (255, 255, 255), width * height // 5)):
    print(name, count[rgb])
    assert count[rgb] >= least, name
assert len(count) > 50
PY
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -n "$browser" ]; then
	timeout -k 5 120 "$browser" --headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --disable-sync --disable-extensions --disable-dev-shm-usage \
		--hide-scrollbars --user-data-dir="$tmp/profile" --window-size=1000,1100 --screenshot="$tmp/page.png" "file://$page" >"$tmp/out" 2>"$tmp/err"
	[ -s "$tmp/page.png" ] && python3 "$tmp/screen.py" "$tmp/page.png" >"$tmp/out" 2>>"$tmp/err"; ok $? "in a browser it is the picture of a timeline"
	sed 's/^/# /' "$tmp/out"
	if [ -n "${REPORT_PICTURE:-}" ]; then cp "$tmp/page.png" "$REPORT_PICTURE"; fi
else
	skip "in a browser it is the picture of a timeline" "chromium is not installed"
fi
echo "1..$n"
