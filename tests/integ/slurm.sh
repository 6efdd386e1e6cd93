#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-cr-batch in a real Slurm: preempted jobs are saved, requeued and restarted by themselves; also at a time limit, by a checkpoint that fails, and the
# exit status of the program.
. "$(dirname "$0")/lib.sh"
. "$TOP/tests/lib/slurm.sh"
[ "$(id -u)" = 0 ] || skip_all "Slurm's daemons are started by root"
need slurmctld slurmctld
need slurmd slurmd
trap 'slurm_stop; cleanup' EXIT
RUN=$WORK/batch
mkdir -p "$RUN"
cd "$RUN" || exit 1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
filter() { awk '$1 ~ /^[0-9]+$/ && NF == 5 || $1 == "step"'; }
steps=$(n 1500)
command="lmp -in $TOP/examples/lammps/melt.in -var steps $steps -var every 20 -log none"

if ! slurm_start; then
	not_ok "a Slurm of our own comes up"
	done_testing
fi
ok "a Slurm of our own comes up"
MODE=plain
# shellcheck disable=SC2086
reference 1 "$MPIRUN" -np 2 $command || not_ok "the uninterrupted run failed"
MODE=mpi

# A script of two lines, preempted twice.
script low '#SBATCH --signal=B:USR1@60 --requeue' "ompi-cr-batch mpirun -np 2 $command"
script high 'sleep 1'
began=$(date +%s)
low=$(submit low -n 2 -p low)
good=0
for k in 1 2; do
	have=$(cat "$RUN/low.out" 2>/dev/null | filter | wc -l)
	await_lines "$RUN/low.out" $((have + 15)) || break
	timed "preemption $k, after line $((have + 15))"
	high=$(submit high -n 2 -p high)
	await_field "$high" JobState COMPLETED 120 || break
	timed "the other job has run"
	await_field "$low" Restarts "$k" 60 && await_field "$low" JobState RUNNING 120 || break
	timed "restarted"
	good=$k
done
await_field "$low" JobState COMPLETED 400
timed "finished"
check "preempted twice: each time saved, requeued and restarted by itself" [ "$good" = 2 ]
check "preempted twice: the job completed with status 0" [ "$(job_field "$low" JobState) $(job_field "$low" ExitCode)" = "COMPLETED 0:0" ]
check "preempted twice: went on from snapshots" [ "$(grep -c 'going on from' "$RUN/low.err")" = 2 ]
awk '/going on from|starting from/ { n++ } { print >(FILENAME "." n) }' "$RUN/low.err"
check "preempted twice: the result is an uninterrupted run's" covered "$WORK/ref/out" "$RUN/low.out"
[ $N_FAILED = 0 ] || explain_job "$low" low

# A checkpoint that fails: requeued all the same, from what there is.
held="$PROGS/mpi_inflight 60" # goes on no further than STEP_HOLD says
script failing '#SBATCH --signal=B:USR1@60 --requeue' "[ \"\${SLURM_RESTART_COUNT:-0}\" = 0 ] && export CR_FAULT=commit:fail" \
	"ompi-cr-batch --grace 2 mpirun -np 2 $held"
job=$(STEP_HOLD=-3:$RUN/failed submit failing -n 2 -p low)
await_lines "$RUN/failing.out" 3
scancel --batch --signal=USR1 "$job"
await_field "$job" Restarts 1 60
: >failed
await_field "$job" JobState COMPLETED 120
check "a checkpoint that fails: the job is requeued and completes" [ "$(job_field "$job" JobState) $(job_field "$job" Restarts)" = "COMPLETED 1" ]
check "a checkpoint that fails: it began anew, and said so" sh -c "grep -q 'no checkpoint within' '$RUN/failing.err' && [ \$(grep -c 'starting from the beginning' '$RUN/failing.err') = 2 ]"
[ $N_FAILED = 0 ] || explain_job "$job" failing

# The status of the program is the job's
script status '#SBATCH --signal=B:USR1@60 --requeue' 'ompi-cr-batch mpirun -np 2 /bin/sh -c "exit 7"'
job=$(submit status -n 2 -p low)
await_field "$job" JobState FAILED 60
check "the exit status of the program is the job's" [ "$(job_field "$job" ExitCode)" = 7:0 ]

# scancel is no preemption
script cancel '#SBATCH --signal=B:USR1@60 --requeue' "ompi-cr-batch mpirun -np 2 $held"
job=$(STEP_HOLD=-3:$RUN/never submit cancel -n 2 -p low)
await_lines "$RUN/cancel.out" 3
scancel "$job"
await_field "$job" JobState CANCELLED 60
nap 2000
check "a cancelled job is not requeued" [ "$(job_field "$job" JobState) $(job_field "$job" Restarts)" = "CANCELLED 0" ]

# By hand: the Slurm job id names the job for ompi-checkpoint
script byid '#SBATCH --signal=B:USR1@60 --requeue' "ompi-cr-batch mpirun -np 2 $held"
job=$(STEP_HOLD=-3:$RUN/never submit byid -n 2 -p low)
await_lines "$RUN/byid.out" 3
check "ompi-checkpoint takes the Slurm job id" sh -c "ompi-checkpoint $job >'$RUN/byid.ckpt' 2>&1 || { sed 's/^/# /' '$RUN/byid.ckpt'; false; }"
scancel "$job"
done_testing
