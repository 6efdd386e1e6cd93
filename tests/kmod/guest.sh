#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# guest.sh BUILD MODULE [TEST...]: what runs in the guest, below the shared files of the machine that started it. Only /dev/shm and /tmp can be written to.
build=$1 module=$2
shift 2
progs=$build/tests/kmod
export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/dev/shm HOME=/dev/shm XDG_RUNTIME_DIR=/dev/shm LC_ALL=C OMPI_CR_BUILD=$build
cd /dev/shm || exit 1
n=0
check() # WORDS COMMAND...
{
	words=$1
	shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $words"; else echo "not ok $n - $words"; fi
}
not() { ! "$@" 2>/dev/null; }
# A file is closed a moment after its owner has ended; 60 s are plenty
gone() { i=0; while ! rmmod crmod 2>/dev/null; do i=$((i + 1)); [ $i -lt 600 ] || return 1; sleep 0.1; done; }

echo 60 >/proc/sys/kernel/hung_task_timeout_secs 2>/dev/null
check "the module is loaded" insmod "$module"
check "the device is there, for its group alone" test "$(stat -c '%F %a %U' /dev/crmod)" = "character special file 660 root"
check "another user is refused" not setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'exec 3<>/dev/crmod'
exec 3<>/dev/crmod
check "unloading is refused while a descriptor is open" not rmmod crmod
exec 3>&-
check "the module is unloaded" gone
check "the device is gone" not test -e /dev/crmod
check "the module is loaded again" insmod "$module"
for t in ${*:-abi stop phase1 pages nocr stress mem engine}; do
	echo "# $t"
	case $t in
	# The unit test of memory, by the module; its output is not TAP
	mem)
		CR_ENGINE=kmod "$build/tests/unit/test_mem" >/dev/shm/mem.log 2>&1
		rc=$?
		grep -vE '\[ +(OK|RUN) ' /dev/shm/mem.log | head -30 | sed 's/^/# /'
		check "kmod: all kinds of memory are saved and put back" test $rc = 0
		continue
		;;
	engine) bash "$(dirname "$0")/engine.sh" ;;
	cost) bash "$(dirname "$0")/../bench/engine-cost" ;;
	*) "$progs/crmod_$t" "$build" ;;
	esac
	rc=$?
	check "$t ended by itself" test $rc -le 1
done
check "the module is unloaded after all that" gone
check "the kernel is not tainted by more than a module from outside" test $(($(cat /proc/sys/kernel/tainted) & ~12288)) = 0
echo "1..$n"
echo "# guest.sh: end"
