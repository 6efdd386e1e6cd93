#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Progress bars: there when standard error is a terminal, with rate and remaining time; never anywhere else; gone at the end; without colour when NO_COLOR says so. TAP.
bin=${top_builddir:-.}
pty=${top_srcdir:-.}/tests/lib/on-tty.py
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
unset OMPI_MCA_ompi_cr_snapshot_dir NO_COLOR
export OMPI_CR_SNAPSHOT_DIR="$tmp/snaps" HOME="$tmp" TERM=xterm
# These context files hold no program: what `cr_restart --check` would say of them is not the question here
printf '#!/bin/sh\nexit 0\n' >"$tmp/cr_restart" && chmod +x "$tmp/cr_restart"
export OMPI_CR_RESTORER="$tmp/cr_restart"
ref=ompi_global_snapshot_4711.ckpt
escape=$(printf '\033')
n=0
ok() { # ok STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; for f in out err tty; do cat -v "$tmp/$f" 2>/dev/null | tr '\r' '\n' | sed "s/^/# $f: /" | head -20; done; fi
}
on_tty() { rm -f "$tmp/tty"; "$pty" "$tmp/tty" "$@" >"$tmp/out" 2>"$tmp/err"; status=$?; }
bar() { tr '\r' '\n' <"$tmp/tty" | grep -Eq "^$1 .*[0-9]+% [0-9.]+ of [0-9.]+ [KMGT]?i?B [0-9]+ [KMGT]?i?B/s"; }
gone() { [ "$(tail -c 4 "$tmp/tty")" = "$(printf '\r%s[K' "$escape")" ]; } # the last thing on the line is nothing
"$bin/tests/unit/make_snapshot" "$tmp/snaps" 3 1 >/dev/null || { echo "Bail out! make_snapshot failed"; exit 99; }
context=$tmp/snaps/$ref/0/opal_snapshot_0.ckpt/cr_context
snapshot=$bin/orte-tools/ompi-snapshot

on_tty "$snapshot" verify $ref
[ $status -eq 0 ] && bar verify && gone && grep -q "$escape\[32m" "$tmp/tty" && [ "$(cat "$tmp/out")" = "sequence 0: 3 context files are whole" ]; ok $? "verify: a bar on the terminal, the result on standard output"
tr '\r' '\n' <"$tmp/tty" | grep -q '[0-9]:[0-9][0-9] left'; ok $? "with the time that is left"
NO_COLOR=1 on_tty "$snapshot" verify $ref
bar verify && gone && ! grep -q "$escape\[[0-9;]*m" "$tmp/tty"; ok $? "NO_COLOR: no colour"
TERM=dumb on_tty "$snapshot" verify $ref
[ $status -eq 0 ] && [ ! -s "$tmp/tty" ]; ok $? "a dumb terminal: no bar"
on_tty "$snapshot" verify -q $ref
[ $status -eq 0 ] && [ ! -s "$tmp/tty" ]; ok $? "--quiet: no bar"
"$snapshot" verify $ref >"$tmp/out" 2>"$tmp/err"
[ ! -s "$tmp/err" ]; ok $? "no terminal: no bar"
on_tty "$snapshot" export $ref -o "$tmp/one.tar"
[ $status -eq 0 ] && bar export && gone; ok $? "export"
on_tty "$snapshot" import "$tmp/one.tar" --dir "$tmp/there"
[ $status -eq 0 ] && bar import && gone; ok $? "import"
on_tty "$bin/cr_inspect" --verify "$context"
[ $status -eq 0 ] && bar verify && gone; ok $? "cr_inspect --verify"
on_tty "$bin/orte-tools/ompi-restart" --dry-run $ref
[ $status -eq 0 ] && bar verify && gone; ok $? "the check before a restart"
mkdir "$tmp/bin"
printf '#!/bin/sh\nsleep 1\necho words >&2\nexit 37\n' >"$tmp/bin/mpirun"
chmod +x "$tmp/bin/mpirun"
PATH="$tmp/bin:$PATH" on_tty "$bin/orte-tools/ompi-restart" $ref
[ $status -eq 37 ] && bar restore && grep -q words "$tmp/tty"; ok $? "restart: until the ranks run again, or mpirun has ended; the status is mpirun's"
echo "1..$n"
