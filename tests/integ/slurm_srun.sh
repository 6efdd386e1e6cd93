#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ranks that srun starts, on two nodes of a Slurm of our own: one daemon per node and one coordinator; checkpoints by Slurm job id and by srun's pid, --term;
# restarts by srun of what mpirun has started, and the other way round.
. "$(dirname "$0")/../lib/cluster.sh"
. "$TOP/tests/lib/slurm.sh"
need slurmctld slurmctld
need slurmd slurmd
trap 'slurm_stop; cleanup' EXIT
cluster_up 2 || { echo "1..1"; echo "not ok 1 - the nodes of the test cluster do not come up"; exit 1; }
if ! slurm_start_nodes 2; then
	not_ok "a Slurm of two nodes comes up"
	done_testing
fi
ok "a Slurm of two nodes comes up"
RUN=$WORK/run SEG=0 N_CKPT=0 RC=''
mkdir -p "$RUN"
cd "$RUN" || exit 1
program="$PROGS/mpi_inflight $(n 60)"
# shellcheck disable=SC2086
reference 4 $program || not_ok "the uninterrupted run failed"

# It does not end before its last life
export STEP_HOLD=-3:$RUN/last
# life COMMAND...: one part of the job in the background; JOB is its pid, output in out.$SEG
life()
{
	SEG=$((SEG + 1))
	"$@" >"$RUN/out.$SEG" 2>"$RUN/err.$SEG" </dev/null &
	JOB=$! STARTED+=($!)
}
is_srun() { [ "$(cat "/proc/$1/comm" 2>/dev/null)" = srun ]; }
# srun_of PID: the srun below it; it has one more as a child
srun_of()
{
	local p
	for p in $(descendants "$1"); do
		if is_srun "$p" && ! is_srun "$(ps -o ppid= -p "$p" | tr -d ' ')"; then echo "$p"; return; fi
	done
}
slurm_id() { squeue -h -o %A | head -1; }
# save WHO [OPTION...]: REF
save()
{
	local who=$1 i rc
	shift
	for ((i = 0; i < 600; i++)); do
		ompi-checkpoint "$@" "$who" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
		rc=$?
		if [ $rc = 0 ]; then
			REF=$(awk '/^Snapshot Ref\.:/ { print $4 }' "$RUN/ckpt.out")
			return 0
		fi
		[ $rc = 75 ] || grep -q 'there is no job\|not an mpirun' "$RUN/ckpt.err" || return $rc
		alive "$JOB" || return 1
		nap 100
	done
	return 1
}
# ended: JOB, with status 0
ended()
{
	job_end 120
	[ "$RC" = 0 ]
}
tell()
{
	[ $N_FAILED = 0 ] && return
	say_file "$RUN/ckpt.err"
	say_file "$RUN/err.$SEG"
	say_file "$(cluster_log)" 30
	for f in "$OMPI_CR_REGISTRY_DIR"/snapcd-n*.log; do say_file "$f"; done
}

life salloc -Q -N 2 -n 4 ompi-cr-srun -n 4 $program
await_lines "$RUN/out.1" 3
check "srun: checkpoint by the Slurm job id" save "$(slurm_id)"
tell
log=$(cluster_log)
check "srun: one coordinator" [ "$(find "$OMPI_CR_REGISTRY_DIR" -name 'snapcd-[0-9]*.log' | wc -l)" = 1 ]
check "srun: every node has one daemon" [ "$(grep -c 'node n[12] (.*is number [12]' "$log")" = 2 ]
check "srun: --term by the pid of srun" save "$(srun_of "$JOB")" --term
check "srun: the job has ended with status 0" ended
tell

life salloc -Q -N 2 -n 4 ompi-restart "$REF"
await_lines "$RUN/out.2" 3
check "restarted by srun: saved again" save "$(slurm_id)" --term
check "restarted by srun: ended" ended
tell

life ompi-restart --launcher mpirun "$REF"
await_lines "$RUN/out.3" 3
check "srun's job restarted by mpirun: saved again" save "$JOB" --term
check "srun's job restarted by mpirun: ended" ended
tell

: >"$RUN/last"
life salloc -Q -N 1 -n 2 ompi-restart --launcher srun "$REF" -- --overcommit
check "mpirun's job restarted by srun, on one node: ended" ended
tell
check "the parts together are an uninterrupted run" covered "$WORK/ref/out" "$RUN"/out.[1234]
for k in 1 2; do
	for ((i = 0; i < 1200; i++)); do [ -z "$(node n$k ps -eo comm= | grep -E '^(snapcd|mpi_inflight|cr_run|cr_restart)$')" ] && break || nap 50; done
	check "nothing is left on node n$k" [ $i -lt 1200 ]
done

# Wrong usage
status() { "$@" >"$RUN/o" 2>"$RUN/e"; echo $?; }
check "--mpi=pmi2 is refused" [ "$(status ompi-cr-srun --mpi=pmi2 -n 1 true)" = 2 ]
check "--multi-prog is refused" [ "$(status ompi-cr-srun --multi-prog x)" = 2 ]
check "several programs are refused" [ "$(status ompi-cr-srun -n 1 true : -n 1 true)" = 2 ]
check "an option that srun has not is refused" [ "$(status ompi-cr-srun --nonsense 3 true)" = 2 ]
check "no program: refused" [ "$(status ompi-cr-srun -N 2 -n 4)" = 2 ]
in_place() { (cd "$PROGS" && salloc -Q -n 1 ompi-cr-srun -n 1 mpi_family 2 >"$WORK/o" 2>&1 </dev/null) || { say_file "$WORK/o"; return 1; }; }
check "srun finds the program in the working directory" in_place
check "the status of the program is srun's" [ "$(status salloc -Q -n 1 ompi-cr-srun -n 1 sh -c 'exit 5')" = 5 ]
done_testing
