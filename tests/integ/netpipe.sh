#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# NetPIPE from Debian, in its integrity mode: ping-pongs of 1 B to 1 MiB whose content is checked. The ranks start through a shell.
. "$(dirname "$0")/lib.sh"
need NPopenmpi netpipe-openmpi
# A line is written in two pieces, before and after its ping-pongs: each counts by itself, for a kill may come between.
whole() { cat "$1"; }
filter() { sed 's/-->/-->\n/' | sed 's/^ *//; s/ *$//' | grep -E -- '-->|Integrity'; }
GAP=250
chain "netpipe, 2 ranks" 2 sh -c "exec NPopenmpi -i -u 1048576 -n $(n 2000) -o np.out 2>&1"
chain "netpipe with preposted receives, 2 ranks" 2 sh -c "exec NPopenmpi -a -z -i -u 262144 -n $(n 3500) -o np.out 2>&1"
done_testing
