#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every command has a man page without errors. The options that the program takes, --help, the man page and the completion are the same, both ways; --help fits a
# screen; --version and wrong usage behave alike everywhere.
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
# Long options, and short ones, that a text names
options() { grep -v "^ *#[A-Z$]" | grep -oE -- '(^|[^a-zA-Z-])(--[a-z][a-z_-]+|-[a-zA-Z?]($|[^a-zA-Z-]))' | grep -oE -- '--[a-z_-]+|-[a-zA-Z?]' | sort -u; }
plain() { sed -e '/^\.TH/d' -e 's/\\f.//g; s/\\-/-/g; s/" "//g' -e 's/^\.[A-Z]* //' "$1" | tr -d '"' | sed 's/\([^ ,]\),\(--*[a-z]\)/\1, \2/g'; }
differ() { local d; d=$(diff <(echo "$1") <(echo "$2")) && return 0; echo "$d" | sed 's/^/# /'; return 1; }
page_same() { differ "$("$bin/$1" --help | options)" "$(plain "$2" | options)"; }
# Words of getopt tables; what programs of ours say to each other is not for people
internal=' --exec --stdio --mask --report-fd cr_run:--tree cr_run:--ipc '
table_same()
{
	local sources taken shown
	sources=$(grep -lE "Usage: $1( |\$)" "$top"/orte-tools/*.c "$top"/orte-tools/*/*.c "$top"/libcr/tools/*.c)
	[ -n "$sources" ] || return 0
	# shellcheck disable=SC2086
	taken=$(grep -ohE '(\{ *"[a-z_-]+", *(no|required|optional)_argument|CR_OPTION_[A-Z_]+\("[a-z_-]+")' $sources | sed 's/[^"]*"\([a-z_-]*\)".*/--\1/' |
		if grep -q cr_command_parse $sources; then cat; echo --help; echo --version; else cat; fi | sort -u |
		while read -r o; do case $internal in *" $o "* | *" $1:$o "*) ;; *) echo "$o" ;; esac; done)
	shown=$("$bin/$1" --help | grep -v '^ *#[A-Z$]' | grep -oE -- '(^|[ ,])--[a-z][a-z_-]+' | tr -d ' ,' | sort -u)
	# A program without a table looks at its first word; other options that --help names are the scheduler's
	if [ -z "$taken" ]; then
		# shellcheck disable=SC2086
		taken=$(grep -ohE 'strcmp\(argv\[1\], "--[a-z-]+"' $sources | grep -oE -- '--[a-z-]+' | sort -u)
		shown=$("$bin/$1" --help | grep -oE -- '^ +(-[a-z], )?--[a-z][a-z_-]+' | grep -oE -- '--[a-z_-]+' | sort -u)
	fi
	case $1 in ompi-checkpoint) shown=$(echo "$shown" | grep -vxE -- '--(mca|gmca|am)') ;; esac # taken out before getopt
	differ "$taken" "$shown"
}
clean()
{
	local words
	words=$(groff -man -Tutf8 -ww -z "$1" 2>&1)
	[ -z "$words" ] && return 0
	echo "$words" | sed 's/^/# /'
	return 1
}
# shellcheck source=/dev/null
. "$top/orte-tools/completion/ompi-cr"
complete_words() # COMMAND WORD...: what is offered for the last word, one a line
{
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_ompi_cr "$1"
	printf '%s\n' "${COMPREPLY[@]}" | sort -u
}
completion_same() { differ "$("$bin/$1" --help | grep -v '^ *#[A-Z$]' | grep -oE -- '(^|[ ,])--[a-z][a-z_-]+' | tr -d ' ,' | sort -u)" "$(complete_words "$bin/$1" --)"; }
completion_bound() { complete -p "$1" 2>/dev/null | grep -q _ompi_cr && grep -q "^completed = .*\b$1\b" "$top/orte-tools/local.mk"; }
refuses() # wrong usage: status 2, words on standard error, nothing on standard output
{
	local out
	out=$("$bin/$1" --no-such-option 2>/dev/null)
	[ $? = 2 ] && [ -z "$out" ] && [ -n "$("$bin/$1" --no-such-option 2>&1 >/dev/null)" ]
}
for tool in "$bin"/*; do
	tool=${tool##*/}
	page=$top/docs/man/$tool.1
	check "$tool has a man page" test -f "$page"
	[ -f "$page" ] || continue
	check "$tool.1 is well formed" clean "$page"
	check "$tool.1 and --help name the same options" page_same "$tool" "$page"
	check "$tool takes the options that --help names" table_same "$tool"
	check "$tool --help fits a screen" test "$("$bin/$tool" --help | wc -l)" -le 40
	check "$tool --help on standard output, status 0" test -z "$("$bin/$tool" --help 2>&1 >/dev/null)"
	check "$tool --version" grep -qE "^$tool \(ompi-cr\) [0-9]" <("$bin/$tool" --version)
	check "$tool: wrong usage is status 2" refuses "$tool"
	check "$tool: completion is installed" completion_bound "$tool"
	check "$tool: completion offers the options of --help" completion_same "$tool"
done
check "completion narrows options" test "$(complete_words "$bin/ompi-restart" --dr)" = --dry-run
subcommands=$("$bin/ompi-snapshot" --help | grep -oE 'ompi-snapshot [a-z]+' | cut -d' ' -f2 | sort -u)
check "completion knows the subcommands" differ "$subcommands" "$(complete_words "$bin/ompi-snapshot" "")"
for page in "$top"/docs/man/*; do
	page=${page##*/}
	case $page in *.1) check "$page is the page of a command" test -x "$bin/${page%.1}" ;; esac
	check "$page is in the list of what is installed" grep -qF "docs/man/$page" "$top"/docs/local.mk "$top"/libcr/local.mk
done
echo "1..$n"
exit $bad
