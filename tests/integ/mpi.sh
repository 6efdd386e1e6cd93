#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every state of the table tests/integ/mpi/states.def: without a checkpoint all is as without ompi-cr; a checkpoint and a restart inside of each; then
# checkpoints and restarts at random moments.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/mpi_table" ] || skip_all "mpi_table is not built"
TABLE=$PROGS/mpi_table
N_CKPT=0 N_RESTART=0 RC=''
FILES='io_nonblocking.dat io_split.dat io_shared.dat io_view.dat'

RUN=$WORK/plain SEG=0
mkdir -p "$RUN"
if reference 3 "$TABLE" 4; then
	start_job 3 "$TABLE" 4
	job_end 200
	check "no checkpoint: the same results as natively" [ "$RC:$(cat "$RUN/out.1")" = "0:$(cat "$WORK/ref/out")" ]
	[ "$RC" = 0 ] || explain
else
	not_ok "the table does not run natively"
fi

# All ranks are inside of all states when it is saved; another process comes out of them.
RUN=$WORK/inside SEG=0
mkdir -p "$RUN"
start_job 3 "$TABLE" 3 all go
check "the ranks are inside of every state" until_says inside
check "a checkpoint there ends the job" checkpoint --term
job_end 60
: >"$RUN/go"
restart "$REF"
job_end 200
[ "$RC" = 0 ] || explain
check "restarted, the job ends as it should" [ "$RC" = 0 ]
while IFS='|' read -r name what; do
	check "$name: $what" grep -qx "$name ok" "$RUN/out.$SEG"
done < <(sed -n 's/^STATE(\([a-z0-9_]*\), \([a-z0-9_]*\), "\(.*\)")$/\1\/\2|\3/p' "$TOP/tests/integ/mpi/states.def")

GAP=250
CKPTS=8 chain "random moments, 2 ranks" 2 "$TABLE" $(n 60)
CKPTS=4 chain "random moments, 3 ranks" 3 "$TABLE" $(n 50)
done_testing
