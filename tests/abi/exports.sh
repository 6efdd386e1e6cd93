#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The program's libmpi exports what the installed one exports: the same names, functions as functions, data as data of the same size.
top_srcdir=${top_srcdir:-.} top_builddir=${top_builddir:-.}
# shellcheck source=tests/abi/tap.sh
. "$top_srcdir/tests/abi/tap.sh"

ours=$top_builddir/crcp/.libs/libmpi.so.40
real=$(sed -n 's/^OMPI_LIBMPI = //p' "$top_builddir/Makefile")
[ -r "$ours" ] || skip_all "no $ours"
[ -r "$real" ] || skip_all "the installed libmpi ($real) cannot be read"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

symbols()
{
	readelf --dyn-syms -W "$1" | awk '$7 != "UND" && $7 != "Ndx" && ($4 == "FUNC" || $4 == "OBJECT") { print $8, $4, $5, $4 == "OBJECT" ? $3 : "" }' |
		LC_ALL=C sort
}
symbols "$real" > "$work/real"
symbols "$ours" > "$work/ours"

echo "1..5"
ok "$(test "$(wc -l < "$work/real")" -gt 1000; echo $?)" "the installed libmpi exports more than 1000 symbols"
missing=$(cut -d' ' -f1 "$work/ours" | LC_ALL=C sort > "$work/names"; cut -d' ' -f1 "$work/real" | LC_ALL=C sort | LC_ALL=C comm -23 - "$work/names")
ok "$(test -z "$missing"; echo $?)" "none is missing in ours" "$missing"
extra=$(cut -d' ' -f1 "$work/real" | LC_ALL=C sort | LC_ALL=C comm -13 - "$work/names")
ok "$(test -z "$extra"; echo $?)" "ours exports nothing else" "$extra"
different=$(LC_ALL=C comm -3 "$work/real" "$work/ours")
ok "$(test -z "$different"; echo $?)" "each has the same type, binding and size" "$different"
needed=$(readelf -d "$ours" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v -x -e libc.so.6 -e libcr.so)
ok "$(test -z "$needed"; echo $?)" "ours needs libc and libcr alone" "$needed"
finish
