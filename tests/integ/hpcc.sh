#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# HPC Challenge from Debian: HPL, PTRANS, RandomAccess, STREAM, FFT, latency and bandwidth. What does not depend on time must be the same: sizes,
# norms, residuals, error counts of the summary. (hpcc closes its report between the tests, so earlier parts may be written twice: only the
# last summary counts.)
. "$(dirname "$0")/lib.sh"
need hpcc hpcc
prepare() { cp "$SRC/hpccinf.txt" "$1"; }
filter()
{
	awk '/Begin of Summary section/ { n = 0; in_it = 1 }
		in_it && /^(Success|CommWorldProcs|HPL_(RnormI|Anorm.|Xnorm.|BnormI|N|NB|nprow|npcol)|DGEMM_N|PTRANS_(residual|n|nb|nprow|npcol)|.*RandomAccess.*_(N|Errors|ErrorsFraction)|MPIFFT_(N|maxErr|Procs)|FFT_N|STREAM_Threads)=/ { line[++n] = $0 }
		/End of Summary section/ { in_it = 0 }
		END { for (i = 1; i <= n; i++) print line[i] }'
}
FILES=hpccoutf.txt GAP=600 LIMIT=300
chain "hpcc, 2 ranks" 2 hpcc
check "no test of hpcc failed" sh -c "grep -q 'Success=1' '$RUN/hpccoutf.txt' && ! grep -q FAILED '$RUN/hpccoutf.txt'"
done_testing
