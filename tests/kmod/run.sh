#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run.sh [HEADERS]: builds crmod for Debian's kernel, boots that kernel in QEMU (TCG) with this machine's files shared read-only, and runs the tests of
# tests/kmod in it. Prints their TAP. Any WARN, BUG, oops or hung task on the console is a failure. HEADERS is a linux-headers directory; by default the newest 6.1.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${OMPI_CR_BUILD:-$top/_build}
work=$build/kmod-guest
headers=${1:-$(find /usr/src -maxdepth 1 -name 'linux-headers-6.1.*-amd64' ! -name '*-rt-*' ! -name '*-cloud-*' | sort -V | tail -1)}
skip() { echo "1..0 # SKIP $1"; exit 0; }
die() { echo "not ok 1 - $1"; echo "1..1"; exit 1; }
[ -n "$headers" ] && [ -d "$headers" ] || skip "no linux-headers for 6.1 (Debian: linux-headers-amd64)"
for p in qemu-system-x86_64 busybox cpio depmod; do command -v $p >/dev/null || [ -x /sbin/$p ] || skip "$p is missing"; done
PATH=$PATH:/sbin:/usr/sbin

mkdir -p "$work" || exit 1
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
	mount -t devtmpfs dev /dev
	modprobe virtio_pci && modprobe 9pnet_virtio && modprobe 9p || echo "guest: modules of 9p are missing"
	mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 host /host || echo "guest: no host"
	for d in proc sys dev; do mount -o bind /\$d /host/\$d; done
	mkdir -p /dev/shm && mount -t tmpfs -o mode=1777 shm /host/dev/shm
	chroot /host /bin/sh "$top/tests/kmod/guest.sh" "$build" "$build/kmod/crmod.ko" ${CRMOD_TESTS:-} >/dev/ttyS1 2>&1 </dev/null
	echo "guest: end"
	reboot -f
INIT
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$run/initrd" || die "no initrd"

# Slow processors are no fault of the kernel's: the detectors of stalls are off, the one of hung tasks is on.
nice -n 5 qemu-system-x86_64 -accel tcg,thread=multi -cpu max,la57=off -smp 2 -m 1024 -nodefaults -no-user-config -display none -no-reboot \
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
