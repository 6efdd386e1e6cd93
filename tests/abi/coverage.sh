#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/mpi-coverage.md has a row for every function of mpi.h, each with a test that exists, and is not stale.
top_srcdir=${top_srcdir:-.} top_builddir=${top_builddir:-.}
# shellcheck source=tests/abi/tap.sh
. "$top_srcdir/tests/abi/tap.sh"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
def=$top_srcdir/crcp/mpi_calls.def
page() { LC_ALL=C awk -v top="$top_srcdir" -f "$top_srcdir/crcp/mpi_coverage.awk" "$@"; }

echo "1..4"
page "$top_srcdir/crcp/mpi_coverage.def" "$def" > "$work/page" 2> "$work/why"
ok $? "every function has a test that exists" "$(cat "$work/why")"
diff=$(diff "$top_srcdir/docs/mpi-coverage.md" "$work/page")
ok $? "docs/mpi-coverage.md is what \"make mpi-coverage\" makes" "$diff"
grep -v '^like' "$top_srcdir/crcp/mpi_coverage.def" > "$work/def"
echo 'CRCP_CALL(LOCAL, int, MPI_No_such, (void))' > "$work/calls"
page "$work/def" "$work/calls" > /dev/null 2> "$work/why"
ok "$(test $? -ne 0 && grep -q MPI_No_such "$work/why"; echo $?)" "a function without a test is found" "$(cat "$work/why")"
echo 'test integ/no_such_test tests/integ/progs/mpi_objects.c' >> "$work/def"
page "$work/def" "$def" > /dev/null 2> "$work/why"
ok "$(test $? -ne 0 && grep -q no_such_test "$work/why"; echo $?)" "a test that does not exist is found" "$(cat "$work/why")"
finish
