#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ranks that are a shell at the checkpoint and execute the MPI program after the restart: it finds the launcher of its second life.
. "$(dirname "$0")/lib.sh"
RUN=$WORK/run SEG=0 N_CKPT=0 N_RESTART=0
mkdir -p "$RUN"
reference 2 "$PROGS/ring_f08" 2000 || not_ok "the uninterrupted run failed"
# A shell without children, which would be part of what is saved
cat >"$RUN/rank.sh" <<'EOF'
mkfifo fifo.$OMPI_COMM_WORLD_RANK
exec 7<>fifo.$OMPI_COMM_WORLD_RANK
export OMPI_MCA_ours=kept PMIX_ours=stale
until [ -e go ]; do read -r -t 0.05 <&7; done
env >env.$OMPI_COMM_WORLD_RANK
exec "$@"
EOF
start_job 2 bash "$RUN/rank.sh" "$PROGS/ring_f08" 2000
for ((i = 0; i < 600; i++)); do [ -p "$RUN/fifo.0" ] && [ -p "$RUN/fifo.1" ] && break; nap 50; done
check "the shells are saved" checkpoint --term
say_file "$RUN/ckpt.err"
job_end 60
restart
touch "$RUN/go"
job_end 120
explain
check "what they execute after the restart runs as MPI programs" [ "$RC" = 0 ]
check "with the uninterrupted run's output" cmp -s "$WORK/ref/out" "$RUN/out.$SEG"
check "the launcher's variables are those of the new life" sh -c "grep -q ^PMIX_NAMESPACE= '$RUN/env.0' && ! grep -q ^PMIX_ours= '$RUN/env.0'"
check "what the script has set itself is as it was" grep -qx OMPI_MCA_ours=kept "$RUN/env.0"
done_testing
