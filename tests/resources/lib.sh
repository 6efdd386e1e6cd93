# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that take orders (resource.h): started, saved, killed, restarted, asked whether everything is as they left it.
# shellcheck source=tests/integ/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../integ/lib.sh"
# shellcheck disable=SC2034 # for kill_job and others of lib.sh
MODE=plain
BIN=${OMPI_CR_BUILD:-$TOP/_build}/tests/resources

# answer LINE: waits until the program has said so in its output, once more than before
answer()
{
	local i n
	for ((i = 0; i < 3000; i++)); do
		n=$(grep -cx "$1" "$OUT")
		if [ "$n" -ge "$2" ]; then return 0; fi
		alive "$JOB" || return 1
		nap 20
	done
	return 1
}

# begin PROGRAM [ARGUMENT...]
begin()
{
	rm -rf "$RUN"
	mkdir -p "$RUN"
	OUT=$RUN/out VERIFIED=0
	mkfifo "$RUN/orders"
	: >"$OUT"
	exec 8<>"$RUN/orders"
	(cd "$RUN" && exec cr_run -- "$@") <"$RUN/orders" >>"$OUT" 2>"$RUN/err" 8>&- &
	JOB=$! STARTED+=($!)
	answer ready 1 || return 1
	SAVED="0 $(stat -c %s "$OUT")"
}

order_verify()
{
	VERIFIED=$((VERIFIED + 1))
	echo verify >&8
	answer verified $VERIFIED
}

order_end()
{
	echo end >&8
	job_end 60
	exec 8>&-
	[ "$RC" = 0 ]
}

# save [OPTION...]: into a new file. What it has said until then is what it finds in its output after a restart
save()
{
	rm -f "$RUN/context"
	SAVED="$VERIFIED $(stat -c %s "$OUT")"
	timeout -k 5 60 cr_checkpoint "$@" -f "$RUN/context" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
}

# resume [OPTION...]: cr_restart of that file, in place of JOB; by RESTART_WITH, a command
resume()
{
	VERIFIED=${SAVED% *}
	truncate -s "${SAVED#* }" "$OUT" # as cr_restart does; here it is not to be mistaken for an answer before that
	# shellcheck disable=SC2086
	(cd / && exec ${RESTART_WITH:-} cr_restart "$@" "$RUN/context") <"$RUN/orders" >>"$OUT" 2>>"$RUN/err" 8>&- &
	JOB=$! STARTED+=($!)
}

# saved [OPTION...]: and ended
saved()
{
	save --kill "$@" || { say_file "$RUN/ckpt.err"; return 1; }
	wait "$JOB" 2>/dev/null
	return 0
}

ended() { kill -TERM "$JOB" && job_end 60; }
child_of() { ps -o pid= --ppid "$1" | head -1 | tr -d ' '; }

once_more()
{
	save --kill || return 1
	wait "$JOB" 2>/dev/null
	resume
	order_verify
}
