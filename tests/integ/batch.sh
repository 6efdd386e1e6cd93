#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-cr-batch without a scheduler: warned, saved, run again, from damaged snapshots too; as Grid Engine would call it; wrong usage.
. "$(dirname "$0")/lib.sh"
RUN=$WORK/batch
mkdir -p "$RUN"
cd "$RUN" || exit 1
unset SLURM_JOB_ID JOB_ID OMPI_CR_BATCH_JOB
prog="$PROGS/mpi_inflight $(n 120)"
MODE=plain
# shellcheck disable=SC2086
reference 1 "$MPIRUN" -np 2 $prog || not_ok "the uninterrupted run failed"

# batch OPTION...: in the background; JOB, output in out.$SEG
batch()
{
	SEG=$((SEG + 1))
	# shellcheck disable=SC2086
	ompi-cr-batch "$@" mpirun -np 2 $prog >"$RUN/out.$SEG" 2>"$RUN/err.$SEG" </dev/null &
	JOB=$! STARTED+=($!)
}
# warn SIGNAL LINES: when the output has that many lines; then the status in RC
warn()
{
	local i
	for ((i = 0; i < 1200; i++)); do
		[ "$(wc -l <"$RUN/out.$SEG")" -ge "$2" ] && break
		alive "$JOB" || break
		nap 50
	done
	# shellcheck disable=SC2046
	kill -"$1" "$JOB" ${GROUP:+$(descendants "$JOB")}
	wait "$JOB"
	RC=$?
}

batch --job melt
warn USR1 10
check "warned: ends with 75" [ $RC = 75 ]
batch --verbose --job melt
warn USR1 10
check "the same again: goes on, and ends with 75 when warned" sh -c "[ $RC = 75 ] && grep -q 'going on from' '$RUN/err.$SEG'"
check "--verbose: says how the checkpoint goes" grep -q 'Checkpoint Established' "$RUN/err.$SEG"
# The newest snapshot is damaged: the one before is taken
newest=$(find "$OMPI_CR_SNAPSHOT_DIR/melt/1.2" -name cr_context | head -1)
printf 'damage' | dd of="$newest" bs=1 seek=$(($(stat -c %s "$newest") / 2)) conv=notrunc 2>/dev/null
batch --job melt
wait "$JOB"
check "the newest snapshot is damaged: goes on from the one before" sh -c "[ $? = 0 ] && grep -q '1\\.1/' '$RUN/err.$SEG'"
check "the parts together are an uninterrupted run" covered "$WORK/ref/out" "$RUN"/out.[123]
[ $N_FAILED = 0 ] || for k in 1 2 3; do say_file "$RUN/err.$k"; done
batch --quiet --job melt
warn USR1 1
check "--quiet: no words of its own" sh -c "! grep 'ompi-cr-batch:' '$RUN/err.$SEG'"
check "after its end the job begins anew" sh -c "[ $RC = 75 ] && head -1 '$RUN/out.$SEG' | grep -q '^step 0 '"

# It signals every process of the job
export JOB_ID=77 SGE_TASK_ID=3 RESTARTED=0
GROUP=yes
batch
warn USR2 10
GROUP=
check "Grid Engine: every process is warned by SIGUSR2, ends with 99" sh -c "[ $RC = 99 ] && [ -d '$OMPI_CR_SNAPSHOT_DIR/sge-77_3/1.1' ]"
RESTARTED=1 batch
wait "$JOB"
check "Grid Engine: goes on" sh -c "[ $? = 0 ] && grep -q 'going on from' '$RUN/err.$SEG'"
check "Grid Engine: the parts together are an uninterrupted run" covered "$WORK/ref/out" "$RUN/out.$((SEG - 1))" "$RUN/out.$SEG"
unset JOB_ID SGE_TASK_ID RESTARTED

status() { "$@" >"$RUN/o" 2>"$RUN/e"; echo $?; }
check "no command: 2" [ "$(status ompi-cr-batch --job x)" = 2 ]
check "not mpirun: 2, with its name" sh -c "[ $(status ompi-cr-batch --job x aprun true) = 2 ] && grep -q aprun '$RUN/e'"
check "another parameter set: 2" [ "$(status ompi-cr-batch --job x mpirun -am other true)" = 2 ]
check "no batch job and no name: 2" [ "$(status ompi-cr-batch mpirun true)" = 2 ]
check "a directory that cannot be made: 1, with its name" sh -c "[ $(status ompi-cr-batch --job x --dir /proc/none mpirun true) = 1 ] && grep -q /proc/none '$RUN/e'"
check "the status of the program" [ "$(status ompi-cr-batch --job x mpirun -np 1 /bin/sh -c 'exit 5')" = 5 ]
done_testing
