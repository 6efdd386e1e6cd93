#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What may happen to batch jobs in a real Slurm, all at once on one node: the time limit, a drained node, a warning before MPI_Init, during another checkpoint and
# with a checkpoint that fails; members of an array; a script that nobody has written for ompi-cr, by sbatch --ft-cr. No job is lost.
. "$(dirname "$0")/lib.sh"
. "$TOP/tests/lib/slurm.sh"
[ "$(id -u)" = 0 ] || skip_all "Slurm's daemons are started by root"
need slurmctld slurmctld
need slurmd slurmd
trap 'slurm_stop; cleanup' EXIT
RUN=$WORK/batch
mkdir -p "$RUN" "$SLURM_DIR"
cd "$RUN" || exit 1
plugin=$PREFIX/lib/ompi-cr/spank_ompicr.so
[ -e "$plugin" ] && echo "required $plugin" >"$SLURM_DIR/plugstack.conf"
export OMPI_MCA_btl_vader_single_copy_mechanism=none
filter() { grep -E '^(step|ok)'; }
program="$PROGS/mpi_inflight $(n 60)"
# shellcheck disable=SC2086
reference 2 $program || not_ok "the uninterrupted run failed"
if ! SLURM_CPUS=32 slurm_start "PlugStackConfig=$SLURM_DIR/plugstack.conf"; then
	not_ok "a Slurm of our own comes up"
	done_testing
fi
ok "a Slurm of our own comes up"
began=$(date +%s)
# Longer than the time limit takes to strike
long="$PROGS/mpi_inflight $(n 60) 600"
# shellcheck disable=SC2086
"$MPIRUN" -np 2 $long >"$WORK/ref.limit" 2>"$WORK/ref.err" </dev/null &
long_ref=$! STARTED+=($!)
ask='#SBATCH -n 2 --requeue --signal=B:USR1@60'

# The jobs
script limit '#SBATCH -n 2 --requeue --time=1 --signal=B:USR1@50' "ompi-cr-batch mpirun -np 2 $long"
mkdir slow
printf '%s\n' '#!/bin/sh' '[ "${SLURM_RESTART_COUNT:-0}" = 0 ] && exec sleep 1000' "exec $MPIRUN \"\$@\"" >slow/mpirun
chmod +x slow/mpirun
script early "$ask" "ompi-cr-batch --grace 2 $RUN/slow/mpirun -np 2 $program"
script during "$ask" "ompi-cr-batch mpirun -np 2 $program"
# each life of this one writes into a file of its own: what comes after the snapshot comes again
script older "$ask" "[ \"\${SLURM_RESTART_COUNT:-0}\" = 1 ] && export CR_FAULT=commit:fail" 'exec >older.life.${SLURM_RESTART_COUNT:-0}' "ompi-cr-batch --grace 2 mpirun -np 2 $program"
script array "$ask" "ompi-cr-batch mpirun -np 2 $program" 'echo never'
script nested "$ask" "sh -c 'ompi-cr-batch mpirun -np 2 $program; exit \$?'"
script plain '#SBATCH -n 2' "mpirun -np 2 $program"
limit=$(submit limit -p low)
# the others do not end before all of this has happened to them
export STEP_HOLD=-4:$RUN/happened
early=$(submit early -p low)
during=$(submit during -p low)
older=$(submit older -p low)
array=$(sbatch --parsable -p low --array=1-2 --output="$RUN/array.%a.out" --error="$RUN/array.%a.err" --open-mode=append array.sbatch)
nested=$(submit nested -p low)
warn() { scancel --batch --signal=USR1 "$1"; }
lives() { ls "$RUN/$1".life.* 2>/dev/null || echo "$RUN/$1.out"; }
# finished NAME JOB RESTARTS [REFERENCE]: completed, restarted as often, result
finished()
{
	await_field "$2" JobState COMPLETED 300
	timed "$1 has finished"
	check "$1: completed with status 0 after $3 restarts" [ "$(job_field "$2" JobState) $(job_field "$2" ExitCode) $(job_field "$2" Restarts)" = "COMPLETED 0:0 $3" ]
	check "$1: the result is an uninterrupted run's" covered "${4:-$WORK/ref/out}" $(lives "$1")
	[ $N_FAILED = "${told:-0}" ] || { told=$N_FAILED; explain_job "$2" "$1"; }
}
starts() { grep -c "$1" "$RUN/$2.err"; }

for ((i = 0; i < 600; i++)); do grep -qs 'starting from' early.err && break || nap 100; done # before that the shell would die of it
warn "$early"
await_lines during.out 3
for ((i = 0; i < 4; i++)); do ompi-checkpoint "$during"; done >"$RUN/ckpt.out" 2>&1 &
saver=$!
nap 100
warn "$during"
wait "$saver"
await_lines older.life.0 3
warn "$older"
await_lines array.2.out 3
check "array: ompi-checkpoint takes the name of a member" sh -c "ompi-checkpoint ${array}_2 >'$RUN/ckpt.out' 2>&1 || { sed 's/^/# /' '$RUN/ckpt.out'; false; }"
warn "${array}_2"
await_lines nested.out 3
warn "$nested"
await_field "$older" Restarts 1 100
await_field "$older" JobState RUNNING 100
await_lines older.life.1 1 # before that a warning would be the end of the script
warn "$older"
: >happened

finished during "$during" 1
check "during: went on from a snapshot" [ "$(starts 'going on from' during)" = 1 ]
finished nested "$nested" 1
check "nested: a batch shell that is not the parent is guarded too" [ "$(starts 'going on from' nested)" = 1 ]
finished early "$early" 1
check "early: before MPI_Init: began anew" [ "$(starts 'starting from the beginning' early)" = 2 ]
finished older "$older" 2
check "older: a checkpoint that fails: went on from the older snapshot, twice" [ "$(starts 'going on from' older)" = 2 ]
for k in 1 2; do
	for ((i = 0; i < 1200; i++)); do grep -q '^never' "$RUN/array.$k.out" 2>/dev/null && break || nap 100; done
	check "array: member $k: the result is an uninterrupted run's" covered "$WORK/ref/out" "$RUN/array.$k.out"
done
check "array: only the member that was warned was requeued" [ "$(starts 'going on from' array.1) $(starts 'going on from' array.2)" = "0 1" ]
wait "$long_ref"
await_field "$limit" JobState COMPLETED 600
finished limit "$limit" "$(job_field "$limit" Restarts)" "$WORK/ref.limit"
check "limit: the time limit: went on from a snapshot" [ "$(starts 'going on from' limit)" -ge 1 ]

# A drained node: noticed by itself
script drain "$ask" "ompi-cr-batch --drain 1 mpirun -np 2 $program"
drain=$(STEP_HOLD=-4:$RUN/drained submit drain -p low)
await_lines drain.out 3
host=$(hostname -s)
scontrol update nodename="$host" state=drain reason=test
await_field "$drain" JobState PENDING 60
scontrol update nodename="$host" state=resume
: >drained
if [ -e "$plugin" ]; then
	plain=$(STEP_HOLD=-4:$RUN/warned submit plain -p low --ft-cr=grace=30,keep=3)
	check "--ft-cr: asks for the warning and the requeue" [ "$(job_field "$plain" Requeue)" = 1 ]
	await_lines plain.out 3
	warn "$plain"
	: >warned
	finished plain "$plain" 1
	check "--ft-cr: a plain mpirun went on from its snapshot" [ "$(starts 'going on from' plain)" = 1 ]
	# by srun
	check "srun --ft-cr: the program runs under protection" sh -c "srun --ft-cr --mpi=pmix -n 1 -p low sh -c 'echo \$OMPI_CR_SNAPC_SOCKET' 2>'$RUN/o' | grep -q ompi-cr-snapc"
	for option in nonsense=1 keep=many interval dir=; do
		check "--ft-cr=$option is refused" sh -c "! sbatch --ft-cr=$option plain.sbatch >'$RUN/o' 2>&1"
	done
	check "without --ft-cr nothing is done" [ "$(srun -n 1 -p low sh -c 'echo "${OMPI_CR_SNAPC_SOCKET:-none}"')" = none ]
else
	skip "--ft-cr" "the plugin is not built (Debian: libslurm-dev)"
fi
finished drain "$drain" 1
check "drain: went on from a snapshot" [ "$(starts 'going on from' drain)" = 1 ]
done_testing
