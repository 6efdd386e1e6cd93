# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A private Slurm with its own munged, for tests: one node, two partitions of which "high" preempts "low". Sourced after lib.sh; root only.
#   slurm_start     in $WORK/slurm; exports SLURM_CONF; 1 when it does not come up (its logs as comments)
#   slurm_stop
# Everything is on the loopback address and on ports that were free; the daemons are ended by the pids that they wrote.

SLURM_DIR=$WORK/slurm

# free_port: a TCP port of the loopback address that nobody listens on
free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

slurm_conf()
{
	local host
	host=$(hostname -s)
	cat <<-CONF
		ClusterName=ompicrtest
		SlurmctldHost=$host(127.0.0.1)
		SlurmUser=root
		SlurmdUser=root
		AuthType=auth/munge
		AuthInfo=socket=$SLURM_DIR/munge.sock,cred_expire=5
		CredType=cred/munge
		SlurmctldPort=$(free_port)
		SlurmdPort=$(free_port)
		SlurmctldPidFile=$SLURM_DIR/slurmctld.pid
		SlurmdPidFile=$SLURM_DIR/slurmd.pid
		SlurmctldLogFile=$SLURM_DIR/slurmctld.log
		SlurmdLogFile=$SLURM_DIR/slurmd.log
		StateSaveLocation=$SLURM_DIR/state
		SlurmdSpoolDir=$SLURM_DIR/spool
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
		NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
		PartitionName=low  Nodes=$host Default=YES PriorityTier=1  PreemptMode=REQUEUE GraceTime=60 MaxTime=60 State=UP
		PartitionName=high Nodes=$host Default=NO  PriorityTier=10 PreemptMode=OFF MaxTime=60 State=UP
	CONF
}

# slurm_start [LINE]: LINE goes into slurm.conf
slurm_start()
{
	local i
	mkdir -p "$SLURM_DIR/state" "$SLURM_DIR/spool"
	export SLURM_CONF=$SLURM_DIR/slurm.conf
	slurm_conf "${1:-}" >"$SLURM_CONF"
	head -c 1024 /dev/urandom >"$SLURM_DIR/munge.key"
	chmod 400 "$SLURM_DIR/munge.key"
	munged --force --key-file="$SLURM_DIR/munge.key" --socket="$SLURM_DIR/munge.sock" --pid-file="$SLURM_DIR/munged.pid" \
		--log-file="$SLURM_DIR/munged.log" --seed-file="$SLURM_DIR/munged.seed" >"$SLURM_DIR/start.log" 2>&1
	slurmctld -c -f "$SLURM_CONF" >>"$SLURM_DIR/start.log" 2>&1
	slurmd -f "$SLURM_CONF" >>"$SLURM_DIR/start.log" 2>&1
	for ((i = 0; i < 600; i++)); do
		[ "$(sinfo -h -N -p low -o %t 2>/dev/null)" = idle ] && return 0
		nap 100
	done
	for i in start slurmctld slurmd munged; do say_file "$SLURM_DIR/$i.log"; done
	return 1
}

slurm_stop()
{
	local f p i
	squeue -h -o %A 2>/dev/null | sort -u | while read -r p; do scancel "$p" 2>/dev/null; done
	for ((i = 0; i < 100; i++)); do
		[ -z "$(squeue -h 2>/dev/null)" ] && break
		nap 100
	done
	for f in slurmd slurmctld munged; do
		p=$(cat "$SLURM_DIR/$f.pid" 2>/dev/null) || continue
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
