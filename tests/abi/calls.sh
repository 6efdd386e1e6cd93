#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# mpi_calls.def names every function that mpi.h and mpi-ext.h declare, and no wrapper is missing among our own objects.
top_srcdir=${top_srcdir:-.} top_builddir=${top_builddir:-.}
# shellcheck source=tests/abi/tap.sh
. "$top_srcdir/tests/abi/tap.sh"

def=$top_srcdir/crcp/mpi_calls.def
parts=$top_builddir/crcp/.libs/libmpi_parts.a
cflags=$(sed -n 's/^OMPI_CFLAGS = //p' "$top_builddir/Makefile")
[ -r "$parts" ] || skip_all "no $parts"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

sed -n 's/^CRCP_CALL([A-Z0-9]*, [A-Za-z_]*, \([A-Za-z_0-9]*\), .*/\1/p' "$def" | LC_ALL=C sort > "$work/def"
# shellcheck disable=SC2086 # flags are several words
printf '#include <mpi.h>\n#include <mpi-ext.h>\n' |
	${CC:-gcc} -E -P -DOMPI_OMIT_MPI1_COMPAT_DECLS=0 $cflags -xc - | tr '\n' ' ' | tr ';' '\n' | grep -v typedef |
	grep -o -E '\bPMPIX?_[A-Za-z_0-9]+ *\(' | tr -d ' (' | sed 's/^P//' | LC_ALL=C sort -u > "$work/header"
nm -g --defined-only "$parts" 2>/dev/null | awk '$2 == "T" && $3 ~ /^PMPIX?_/ { print substr($3, 2) }' | LC_ALL=C sort -u > "$work/wrappers"
nm -g --defined-only "$parts" 2>/dev/null | awk '$2 == "W" && $3 ~ /^MPIX?_/ { print $3 }' | LC_ALL=C sort -u > "$work/aliases"

echo "1..5"
ok "$(test "$(wc -l < "$work/def")" -gt 400; echo $?)" "mpi_calls.def has more than 400 lines"
ok "$(test -z "$(uniq -d "$work/def")"; echo $?)" "it names each function once" "$(uniq -d "$work/def")"
diff=$(LC_ALL=C comm -3 "$work/header" "$work/def")
ok "$(test -z "$diff"; echo $?)" "its functions are those of the header" "$diff"
diff=$(LC_ALL=C comm -3 "$work/def" "$work/wrappers")
ok "$(test -z "$diff"; echo $?)" "each has a PMPI_ wrapper" "$diff"
diff=$(LC_ALL=C comm -23 "$work/def" "$work/aliases")
ok "$(test -z "$diff"; echo $?)" "each has a weak MPI_ alias" "$diff"
finish
