#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# gcc with its children compiles a file of many functions; what comes out is compared as a whole. With a pipe between them: a file that one of them
# removes after a checkpoint is not there for a restart.
# The last steps are not made before the test has done what it wants (step.h)
hold() { [ -z "${STEP_HOLD:-}" ] || until [ -e "${STEP_HOLD#*:}" ]; do sleep 0.01; done; }
for ((f = 0; f < $1; f++)); do
	echo "int f$f(const int *a, int n) { int s = $f; for (int i = 0; i < n; i++) { s = s * 31 + a[i]; if (s % $((f + 2)) == 0) s ^= a[n - 1 - i] >> $((f % 7)); } return s; }"
done >many.c
for optimize in 1 2; do
	if [ $optimize = 2 ]; then hold; fi
	gcc -pipe -O$optimize -c many.c -o many.$optimize.o || exit 1
	echo "O$optimize $(cksum <many.$optimize.o)"
done
