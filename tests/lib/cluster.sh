# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A small cluster on one machine, for tests: every node is a set of namespaces (network, host name, processes, mounts, System V) with its own
# address, host name and /dev/shm, and a stand-in for ssh leads there. Sourced by a test in the place of tests/integ/lib.sh, which it sources.
# The test itself becomes the node "head", where mpirun is started.
#
#   cluster_up N        nodes n1 .. nN; with CLUSTER_FAMILY=6 their network has IPv6 alone
#   node NAME CMD...    run a command there
#   hosts WORD...       what mpirun and ompi-restart use from now on: "n1:2" is two slots on n1
#
# Needs root and the kernel's namespaces. Nothing is left behind when the test ends, however it ends: the holders of the namespaces die with
# the test, everything in a node dies with its holder, and network, mounts and names with the last process.

if [ -z "${CLUSTER_HEAD:-}" ]; then
	if [ "$(id -u)" != 0 ]; then echo "1..0 # SKIP a cluster of namespaces needs root"; exit 0; fi
	for tool in ip:iproute2 nsenter:util-linux setpriv:util-linux; do
		command -v ${tool%:*} >/dev/null || { echo "1..0 # SKIP ${tool%:*} is not installed (Debian: ${tool#*:})"; exit 0; }
	done
	if ! unshare --net --uts --ipc --mount --pid --fork --mount-proc true 2>/dev/null; then
		echo "1..0 # SKIP this machine (a container?) does not allow namespaces"
		exit 0
	fi
	CLUSTER_HEAD=1 exec unshare --net --uts --ipc --mount --propagation private bash "$0" "$@"
fi
. "$(dirname "${BASH_SOURCE[0]}")/../integ/lib.sh"
# A test that this one starts is not in a cluster yet
unset CLUSTER_HEAD

CLUSTER=$WORK/cluster CLUSTER_NET=10.77.0

# The address of node number $1 with its network's length; 254 is the head
cluster_address()
{
	case ${CLUSTER_FAMILY:-4} in
	6) echo "fd77::$1/64 nodad" ;;
	*) echo "$CLUSTER_NET.$1/24" ;;
	esac
}

# hold NAME: start the process that holds a node's namespaces, and wait until it stands
cluster_hold()
{
	local name=$1 i
	mkdir -p "$CLUSTER/$name"
	# shellcheck disable=SC2016
	setpriv --pdeathsig KILL unshare --net --uts --ipc --mount --propagation private --pid --fork --kill-child --mount-proc sh -c '
		hostname "$1" && mount -t tmpfs -o mode=1777 shm /dev/shm && ip link set lo up && echo up >"$2/state" && exec sleep infinity' \
		hold "$name" "$CLUSTER/$name" </dev/null >"$CLUSTER/$name/log" 2>&1 &
	STARTED+=($!)
	disown $!
	for ((i = 0; i < 3000; i++)); do
		[ -s "$CLUSTER/$name/state" ] && break
		nap 20
	done
	ps -o pid= --ppid $! | tr -d ' \n' >"$CLUSTER/$name/pid"
	[ -s "$CLUSTER/$name/state" ] && [ -s "$CLUSTER/$name/pid" ] || { say_file "$CLUSTER/$name/log"; return 1; }
}

cluster_up()
{
	local i pid
	mkdir -p "$CLUSTER"
	# the bridge has the name of the nodes' interfaces, so that one parameter holds for all
	# shellcheck disable=SC2046
	hostname head && mount -t tmpfs -o mode=1777 shm /dev/shm && ip link set lo up && ip link add eth0 type bridge &&
		ip link set eth0 up && ip addr add $(cluster_address 254) dev eth0 || return 1
	for ((i = 1; i <= $1; i++)); do
		cluster_hold "n$i" || return 1
		pid=$(cat "$CLUSTER/n$i/pid")
		ip link add "v$i" type veth peer name eth0 netns "$pid" && ip link set "v$i" master eth0 up || return 1
		nsenter -t "$pid" -n sh -c "ip addr add $(cluster_address "$i") dev eth0 && ip link set eth0 up" || return 1
	done
	# ssh [option]... host command...: with the environment that a login would have. All nodes see the same files.
	cat >"$CLUSTER/ssh" <<-EOF
		#!/bin/bash
		while [ "\${1#-}" != "\$1" ]; do shift; done
		host=\$1; shift
		pid=\$(cat $(printf %q "$CLUSTER")/\$host/pid) || exit 255
		cd / && exec nsenter -t \$pid -n -u -m -i -p -- env -i PATH=$(printf %q "$PATH") HOME=$(printf %q "${HOME:-/root}") \\
			TMPDIR=$(printf %q "${TMPDIR:-/tmp}") CR_DEBUG=${CR_DEBUG:-1} OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 sh -c "\$*"
	EOF
	chmod +x "$CLUSTER/ssh"
	export OMPI_MCA_plm_rsh_agent=$CLUSTER/ssh OMPI_MCA_oob_tcp_if_include=$CLUSTER_NET.0/24 OMPI_MCA_btl_tcp_if_include=$CLUSTER_NET.0/24
	if [ "${CLUSTER_FAMILY:-4}" = 6 ]; then
		export OMPI_MCA_oob_tcp_if_include=eth0 OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_disable_ipv4_family=1 OMPI_MCA_btl_tcp_disable_family=4
	fi
	export OMPI_MCA_orte_default_hostfile=$CLUSTER/hosts
	export OMPI_CR_REGISTRY_DIR=$CLUSTER/registry OMPI_CR_CONTACT_DIR=$CLUSTER/contact
	mkdir -m 700 "$OMPI_CR_REGISTRY_DIR"
	hosts n1:2
}

hosts() { printf '%s\n' "$@" | sed 's/:/ slots=/' >"$CLUSTER/hosts"; }

node()
{
	local pid
	pid=$(cat "$CLUSTER/$1/pid")
	shift
	nsenter -t "$pid" -n -u -m -i -p --wd="$PWD" -- "$@"
}

# A munged of the test's own, for all nodes: they see the same files, and OMPI_CR_MUNGE_SOCKET names its socket
cluster_munged()
{
	local i
	head -c 1024 /dev/urandom >"$CLUSTER/munge.key"
	chmod 600 "$CLUSTER/munge.key"
	setpriv --pdeathsig KILL munged --foreground --force --num-threads 2 --key-file "$CLUSTER/munge.key" --socket "$CLUSTER/munge.sock" \
		--pid-file "$CLUSTER/munged.pid" --log-file "$CLUSTER/munged.log" --seed-file "$CLUSTER/munged.seed" >"$CLUSTER/munged.out" 2>&1 </dev/null &
	STARTED+=($!)
	export OMPI_CR_MUNGE_SOCKET=$CLUSTER/munge.sock
	for ((i = 0; i < 1500; i++)); do
		munge --socket "$CLUSTER/munge.sock" --no-input >/dev/null 2>&1 && return
		nap 40
	done
	say_file "$CLUSTER/munged.out"
	return 1
}

# The log of the newest job's coordinator
cluster_log()
{
	# shellcheck disable=SC2012
	ls -t "$OMPI_CR_REGISTRY_DIR"/snapcd-[0-9]*.log 2>/dev/null | head -1
}
