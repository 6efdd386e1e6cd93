#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One-sided communication of ranks that the system keeps from each other's memory and objects although they are on one node: they are not dumpable, and
# nobody has CAP_SYS_PTRACE. Every rank is then like one on a node of its own.
if [ -z "${RMA_HIDDEN:-}" ]; then
	if [ "$(id -u)" != 0 ]; then echo "1..0 # SKIP /proc of a process that is not dumpable is root's"; exit 0; fi
	command -v setpriv >/dev/null || { echo "1..0 # SKIP setpriv is not installed (Debian: util-linux)"; exit 0; }
	RMA_HIDDEN=1 exec setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"

# Open MPI's own components share memory by files
eval "$(declare -f reference | sed '1s/reference/reference_plain/')"
reference() { OMPI_MCA_osc=pt2pt,sm reference_plain "$@"; }

# They do go through the services
services()
{
	local i p n
	RUN=$WORK/services SEG=0
	mkdir -p "$RUN"
	start_job 3 "$PROGS/mpi_rma" 1000000 2 0 1 hidden
	for ((i = 0; i < 1500; i++)); do
		n=0
		for p in $(descendants "$JOB"); do
			if grep -qs '^cr-remote$' /proc/"$p"/task/*/comm; then n=$((n + 1)); fi
		done
		[ $n = 3 ] && break
		alive "$JOB" || break
		nap 50
	done
	alive "$JOB" && kill_job
	[ $n = 3 ] || { say "$n of 3"; say_file "$RUN/err.$SEG"; }
}
check "each has a service of memory" services

# On a machine that is busy with other things the program may end before its last checkpoint: then it gets more to do
eval "$(declare -f not_ok | sed '1s/not_ok/not_ok_indeed/')"
not_ok() { case $1 in *"the run was too short"*) SHORT=1; say "$1" ;; *) not_ok_indeed "$@" ;; esac; }
journey()
{
	local steps
	for steps in 600 2400 9600; do
		SHORT=0 AGAIN=4 LIMIT=400
		CKPTS=${CKPTS_HIDDEN:-5} GAP=150 chain "one-sided, ranks hidden from each other" 3 "$PROGS/mpi_rma" $steps -1 0 1 hidden
		if [ $SHORT = 0 ]; then return; fi
	done
	not_ok_indeed "the machine is too busy for the checkpoints"
}
journey
done_testing
