#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ranks that are bound to processes outside of the job: a checkpoint is refused with the reason as long as they are, and works afterwards.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_dynamic" ] || skip_all "mpi_dynamic is not built"

# way NAME REASON: the reason for which a checkpoint is refused; empty: it is not, and what is restarted is still bound
way()
{
	RUN=$WORK/$1 SEG=0 N_CKPT=1 N_RESTART=0 RC=''
	mkdir -p "$RUN"
	start_job 2 "$PROGS/mpi_dynamic" "$1"
	if ! until_says bound; then
		explain
		not_ok "$1: the ranks do not get that far"
		kill_job
		return
	fi
	if [ -z "$2" ]; then
		check "$1: a checkpoint works" checkpoint --term
		say_file "$RUN/ckpt.err"
		job_end 60
		restart "$REF"
		: >"$RUN/free"
		check "$1: restarted, they are still connected" until_says alone
		: >"$RUN/end"
		job_end 100
		[ "$RC" = 0 ] || explain
		check "$1: and come to their end" [ "$RC:$(tail -1 "$RUN/out.$SEG")" = 0:ok ]
		return
	fi
	if checkpoint; then
		not_ok "$1: a checkpoint is refused"
	else
		grep -qi "$2" "$RUN/ckpt.err" || say_file "$RUN/ckpt.err"
		check "$1: a checkpoint is refused, with the reason" grep -qi "$2" "$RUN/ckpt.err"
	fi
	: >"$RUN/free"
	check "$1: the refusal disturbs nothing" until_says alone
	check "$1: afterwards a checkpoint works" checkpoint --term
	job_end 60
	: >"$RUN/end"
	restart "$REF"
	job_end 100
	[ "$RC" = 0 ] || explain
	check "$1: and a restart" [ "$RC:$(tail -1 "$RUN/out.$SEG")" = 0:ok ]
}

way spawn "members outside"
way multiple "members outside"
# Ranks of one job that meet this way are no other processes: their communicators survive.
way connect ""
way join ""
way port "port is open"
way publish "port is open"
done_testing
