#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One small program per resource: with no checkpoint, with one after which it goes on, with one restart, with three restarts in a chain; and what is refused
# is refused by name. docs/what-is-saved.md names a test in each row of its table: they exist.
# shellcheck source=tests/resources/lib.sh
. "$(dirname "$0")/lib.sh"
HERE=$TOP/tests/resources

give_up()
{
	say_file "$RUN/ckpt.err" 4
	say_file "$RUN/err" 4
	say_file "$OUT" 4
	if alive "$JOB"; then kill_job; fi
	exec 8>&-
	not_ok "$1"
}

resource()
{
	local name=$1
	RUN=$WORK/$name
	begin "$BIN/$name" && order_verify && order_end || { give_up "$name: without a checkpoint"; return; }
	ok "$name: without a checkpoint"
	begin "$BIN/$name" && save && order_verify || { give_up "$name: goes on after a checkpoint"; return; }
	ok "$name: goes on after a checkpoint"
	once_more || { give_up "$name: restarted"; return; }
	ok "$name: restarted"
	once_more && once_more && order_verify && order_end || { give_up "$name: restarted three times in a chain"; return; }
	ok "$name: restarted three times in a chain"
}

# refused NAME WORDS...: the reason names the object; the program goes on as if nothing had been asked
refused()
{
	local name=$1 word
	shift
	RUN=$WORK/refused.$name
	begin "$BIN/refused" "$name" || { give_up "refused $name: cannot be set up"; return; }
	if save; then give_up "refused $name: was saved"; return; fi
	for word; do
		grep -qF -- "$word" "$RUN/ckpt.err" || { give_up "refused $name: the reason does not hold \"$word\""; return; }
	done
	[ ! -e "$RUN/context" ] && order_verify && order_end || { give_up "refused $name: the program goes on"; return; }
	ok "refused $name: by name, and the program goes on"
}

for src in "$HERE"/*.c; do
	name=$(basename "$src" .c)
	if [ "$name" != refused ] && { [ -z "${ONLY:-}" ] || [[ $name == $ONLY ]]; }; then resource "$name"; fi
done
if [ -z "${ONLY:-}" ] || [ "$ONLY" = refused ]; then
	while read -r name words; do
		# shellcheck disable=SC2086
		case $name in '' | '#'*) ;; *) eval "refused $name $words" ;; esac
	done <"$HERE/refused.list"
fi

# Every row of the table names a test, and the test exists
doc=$TOP/docs/what-is-saved.md
rows=0 missing=
while read -r row; do
	tests=$(grep -oE '`[a-z0-9_/ -]+`\s*\|$' <<<"$row" | tr -d '`|')
	rows=$((rows + 1))
	for t in ${tests:-none}; do
		case $t in
		refused/*) awk -v n="${t#refused/}" '$1 == n { f = 1 } END { exit !f }' "$HERE/refused.list" || missing="$missing $t" ;;
		resources/*) [ -f "$HERE/${t#resources/}.c" ] || [ -f "$HERE/${t#resources/}.sh" ] || missing="$missing $t" ;;
		*) [ -f "$TOP/tests/$t.sh" ] || [ -f "$TOP/tests/$t.c" ] || missing="$missing $t" ;;
		esac
	done
done < <(grep -E '^\|' "$doc" | grep -vE '^\|( resource|---)')
say "$rows rows"
check "each row of docs/what-is-saved.md names tests that exist${missing:+ (missing:$missing)}" [ -z "$missing" -a $rows -gt 20 ]
done_testing
