#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# headers.sh SERIES DIR: headers of Debian's kernel SERIES (6.1 or 6.12) for amd64. Prints their directory: the newest that is installed, else those of the backports
# of this Debian, downloaded from the mirror that apt-get uses here and unpacked below DIR. DIR/SERIES/apt.conf is then apt's configuration for more of them.
set -u
series=$1 dir=$2/$1
die() { echo "$0: $*" >&2; exit 1; }
newest() { find "$1" -maxdepth 1 -name "linux-headers-$series.*-amd64" ! -name '*-rt-*' ! -name '*-cloud-*' 2>/dev/null | sort -V | tail -1; }

found=$(newest /usr/src)
[ -n "$found" ] || [ ! -f "$dir/complete" ] || found=$(newest "$dir/usr/src")
[ -z "$found" ] || { echo "$found"; exit 0; }
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" 2>/dev/null | head -1)
[ -n "$mirror" ] || die "no headers for $series are installed, and apt-get has no mirror of $codename"
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/deb" || exit 1
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $codename-backports main" >"$dir/sources.list"
cat >"$dir/apt.conf" <<-CONF
	Dir::Etc::sourcelist "$dir/sources.list";
	Dir::Etc::sourceparts "-";
	Dir::State::lists "$dir/lists";
	Dir::Cache "$dir/cache";
	APT::Sandbox::User "root";
CONF
export APT_CONFIG="$dir/apt.conf"
log=$dir/headers.log
apt-get update >"$log" 2>&1 || die "apt-get update of $codename-backports failed ($log)"
package=$(apt-cache depends linux-headers-amd64 2>>"$log" | sed -n "s/.*Depends: \(linux-headers-$series\.[^ ]*-amd64\)\$/\1/p" | head -1)
[ -n "$package" ] || die "$codename-backports has no linux-headers-$series"
version=${package#linux-headers-}
rm -f "$dir"/deb/*.deb
(cd "$dir/deb" && apt-get download "$package" "linux-headers-${version%-amd64}-common" "linux-kbuild-${version%-amd64}") >>"$log" 2>&1 || die "apt-get cannot download $package ($log)"
for deb in "$dir"/deb/*.deb; do dpkg-deb -x "$deb" "$dir" || die "cannot unpack $deb"; done
found=$(newest "$dir/usr/src")
[ -n "$found" ] || die "$package has no headers"
# They name each other by their places in /usr; without vmlinux nothing asks for pahole.
sed -i "s|/usr/src/|$dir/usr/src/|" "$found/Makefile" && rm -rf "$dir/deb" "$found/vmlinux" && touch "$dir/complete" && echo "$found"
