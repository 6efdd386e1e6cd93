#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's Grid Engine, with the checkpointing environment of docs/schedulers.md: a job is saved and taken off its queue, twice (by its administrator, and by a
# job of a better queue), and each time goes on by itself; and without one, by ompi-cr-batch.
if [ -z "${OMPI_CR_TEST_INSIDE:-}" ] && [ "$(id -u)" = 0 ] && [ -x /usr/lib/gridengine/sge_qmaster ]; then
	exec unshare --uts --mount --pid --fork --kill-child --mount-proc env OMPI_CR_TEST_INSIDE=1 bash "$0" "$@"
fi
[ -z "${OMPI_CR_TEST_INSIDE:-}" ] || hostname ge1
. "$(dirname "$0")/lib.sh"
. "$TOP/tests/lib/gridengine.sh"
[ "$(id -u)" = 0 ] || skip_all "Grid Engine's daemons are started by root"
[ -x $SGE_BIN/sge_qmaster ] && [ -x $SGE_BIN/sge_execd ] || skip_all "Grid Engine is not installed (Debian: gridengine-master, gridengine-exec)"
trap 'gridengine_stop; cleanup' EXIT
RUN=$WORK/run
mkdir -p "$RUN" "$WORK/home" "$WORK/ckpt" "$WORK/registry"
chmod 755 "$WORK"
chmod 700 "$WORK/registry"
chown nobody "$RUN" "$WORK/home" "$WORK/ckpt" "$WORK/registry" "$OMPI_CR_SNAPSHOT_DIR"
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$WORK/home" USER=nobody LOGNAME=nobody XDG_RUNTIME_DIR= "$@"; }
as_nobody test -x "$PREFIX/bin/ompi-cr-hook" || skip_all "nobody cannot reach $PREFIX"
export OMPI_CR_REGISTRY_DIR=$WORK/registry
prog="$PROGS/mpi_inflight $(n 300)"
MODE=plain
# shellcheck disable=SC2086
reference 1 "$MPIRUN" -np 2 $prog || not_ok "the uninterrupted run failed"
if ! gridengine_start; then
	not_ok "a Grid Engine of our own comes up"
	done_testing
fi
ok "a Grid Engine of our own comes up"

# submit NAME LINE OPTION...: its id
submit()
{
	local name=$1 line=$2
	shift 2
	printf '%s\n' '#!/bin/bash' "$line" >"$RUN/$name.sh"
	as_nobody PATH="$PATH" qsub -terse -V -wd "$RUN" -o "$RUN/$name.out" -e "$RUN/$name.err" "$@" "$RUN/$name.sh" | cut -d. -f1
}
# await_lines JOB FILE COUNT
await_lines()
{
	local i
	for ((i = 0; i < 2400; i++)); do
		[ "$(cat "$2" 2>/dev/null | wc -l)" -ge "$3" ] && return 0
		[ "$(gridengine_state "$1")" = gone ] && break
		nap 100
	done
	say "no $3 lines in $2"
	return 1
}
lines() { wc -l <"$1"; }
tell()
{
	[ $N_FAILED = "${told:-0}" ] && return
	told=$N_FAILED
	qstat -f -u '*' | sed 's/^/#   /'
	for f in "$RUN"/*.err "$SGE_DIR"/execd/*/messages "$SGE_DIR"/execd/*/active_jobs/*/trace; do say_file "$f"; done
}

# --- the hooks, in a checkpointing environment
check "qconf -Ackpt takes the checkpointing environment" gridengine_ckpt ompicr hibernator "$PREFIX/bin/ompi-cr-hook" "$WORK/ckpt"
job=$(submit low "$MPIRUN -am ft-enable-cr -np 2 $prog" -q low -ckpt ompicr)
good=no
await_lines "$job" "$RUN/low.out" 10 && qmod -sj "$job" >/dev/null && gridengine_await "$job" 'R*' && gridengine_await "$job" Rr && good=yes
check "qmod -sj: the job is saved, taken away and runs again" [ $good = yes ]
check "it goes on in the middle of its output" await_lines "$job" "$RUN/low.out" $(($(lines "$RUN/low.out") + 10))
high=$(submit high "until [ -e $RUN/enough ]; do sleep 0.2; done" -q high)
good=no
gridengine_await "$high" r && gridengine_await "$job" Rq && good=yes
check "a job in the better queue: a job that was restarted is saved and taken away too" [ $good = yes ]
touch "$RUN/enough"
check "when the other has ended, it runs again" gridengine_await "$job" Rr
check "and ends" gridengine_await "$job" gone
check "the result is an uninterrupted run's" covered "$WORK/ref/out" "$RUN/low.out"
check "the end of the job takes its snapshot away" [ -z "$(find "$WORK/ckpt" "$OMPI_CR_SNAPSHOT_DIR" -mindepth 1)" ]
tell

# --- ompi-cr-batch: warned by -notify, exit status 99
job=$(submit batch "exec $PREFIX/bin/ompi-cr-batch $MPIRUN -np 2 $prog" -q low -notify -r y)
good=no
await_lines "$job" "$RUN/batch.out" 10 && qmod -sj "$job" >/dev/null && gridengine_await "$job" 'R*' && good=yes
check "ompi-cr-batch: warned, the job is rescheduled" [ $good = yes ]
gridengine_await "$job" gone
check "ompi-cr-batch: the result is an uninterrupted run's" covered "$WORK/ref/out" "$RUN/batch.out"
check "ompi-cr-batch: it went on from a snapshot" grep -q 'going on from' "$RUN/batch.err"
tell
done_testing
