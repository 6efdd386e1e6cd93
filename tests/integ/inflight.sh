#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Messages under way at the checkpoint, taken in afterwards by every kind of receive; pending collectives beside them.
. "$(dirname "$0")/lib.sh"
GAP=250
chain "messages in flight, 2 ranks" 2 "$PROGS/mpi_inflight" $(n 900) 8
CKPTS=10 chain "messages in flight, 3 ranks" 3 "$PROGS/mpi_inflight" $(n 300) 8
# As on a machine without FSGSBASE
CR_FSGSBASE=off CKPTS=5 chain "messages in flight, %fs by the kernel" 2 "$PROGS/mpi_inflight" $(n 200) 8
done_testing
