#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A rank below the cut waits for a message of a rank that is parked at a collective above it: the cut must be raised, the checkpoint must complete.
. "$(dirname "$0")/lib.sh"
[ -x "$PROGS/raise_cut" ] || skip_all "raise_cut is not built"
GAP=250
chain "the cut is raised, 3 ranks" 3 "$PROGS/raise_cut" --turns 600
done_testing
