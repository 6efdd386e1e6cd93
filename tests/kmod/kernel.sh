#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# kernel.sh HEADERS DIR: Debian's kernel image that belongs to the headers in HEADERS, and the modules that the guest needs, unpacked below DIR. Nothing is
# installed. Prints the kernel's version.
set -u
headers=$1 dir=$2
version=$(basename "$headers" | sed 's/^linux-headers-//')
die() { echo "$0: $*" >&2; exit 1; }

[ -f "$dir/$version/complete" ] && { echo "$version"; exit 0; }
mkdir -p "$dir/deb" "$dir/$version" || exit 1
if [ -f "/boot/vmlinuz-$version" ] && [ -d "/lib/modules/$version/kernel" ]; then
	mkdir -p "$dir/$version/boot" && cp "/boot/vmlinuz-$version" "$dir/$version/boot/" || exit 1
	(cd / && find "lib/modules/$version" -path '*/modules.*' -o -path '*/drivers/virtio/*' -o -path '*/net/9p/*' -o -path '*/fs/9p/*' -o -path '*/fs/netfs/*' \
		-o -path '*/fs/fscache/*' | tar -c --no-recursion -T -) | tar -x -C "$dir/$version" || exit 1
else
	log=$dir/download.log
	for try in 1 2 3; do
		rm -f "$dir"/deb/*.deb
		(cd "$dir/deb" && apt-get download "linux-image-$version") >"$log" 2>&1 && break
		[ "$(id -u)" = 0 ] && apt-get update >>"$log" 2>&1
		[ $try = 3 ] && { tail -3 "$log" >&2; die "apt-get cannot download linux-image-$version ($log); when the mirror has a newer one: apt-get install linux-headers-amd64"; }
		sleep 2
	done
	dpkg-deb --fsys-tarfile "$dir"/deb/*.deb | tar -x -C "$dir/$version" --wildcards "./boot/vmlinuz-*" './lib/modules/*/kernel/drivers/virtio/*' \
		'./lib/modules/*/kernel/net/9p/*' './lib/modules/*/kernel/fs/9p/*' './lib/modules/*/kernel/fs/netfs/*' './lib/modules/*/kernel/fs/fscache/*' './lib/modules/*/modules.builtin*' './lib/modules/*/modules.order' \
		2>>"$log" || [ -f "$dir/$version/boot/vmlinuz-$version" ] || die "cannot unpack linux-image-$version ($log)"
	rm -rf "$dir/deb"
	# busybox takes them plain alone
	find "$dir/$version" -name '*.ko.xz' -exec xz -d {} + || die "cannot unpack the modules of linux-image-$version"
fi
touch "$dir/$version/complete" && echo "$version"
