# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A private Grid Engine for tests: a qmaster and an execd of Debian's packages below $WORK/sge, on free ports. Sourced after lib.sh; root only, in namespaces
# of its own, which the test enters: its host has a name that is its address' name, which Grid Engine insists on, and its daemons end with the test.

SGE_DIR=$WORK/sge
SGE_BIN=/usr/lib/gridengine

# gridengine_start: two queues of two slots, of which "high" suspends what runs in "low"; 1 when they do not come up
gridengine_start()
{
	local host f i port=$((20000 + RANDOM % 12000))
	host=$(hostname)
	echo "127.0.0.1 $host localhost" >"$WORK/hosts" && mount --bind "$WORK/hosts" /etc/hosts || return 1
	export SGE_ROOT=$SGE_DIR/root SGE_CELL=default SGE_ARCH=lx-amd64 SGE_QMASTER_PORT=$port SGE_EXECD_PORT=$((port + 1))
	export PATH=$SGE_BIN:$PATH
	mkdir -p "$SGE_ROOT/default/common" "$SGE_DIR/qmaster/job_scripts" "$SGE_DIR/execd"
	for f in bin utilbin util lib; do ln -s /var/lib/gridengine/$f "$SGE_ROOT/$f"; done
	echo "$host" >"$SGE_ROOT/default/common/act_qmaster"
	cat >"$SGE_ROOT/default/common/bootstrap" <<-END
		admin_user        none
		default_domain    none
		ignore_fqdn       true
		spooling_method   classic
		spooling_lib      libspoolc
		spooling_params   $SGE_ROOT/default/common;$SGE_DIR/qmaster
		binary_path       $SGE_ROOT/bin
		qmaster_spool_dir $SGE_DIR/qmaster
		security_mode     none
		listener_threads  2
		worker_threads    2
		scheduler_threads 1
	END
	sed -e "s|^execd_spool_dir .*|execd_spool_dir $SGE_DIR/execd|" -e 's/^load_report_time .*/load_report_time 00:00:02/' \
		-e 's|^mailer .*|mailer /bin/true|' /usr/share/gridengine/default-configuration >"$SGE_DIR/configuration"
	{
		spoolinit classic libspoolc "$SGE_ROOT/default/common;$SGE_DIR/qmaster" init
		spooldefaults configuration "$SGE_DIR/configuration"
		spooldefaults complexes /usr/share/gridengine/util/resources/centry
		spooldefaults usersets /usr/share/gridengine/util/resources/usersets
		spooldefaults managers root
		sge_qmaster
		for ((i = 0; i < 1200; i++)); do qconf -sh && break; nap 100; done
		qconf -as "$host"
		qconf -ssconf | sed 's/^schedule_interval .*/schedule_interval 0:0:1/; s/^flush_\(submit\|finish\)_sec .*/flush_\1_sec 1/' >"$SGE_DIR/scheduler"
		qconf -Msconf "$SGE_DIR/scheduler"
		sge_execd
	} >"$SGE_DIR/start.log" 2>&1
	gridengine_queue low NONE
	gridengine_queue high low=1
	for ((i = 0; i < 1200; i++)); do
		qhost 2>/dev/null | grep -q "^$host  *lx-" && [ "$(qstat -f | grep -c '^\(low\|high\)@[^ ]*  *BIP* *0/0/2 .* lx-amd64 *$')" = 2 ] && return 0
		nap 100
	done
	qstat -f | sed 's/^/# /'
	say_file "$SGE_DIR/start.log"
	say_file "$SGE_DIR/qmaster/messages"
	return 1
}

# gridengine_queue NAME SUBORDINATE
gridengine_queue()
{
	qconf -sq | sed -e "s/^qname .*/qname $1/; s/^hostlist .*/hostlist $(hostname)/; s/^subordinate_list .*/subordinate_list $2/" \
		-e 's/^slots .*/slots 2/; s/^load_thresholds .*/load_thresholds NONE/; s/^pe_list .*/pe_list NONE/; s|^shell .*|shell /bin/bash|' \
		-e 's/^notify .*/notify 00:02:00/; s/^min_cpu_interval .*/min_cpu_interval 00:10:00/' >"$SGE_DIR/queue"
	qconf -Aq "$SGE_DIR/queue" >>"$SGE_DIR/start.log" 2>&1
}

# gridengine_ckpt NAME INTERFACE COMMAND DIRECTORY: a checkpointing environment as docs/schedulers.md has it, for the queue "low"
gridengine_ckpt()
{
	local k words="\$job_id \$ja_task_id \$job_owner \$job_pid \$ckpt_dir"
	{
		printf '%s %s\n' ckpt_name "$1" interface "$2"
		for k in ckpt migr restart clean; do echo "${k}_command $3 sge-$k $words"; done
		printf '%s %s\n' ckpt_dir "$4" signal none when sx
	} >"$SGE_DIR/ckpt"
	qconf -Ackpt "$SGE_DIR/ckpt" >>"$SGE_DIR/start.log" && qconf -aattr queue ckpt_list "$1" low >>"$SGE_DIR/start.log"
}

# gridengine_state JOB: as qstat says, "gone" when it has ended
gridengine_state() { local s; s=$(qstat -u '*' | awk -v j="$1" '$1 == j { print $5 }'); echo "${s:-gone}"; }

# gridengine_await JOB PATTERN: until its state matches, at most four minutes
gridengine_await()
{
	local i s
	for ((i = 0; i < 2400; i++)); do
		s=$(gridengine_state "$1")
		# shellcheck disable=SC2254
		case $s in $2) return 0 ;; esac
		nap 100
	done
	say "job $1 is $s, not $2"
	return 1
}

gridengine_stop()
{
	qdel -f -u '*' >/dev/null 2>&1
	qconf -ke all >/dev/null 2>&1
	qconf -km >/dev/null 2>&1
	umount /etc/hosts
}
