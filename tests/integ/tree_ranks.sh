#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ranks that are trees: a script that runs the real program, alone or in a pipeline, and goes on after it; ranks with children.
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2016,SC2046
GAP=250 CKPTS=3 chain "ranks with children, that a shell runs" 2 /bin/bash -c \
	'"$0" "$@" | sed -u "s/^/of the pipe: /"; echo "rank ended with ${PIPESTATUS[0]}"' "$PROGS/mpi_family" $(n 24)

RUN=$WORK/life SEG=0 N_CKPT=0
mkdir -p "$RUN" "$WORK/ref"
# Before the program, with a child that cannot be saved; the program in a pipeline; behind the program
cat >"$RUN/rank.sh" <<'EOF'
me=$OMPI_COMM_WORLD_RANK static=$1
shift
if [ "$me" = 1 ]; then { "$static" go; touch gone; } & fi
touch "there.$me"
until [ -e begin ]; do /bin/sleep 0.02; done
"$@" | sed -u "s/^/$me: /"
rc=${PIPESTATUS[0]}
echo "$me: rank ended with $rc"
touch "end.$me"
until [ -e end.0 ] && [ -e done ]; do /bin/sleep 0.02; done
exit $((me * 3))
EOF
filter() { grep '^0: '; }

here() { [ -e "$RUN/$1" ]; }
# again: the job is killed and restarted from the newest snapshot
again() { kill_job; restart; }
is_refused()
{
	timeout -k 5 90 ompi-checkpoint "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
	[ $? = "$1" ] && grep -q "$2" "$RUN/ckpt.err"
}
# refused STATUS TEXT: until a request is, with the text in its reasons
refused() { until_so is_refused "$@"; }

"$MPIRUN" -np 2 "$PROGS/mpi_family" 12 2>/dev/null </dev/null | sed 's/^/0: /' >"$WORK/ref/out"
echo '0: rank ended with 0' >>"$WORK/ref/out"
start_job 2 /bin/bash "$RUN/rank.sh" "$PROGS/static" "$PROGS/mpi_family" 12 enough
until_so here there.0 && until_so here there.1
check "a child that cannot be saved: refused by its name" refused 1 "rank 1 .*(static): it was not started by cr_run"
touch "$RUN/go"
until_so here gone
check "shells with children, before MPI: the job has gone on and is saved" checkpoint
again
saved_often() { for _ in 1 2 3 4; do checkpoint && again || { say_file "$RUN/ckpt.err"; return 1; }; done; }
check "a shell that was restarted, whose children come and go: saved again" saved_often
touch "$RUN/begin"
until_so grep -q '^0: step 5' "$RUN/out.$SEG"
check "the MPI program in a pipeline: saved" checkpoint
again
touch "$RUN/enough"
until_so here end.0 && until_so here end.1
check "the script alone, behind the MPI program: refused" refused 1 "its MPI process has ended"
touch "$RUN/done"
job_end 120
explain
check "the exit status is the script's" [ "$RC" = 3 ]
# shellcheck disable=SC2046
check "the output is the uninterrupted run's" covered "$WORK/ref/out" $(seq -f "$RUN/out.%g" 1 $SEG)
done_testing
