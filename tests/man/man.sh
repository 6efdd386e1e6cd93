#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every command has a man page without errors, which names the same long options as --help; so does the completion, which asks --help.
set -u
top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
bin=${OMPI_CR_PREFIX:-$top/_install}/bin
n=0
bad=0
check()
{
	local what=$1
	shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $what"; else echo "not ok $n - $what"; bad=1; fi
}
options() { grep -oE -- '(^|[^a-zA-Z-])--[a-z][a-z_-]+' | grep -oE -- '--[a-z_-]+' | sort -u; }
same()
{
	local diff
	diff=$(diff <("$bin/$1" --help | options) <(sed 's/\\f.//g; s/\\-/-/g; s/" "//g' "$2" | tr -d '"' | options)) && return 0
	echo "$diff" | sed 's/^/# /'
	return 1
}
clean()
{
	local words
	words=$(groff -man -Tutf8 -ww -z "$1" 2>&1)
	[ -z "$words" ] && return 0
	echo "$words" | sed 's/^/# /'
	return 1
}
for tool in "$bin"/*; do
	tool=${tool##*/}
	page=$top/docs/man/$tool.1
	check "$tool has a man page" test -f "$page"
	[ -f "$page" ] || continue
	check "$tool.1 is well formed" clean "$page"
	check "$tool.1 and --help name the same options" same "$tool" "$page"
	check "$tool --help fits a screen" test "$("$bin/$tool" --help | wc -l)" -le 50
done
# shellcheck source=/dev/null
. "$top/orte-tools/completion/ompi-cr"
COMP_WORDS=("$bin/ompi-restart" --dr) COMP_CWORD=1
_ompi_cr "$bin/ompi-restart"
check "completion knows the options" test "${COMPREPLY[*]}" = --dry-run
COMP_WORDS=("$bin/ompi-snapshot" ver) COMP_CWORD=1
_ompi_cr "$bin/ompi-snapshot"
check "completion knows the subcommands" test "${COMPREPLY[*]}" = verify
echo "1..$n"
exit $bad
