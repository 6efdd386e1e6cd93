#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sessions.sh FILE.md: does what a reader would do who copies every marked block of a document into one shell, and compares what is printed. One test point per block.
#
#   ```sh run            commands; one that fails, fails the block
#   ```sh run status=75  the last command ends with this status
#   ```text output       what the block before prints, both streams; ... stands for anything, also for several lines
#   ```c file=ring.c     a file that the reader makes
#
# The shell starts in an empty home directory, knows $prefix (where ompi-cr is installed) and nothing else of it. tests/docs/NAME.setup.sh is sourced before
# NAME.md's first block when it is there; it may say skip_all.
document=$(realpath "${1:?a document}")
. "$(dirname "$0")/../integ/lib.sh"
name=$(basename "$document" .md)
home=$WORK/home blocks=$WORK/blocks
mkdir -p "$home" "$blocks"

# Blocks as files NNN.{run,output,file}, their words in NNN.words, the number of their first line in NNN.line
awk -v dir="$blocks" '
	!inside && /^```[a-z0-9]* (run|output|file=)/ {
		inside = 1; n++
		kind = $2; sub(/=.*/, "", kind)
		out = sprintf("%s/%03d.%s", dir, n, kind)
		print substr($0, 4) >sprintf("%s/%03d.words", dir, n)
		print FNR + 1 >sprintf("%s/%03d.line", dir, n)
		printf "" >out
		next
	}
	!inside && /^```/ { inside = 2; next }
	inside && /^```[ \t]*$/ { if (inside == 1) close(out); inside = 0; next }
	inside == 1 { print >out }
	END { exit inside != 0 }' "$document" || { not_ok "$name: a block is not closed"; done_testing; }

# like FILE PATTERN-FILE: the text of one, with ... in the other for anything
like()
{
	local text pattern
	text=$(sed 's/[ \t\r]*$//' "$1")
	pattern=$(sed -e 's/[ \t]*$//' -e 's/[][\\*?]/\\&/g' -e 's/\.\.\./*/g' "$2")
	# shellcheck disable=SC2053
	[[ $text == $pattern ]]
}

# The reader's shell is this one: what a block sets, later blocks see
prefix=$PREFIX
export HOME=$home
PATH=$(printf %s "$PATH" | sed "s|$PREFIX/bin:||g")
unset OMPI_MCA_mca_base_component_path OMPI_MCA_mca_base_param_file_path OMPI_CR_SNAPSHOT_DIR XDG_RUNTIME_DIR
[ "$(id -u)" = 0 ] || [ -w "$HOME" ] || skip_all "no home directory of its own"
# shellcheck source=/dev/null
if [ -f "$TOP/tests/docs/$name.setup.sh" ]; then . "$TOP/tests/docs/$name.setup.sh"; fi
cd "$home" || exit 1
set +u
ran=0
for block in "$blocks"/*.{run,file}; do echo "$block"; done | sort >"$WORK/order"
while read -r block <&7; do
	[ -f "$block" ] || continue
	base=${block%.*} words=$(cat "${block%.*}.words")
	if [ "${block##*.}" = file ]; then
		words=${words##*file=}
		cp "$block" "./${words%% *}"
		continue
	fi
	ran=$((ran + 1)) want=0 failed='' begin=$SECONDS
	case $words in *status=*) want=${words##*status=} want=${want%% *} ;; esac
	if [ "$want" = 0 ]; then trap 'failed="${failed:-$BASH_COMMAND (status $?)}"' ERR; fi
	# shellcheck source=/dev/null
	. "$block" >"$WORK/printed" 2>&1 </dev/null 7<&-
	status=$?
	trap - ERR
	# shellcheck disable=SC2207
	STARTED+=($(jobs -p))
	what="$name.md:$(cat "$base.line"): $(grep -v '^ *\(#\|$\)' "$block" | head -1 | cut -c1-90) ($((SECONDS - begin)) s)"
	next=$blocks/$(printf %03d $((10#${base##*/} + 1))).output
	if [ -n "$failed" ]; then
		say "failed: $failed"
	elif [ "$want" != 0 ] && [ $status != "$want" ]; then
		say "status $status, not $want"
		failed=yes
	elif [ -f "$next" ] && ! like "$WORK/printed" "$next"; then
		say "the document says:"
		sed 's/^/#   /' "$next"
		failed=yes
	fi
	if [ -n "$failed" ]; then
		say "printed:"
		say_file "$WORK/printed" 40
		not_ok "$what"
		break # what follows builds on it
	fi
	ok "$what"
done 7<"$WORK/order"
set -u
if [ $ran = 0 ]; then not_ok "$name.md has blocks to run"; fi
done_testing
