#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ranks that are trees: a script that runs the real program, and goes on after it.
. "$(dirname "$0")/lib.sh"
GAP=250 CKPTS=5
# shellcheck disable=SC2016
chain "ranks that a shell runs" 2 /bin/sh -c '"$0" "$@"; echo "rank ended with $?"' "$PROGS/mpi_inflight" $(n 800) 8
done_testing
