#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files of MPI-IO that are open over checkpoints and restarts: every access, view, pointer and mode; what they hold at the end; what is refused.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_files" ] || skip_all "mpi_files is not built"
GAP=250
FILES='view.dat shared.dat split.dat atomic.dat sequential.dat append.dat ext.dat self.0.dat self.1.dat'
CKPTS=8 chain "files of every kind, 2 ranks" 2 "$PROGS/mpi_files" $(n 600)

# A file that is deleted when it is closed, one that vanishes before the restart
RUN=$WORK/by_hand SEG=0 N_CKPT=0 N_RESTART=0
mkdir -p "$RUN"
STEP_HOLD=-5:$RUN/saved start_job 2 "$PROGS/mpi_files" 150 temporary
for ((i = 0; i < 600; i++)); do grep -q '^step 2 ' "$RUN/out.1" 2>/dev/null && break; nap 100; done
check "a checkpoint with open files ends the job" checkpoint --term
job_end 60
: >"$RUN/saved"
mv "$RUN/view.dat" "$RUN/away"
restart "$REF"
job_end 90
check "a file that vanished: refused by name, nobody goes on" sh -c "[ $RC != 0 ] && [ $RC != 124 ] && grep -q 'view.dat' '$RUN/err.$SEG' && ! grep -q '^step' '$RUN/out.$SEG'"
mv "$RUN/away" "$RUN/view.dat"
restart "$REF"
job_end 200
explain
check "put back: the job goes on to its end" sh -c "[ $RC = 0 ] && tail -1 '$RUN/out.$SEG' | grep -q '^ok'"
check "the temporary file was deleted when it was closed" [ ! -e "$RUN/temporary.dat" ]
done_testing
