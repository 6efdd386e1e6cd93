#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All kinds of MPI objects are still what they were after a restart.
. "$(dirname "$0")/lib.sh"
GAP=250
chain "MPI objects, 2 ranks" 2 "$PROGS/mpi_objects" $(n 2400)
CKPTS=8 chain "MPI objects, 4 ranks" 4 "$PROGS/mpi_objects" $(n 900)
CKPTS=6 chain "communicators on their way, 3 ranks" 3 "$PROGS/mpi_idup" "$(fit 2000 3 3 "$PROGS/mpi_idup")"

# There is no uninterrupted run to compare with: Open MPI's own would not end
graphs()
{
	RUN=$WORK/graphs SEG=0 N_CKPT=0
	mkdir -p "$RUN"
	STEP_HOLD=-2:$RUN/enough start_job 4 "$PROGS/mpi_graphs" "$(n 240)"
	until_step 20 && checkpoint && kill_job && restart && checkpoint && : >"$RUN/enough"
	job_end 120
	[ "$RC" = 0 ] && grep -qx right "$RUN/out.$SEG" && return 0
	explain
	return 1
}
check "distributed graphs, where tags collide, 4 ranks" graphs
done_testing
