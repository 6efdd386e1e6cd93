# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A private Slurm with its own munged, for tests: two partitions of which "high" preempts "low". Sourced after lib.sh; root only.
#   slurm_start         one node, in $WORK/slurm; exports SLURM_CONF; 1 when it does not come up (its logs as comments)
#   slurm_start_nodes   the nodes of tests/lib/cluster.sh
#   slurm_stop
# Everything is on the loopback address (or the cluster's) and on ports that were free; the daemons are ended by the pids that they wrote.

SLURM_DIR=$WORK/slurm

# free_port FROM: a TCP port of the 6000 from there that nobody has. The kernel deals none of them out to others before it is used
free_port()
{
	python3 - "$1" <<-'END'
		import random, socket, sys
		for port in random.sample(range(int(sys.argv[1]), int(sys.argv[1]) + 6000), 100):
		    with socket.socket() as s:
		        try:
		            s.bind(("", port))
		        except OSError:
		            continue
		    print(port)
		    break
	END
}

# slurm_conf LINE NODE-LINES NODES: the file
slurm_conf()
{
	local host addr=127.0.0.1
	host=$(hostname -s)
	[ -z "${CLUSTER_NET:-}" ] || addr=$CLUSTER_NET.254
	cat <<-CONF
		ClusterName=ompicrtest
		SlurmctldHost=$host($addr)
		SlurmUser=root
		SlurmdUser=root
		AuthType=auth/munge
		AuthInfo=socket=$SLURM_DIR/munge.sock,cred_expire=5
		CredType=cred/munge
		SlurmctldPort=$(free_port 20000)
		SlurmdPort=$(free_port 26000)
		SlurmctldPidFile=$SLURM_DIR/slurmctld.pid
		SlurmdPidFile=$SLURM_DIR/slurmd.%n.pid
		SlurmctldLogFile=$SLURM_DIR/slurmctld.log
		SlurmdLogFile=$SLURM_DIR/slurmd.%n.log
		StateSaveLocation=$SLURM_DIR/state
		SlurmdSpoolDir=$SLURM_DIR/spool/%n
		MpiDefault=none
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		JobAcctGatherType=jobacct_gather/none
		AccountingStorageType=accounting_storage/none
		JobCompType=jobcomp/none
		SwitchType=switch/none
		ReturnToService=2
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU
		SchedulerType=sched/backfill
		SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1,max_rpc_cnt=0
		PreemptType=preempt/partition_prio
		PreemptMode=REQUEUE
		SlurmctldParameters=preempt_send_user_signal
		PreemptExemptTime=00:00:00
		JobRequeue=1
		KillWait=10
		CompleteWait=0
		MinJobAge=300
		$1
		SlurmdParameters=config_overrides
		$2
		PartitionName=low  Nodes=$3 Default=YES PriorityTier=1  PreemptMode=REQUEUE GraceTime=60 MaxTime=60 State=UP
		PartitionName=high Nodes=$3 Default=NO  PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
	CONF
	echo "PMIxCliTmpDirBase=$SLURM_DIR/pmix" >"$SLURM_DIR/mpi.conf"
}

# slurm_daemons NODES: munged and slurmctld here
slurm_daemons()
{
	head -c 1024 /dev/urandom >"$SLURM_DIR/munge.key"
	chmod 400 "$SLURM_DIR/munge.key"
	munged --force --key-file="$SLURM_DIR/munge.key" --socket="$SLURM_DIR/munge.sock" --pid-file="$SLURM_DIR/munged.pid" \
		--log-file="$SLURM_DIR/munged.log" --seed-file="$SLURM_DIR/munged.seed" >"$SLURM_DIR/start.log" 2>&1
	slurmctld -c -f "$SLURM_CONF" >>"$SLURM_DIR/start.log" 2>&1
}

# slurm_await NODES: until as many are idle
slurm_await()
{
	local i
	for ((i = 0; i < 600; i++)); do
		[ "$(sinfo -h -N -p low -o %t 2>/dev/null | grep -c '^idle$')" = "$1" ] && return 0
		nap 100
	done
	for i in "$SLURM_DIR"/*.log; do say_file "$i"; done
	return 1
}

# slurm_start [LINE]: LINE goes into slurm.conf
slurm_start()
{
	local host
	host=$(hostname -s)
	mkdir -p "$SLURM_DIR/state" "$SLURM_DIR/spool" "$SLURM_DIR/pmix"
	export SLURM_CONF=$SLURM_DIR/slurm.conf
	slurm_conf "${1:-}" "NodeName=$host NodeAddr=127.0.0.1 CPUs=${SLURM_CPUS:-2} RealMemory=1000 State=UNKNOWN" "$host" >"$SLURM_CONF"
	slurm_daemons
	slurmd -f "$SLURM_CONF" >>"$SLURM_DIR/start.log" 2>&1
	slurm_await 1
}

# slurm_start_nodes N [LINE]: on n1 .. nN of tests/lib/cluster.sh, which are up; two processors each
slurm_start_nodes()
{
	local i lines=
	mkdir -p "$SLURM_DIR/state" "$SLURM_DIR/spool" "$SLURM_DIR/pmix"
	export SLURM_CONF=$SLURM_DIR/slurm.conf
	unset OMPI_MCA_orte_default_hostfile OMPI_MCA_plm_rsh_agent # Slurm says where, and starts Open MPI's daemons
	export OMPI_MCA_hwloc_base_binding_policy=none # the first core of every node is the same one
	for ((i = 1; i <= $1; i++)); do lines="$lines${lines:+$'\n'}NodeName=n$i NodeAddr=$CLUSTER_NET.$i CPUs=2 RealMemory=1000 State=UNKNOWN"; done
	slurm_conf "${2:-}" "$lines" "n[1-$1]" >"$SLURM_CONF"
	for ((i = 1; i <= $1; i++)); do echo "$CLUSTER_NET.$i n$i"; done >"$SLURM_DIR/hosts"
	slurm_daemons
	export OMPI_CR_MUNGE_SOCKET=$SLURM_DIR/munge.sock
	for ((i = 1; i <= $1; i++)); do
		# Slurm's PMIx keeps files by job, not by node
		node "n$i" sh -c "mount -t tmpfs none $(printf %q "$SLURM_DIR/pmix") && exec slurmd -f $(printf %q "$SLURM_CONF") -N n$i" >>"$SLURM_DIR/start.log" 2>&1
	done
	slurm_await "$1"
}

slurm_stop()
{
	local f p i
	squeue -h -o %A 2>/dev/null | sort -u | while read -r p; do scancel "$p" 2>/dev/null; done
	for ((i = 0; i < 100; i++)); do
		[ -z "$(squeue -h 2>/dev/null)" ] && break
		nap 100
	done
	for f in "$SLURM_DIR"/slurmd.*.pid "$SLURM_DIR/slurmctld.pid" "$SLURM_DIR/munged.pid"; do
		# of a node with processes of its own: they end with it
		[ -z "${CLUSTER_NET:-}" ] || case $f in */slurmd.*) continue ;; esac
		p=$(cat "$f" 2>/dev/null) || continue
		kill "$p" 2>/dev/null
		for ((i = 0; i < 100; i++)); do alive "$p" && nap 100 || break; done
		kill -KILL "$p" 2>/dev/null
	done
}

# job_field JOB FIELD: of scontrol show job
job_field() { scontrol -o show job "$1" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$2=//p" | head -1; }

# await_field JOB FIELD PATTERN SECONDS: until it matches; 1 when it does not
await_field()
{
	local i v
	for ((i = 0; i < $4 * 10; i++)); do
		v=$(job_field "$1" "$2")
		# shellcheck disable=SC2254
		case $v in $3) return 0 ;; esac
		nap 100
	done
	say "job $1: $2 is $v, not $3, after $4 s"
	return 1
}

# script NAME LINE...: a batch script as a user writes it, $RUN/NAME.sbatch
script()
{
	local name=$1
	shift
	{ echo '#!/bin/bash'; printf '%s\n' "$@"; } >"$RUN/$name.sbatch"
}
# submit NAME [OPTION...]: its id; output in $RUN/NAME.out and .err
submit()
{
	local name=$1
	shift
	sbatch --parsable --output="$RUN/$name.out" --error="$RUN/$name.err" --open-mode=append "$@" "$RUN/$name.sbatch"
}
# await_lines FILE COUNT: until it has that many lines that count
await_lines()
{
	local i
	for ((i = 0; i < 2400; i++)); do
		[ "$(cat "$1" 2>/dev/null | filter | wc -l)" -ge "$2" ] && return 0
		nap 100
	done
	return 1
}
explain_job()
{
	scontrol -o show job "$1" | cut -c1-400 | sed 's/^/#   /'
	say_file "$RUN/$2.err"
	for f in "$SLURM_DIR"/slurmd.*.log; do say_file "$f" 5; done
}
timed() { say "$(($(date +%s) - began)) s: $*"; }
