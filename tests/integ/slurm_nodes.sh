#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Preemption on four nodes of a Slurm of our own: the low job is saved, requeued and restarted by itself, twice in a row with mpirun, once with srun, and ends
# with the result of an uninterrupted run. Prints how long each step took.
. "$(dirname "$0")/../lib/cluster.sh"
. "$TOP/tests/lib/slurm.sh"
need slurmctld slurmctld
need slurmd slurmd
trap 'slurm_stop; cleanup' EXIT
cluster_up 4 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }
if ! slurm_start_nodes 4; then
	not_ok "a Slurm of four nodes comes up"
	done_testing
fi
ok "a Slurm of four nodes comes up"
RUN=$WORK/batch
mkdir -p "$RUN"
cd "$RUN" || exit 1
filter() { grep -E '^(step|ok)'; }
program="$PROGS/mpi_inflight $(n 80)"
# shellcheck disable=SC2086
reference 4 $program || not_ok "the uninterrupted run failed"
# The high job takes all processors of the nodes
script high 'sleep 1'

# preempt NAME TIMES COMMAND...: a low job of four nodes
preempt()
{
	local name=$1 times=$2 k have job high good=0
	shift 2
	script "$name" '#SBATCH --signal=B:USR1@60 --requeue' "$*"
	began=$(date +%s)
	job=$(submit "$name" -N 4 -n 4 -p low)
	for ((k = 1; k <= times; k++)); do
		have=$(cat "$RUN/$name.out" 2>/dev/null | filter | wc -l)
		await_lines "$RUN/$name.out" $((have + 4)) || break
		timed "$name: the high job comes, after line $((have + 4))"
		high=$(submit high -N 4 -n 8 -p high)
		await_field "$high" JobState COMPLETED 200 || break
		timed "$name: it has run on the four nodes"
		await_field "$job" Restarts "$k" 60 && await_field "$job" JobState RUNNING 200 || break
		timed "$name: restarted"
		good=$k
	done
	await_field "$job" JobState COMPLETED 300
	timed "$name: finished"
	check "$name: preempted $times times, each time saved, requeued and restarted" [ "$good" = "$times" ]
	check "$name: completed with status 0" [ "$(job_field "$job" JobState) $(job_field "$job" ExitCode)" = "COMPLETED 0:0" ]
	check "$name: went on from snapshots" [ "$(grep -c 'going on from' "$RUN/$name.err")" = "$times" ]
	check "$name: the result is an uninterrupted run's" covered "$WORK/ref/out" "$RUN/$name.out"
	[ $N_FAILED = 0 ] || explain_job "$job" "$name"
}
preempt mpirun 2 ompi-cr-batch mpirun -np 4 "$program"
preempt srun 1 ompi-cr-batch srun --mpi=pmix -n 4 "$program"

# A heterogeneous job: mpirun has the first component; the whole job is requeued
script het '#SBATCH --signal=B:USR1@60 --requeue' "ompi-cr-batch mpirun -np 4 --oversubscribe $program"
het=$(sbatch --parsable -p low --output="$RUN/het.out" --error="$RUN/het.err" --open-mode=append -N 2 -n 4 : -N 1 -n 1 het.sbatch)
het=${het%%+*}
await_lines het.out 4
scancel --batch --signal=USR1 "$het"
await_field "$het" Restarts 1 100
# An idle Slurm 22.05 does not look at a requeued heterogeneous job again before something else happens
for ((k = 0; k < 20; k++)); do
	submit high -N 1 -n 1 -p high >/dev/null
	await_field "$het" JobState '[RC]*' 3 && break
done
await_field "$het" JobState COMPLETED 300
check "a heterogeneous job: completed with status 0 after a restart" [ "$(job_field "$het" JobState) $(job_field "$het" ExitCode) $(job_field "$het" Restarts)" = "COMPLETED 0:0 1" ]
check "a heterogeneous job: went on from a snapshot" [ "$(grep -c 'going on from' het.err)" = 1 ]
check "a heterogeneous job: the result is an uninterrupted run's" covered "$WORK/ref/out" "$RUN/het.out"
[ $N_FAILED = 0 ] || explain_job "$het" het
done_testing
