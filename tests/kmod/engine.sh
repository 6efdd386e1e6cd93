#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# engine.sh: in the guest, with crmod loaded: an MPI job whose memory the module reads, killed, restarted under either engine, and saved by either. guest.sh runs it.
. "$(dirname "$0")/../integ/lib.sh"
PROG=$PROGS/mpi_inflight STEPS=120 N_CKPT=0
[ -x "$PROG" ] && [ -x "$PREFIX/bin/cr_run" ] || skip_all "ompi-cr is not installed in $PREFIX, or its test programs are not built"
export OMPI_CR_TIMEOUT_FREEZE=120
RUN=$WORK/run
mkdir -p "$RUN"
until_so() # as lib.sh's, for a machine that is emulated
{
	local i
	for ((i = 0; i < 12000; i++)); do
		"$@" && return 0
		alive "$JOB" || return 1
		nap 50
	done
	return 1
}
engines() { ompi-snapshot show "$REF" | awk '$1 ~ /^[0-9]+$/ && $2 ~ /./ && ($4 == "kmod" || $4 == "user") { print $4 }' | sort | uniq -c | tr -s ' \n' ' '; }
saved_by() { [ "$(engines)" = " 4 $1 " ]; }
has_steps() { [ "$(wc -l <"$RUN/out.$SEG")" -ge 2 ] || grep -q "^step $((STEPS - 11)) " "$RUN"/out.*; }
goes_on() { until_so has_steps; }
check() # as lib.sh's, with the last words of the job
{
	local what=$1
	shift
	if "$@"; then ok "$what"; else
		not_ok "$what"
		say_file "$RUN/err.$SEG"
		say_file "$RUN/ckpt.err"
	fi
}

check "the job runs without ompi-cr" reference 4 "$PROG" "$STEPS"
export STEP_HOLD=$((STEPS - 10)):$WORK/go # it does not end before it is told to
export CR_ENGINE=kmod
start_job 4 "$PROG" "$STEPS"
check "kmod: the job runs" goes_on
check "kmod: it is saved" checkpoint
check "the metadata says so ($(engines))" saved_by kmod
ctx=$(find "$OMPI_CR_SNAPSHOT_DIR" -path '*/opal_snapshot_0.ckpt/cr_context' | head -1)
check "and the context file ($(cr_inspect "$ctx" 2>/dev/null | grep -c 'engine kmod'))" sh -c "cr_inspect '$ctx' | grep -q 'engine kmod'"
check "every checksum is right" sh -c "ompi-snapshot verify '$REF' >/dev/null 2>&1"
kill_job
first=$REF
restart "$first"
check "kmod: restarted, it computes" goes_on
kill_job
export CR_ENGINE=user
restart "$first"
check "user: the same snapshot restarted, it computes" goes_on
check "user: it is saved" checkpoint
check "the metadata says so ($(engines))" saved_by user
kill_job
export CR_ENGINE=kmod
restart
check "kmod: restarted from that, it computes" goes_on
: >"$WORK/go"
job_end 600
check "and ends" test "$RC" = 0
unset CR_ENGINE
check "all lives together printed what one does" covered "$WORK/ref/out" "$RUN/out.1" "$RUN/out.2" "$RUN/out.3" "$RUN/out.4"
check "auto: the module is taken" sh -c 'ompi-cr-info --check | grep "kernel module" | grep -q "^yes.*engine kmod"'
refused() { ! setpriv --reuid=65534 --regid=65534 --clear-groups env CR_ENGINE="$1" cr_run -- true 2>"$WORK/refused"; }
check "kmod: who is not in its group is refused" refused kmod
check "with what to do" grep -q 'in its group.*CR_ENGINE=user' "$WORK/refused"
check "auto: he has the other engine" setpriv --reuid=65534 --regid=65534 --clear-groups cr_run -- true
done_testing
