#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run.sh [SERIES | HEADERS]: builds crmod for Debian's kernel, boots that kernel in QEMU (TCG) with this machine's files shared read-only, and runs the tests of
# tests/kmod in it. Prints their TAP. Any WARN, BUG, oops or hung task on the console is a failure. SERIES is 6.1 or 6.12, by default 6.1; HEADERS a linux-headers directory.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${OMPI_CR_BUILD:-$top/_build}
work=$build/kmod-guest
series=${1:-6.1} headers=
skip() { echo "1..0 # SKIP $1"; exit 0; }
die() { echo "not ok 1 - $1"; echo "1..1"; exit 1; }
for p in qemu-system-x86_64 busybox cpio depmod; do command -v $p >/dev/null || [ -x /sbin/$p ] || skip "$p is missing"; done
PATH=$PATH:/sbin:/usr/sbin

mkdir -p "$work" || exit 1
case $series in
6.1 | 6.12) headers=$("$top/tests/kmod/headers.sh" "$series" "$work" 2>"$work/headers.err") || skip "no linux-headers for $series: $(tail -1 "$work/headers.err")" ;;
*) headers=$series ;;
esac
[ -d "$headers" ] || skip "no linux-headers in $headers"
case $headers in "$work"/*) export APT_CONFIG=$work/$series/apt.conf ;; esac
version=$("$top/tests/kmod/kernel.sh" "$headers" "$work" 2>&1) || die "no kernel: $version"
run=$(mktemp -d "$work/run.XXXXXX") || exit 1
qemu=
# shellcheck disable=SC2317
cleanup()
{
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null
	[ -n "${KEEP:-}" ] || rm -rf "$run"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

# ---- the module, with every warning the kernel's build knows, and sparse when it is there
make -C "$build" kmod KDIR="$headers" KFLAGS="W=1 $(command -v sparse >/dev/null && echo C=2)" >"$run/make.log" 2>&1 || { sed 's/^/# /' "$run/make.log" | tail -20; die "the module does not build"; }
make -C "$build" check-kmod-progs >"$run/progs.log" 2>&1 || { sed 's/^/# /' "$run/progs.log" | tail -20; die "the test programs do not build"; }
if grep -E 'warning|error' "$run/make.log" | sed 's/^/# /' | grep .; then
	echo "not ok 1 - the module builds for $version without a warning"
else
	echo "ok 1 - the module builds for $version without a warning"
fi

# ---- a root file system in memory that mounts this machine's files and runs guest.sh in them
root=$run/root
mkdir -p "$root"/{bin,proc,sys,dev,host,lib/modules}
cp "$(command -v busybox)" "$root/bin/busybox"
cp -r "$work/$version/lib/modules/$version" "$root/lib/modules/"
depmod -b "$root" "$version" 2>/dev/null
cat >"$root/init" <<-INIT
	#!/bin/busybox sh
	/bin/busybox --install -s /bin
	export PATH=/bin
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	ip link set lo up
	hostname guest
	mount -t devtmpfs dev /dev
	modprobe virtio_pci && modprobe 9pnet_virtio && modprobe 9p || echo "guest: modules of 9p are missing"
	mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 host /host || echo "guest: no host"
	for d in proc sys dev; do mount -o bind /\$d /host/\$d; done
	case $build in /tmp/*) ;; *) mount -t tmpfs -o mode=1777 tmp /host/tmp ;; esac
	mkdir -p /dev/shm && mount -t tmpfs -o mode=1777 shm /host/dev/shm
	OMPI_CR_PREFIX=${OMPI_CR_PREFIX:-$top/_install} chroot /host /bin/sh "$top/tests/kmod/guest.sh" "$build" "$build/kmod/crmod.ko" ${CRMOD_TESTS:-} >/dev/ttyS1 2>&1 </dev/null
	echo "guest: end"
	reboot -f
INIT
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$run/initrd" || die "no initrd"

# Without protection keys, which execute-only memory would get: such memory is not saved by either engine.
# Slow processors are no fault of the kernel's: the detectors of stalls are off, the one of hung tasks is on.
nice -n 5 qemu-system-x86_64 -accel tcg,thread=multi -cpu max,la57=off,pku=off -smp 2 -m 1536 -nodefaults -no-user-config -display none -no-reboot \
	-kernel "$work/$version/boot/vmlinuz-$version" -initrd "$run/initrd" \
	-append "console=ttyS0 panic=-1 oops=panic nowatchdog nosoftlockup rcupdate.rcu_cpu_stall_suppress=1 mitigations=off tsc=unstable quiet loglevel=6" \
	-serial "file:$run/console" -serial "file:$run/tap" -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
	>"$run/qemu.log" 2>&1 &
qemu=$!
wait $qemu
rc=$?
qemu=
tr -d '\r' <"$run/tap" >"$run/tap.txt" 2>/dev/null
tr -d '\r' <"$run/console" >"$run/console.txt" 2>/dev/null
cat "$run/tap.txt"
bad=$(grep -n -E 'WARNING:|BUG[: ]|Oops|general protection|possible (recursive|circular)|inconsistent lock|suspicious RCU|INFO: task .* blocked|Call Trace|Kernel panic|refcount_t:|stack-protector|unable to handle' "$run/console.txt")
if [ $rc = 0 ] && grep -q '^guest: end' "$run/console.txt" && grep -q '^# guest.sh: end' "$run/tap.txt"; then
	echo "ok - the guest ran to its end"
else
	echo "not ok - the guest ran to its end (qemu: $rc)"
	sed 's/^/# /' "$run/qemu.log" | tail -5
	tail -40 "$run/console.txt" | sed 's/^/# /'
fi
if [ -z "$bad" ]; then
	echo "ok - nothing on the console that should not be there"
else
	echo "not ok - nothing on the console that should not be there"
	grep -n -E -A25 "$(echo "$bad" | head -1 | cut -d: -f2- | cut -c1-60 | sed 's/[][\\.*^$(){}?+|/]/./g')" "$run/console.txt" | head -60 | sed 's/^/# /'
fi
! grep -q '^not ok' "$run/tap.txt" && [ -z "$bad" ] && [ $rc = 0 ]
