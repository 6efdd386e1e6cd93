#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make install DESTDIR= puts everything below it and below the prefix; make uninstall takes all of it away again; what is installed can be used: units, logrotate rules,
# pkg-config file, environment module. `make distcheck` builds everything twice more and is left to people who make a release (HACKING.md).
set -u
top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${OMPI_CR_BUILD:-$top/_build}
work=$(mktemp -d "${TMPDIR:-/tmp}/ompi-cr-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
n=0 bad=0
check()
{
	local what=$1
	shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $what"; else echo "not ok $n - $what"; bad=1; fi
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
prefix=$(sed -n 's/^prefix = //p' "$build/Makefile")
dest=$work/dest
root=$dest$prefix
make_quiet() { make -C "$build" "$@" >"$work/log" 2>&1 || { tail -5 "$work/log" | sed 's/^/# /'; return 1; }; }
check "make install DESTDIR=" make_quiet install DESTDIR="$dest"
check "nothing is outside of the prefix" test -z "$(find "$dest" ! -type d ! -path "$root/*" | head -3)"
check "no path of the staging directory is in what was installed" test -z "$(grep -rl "$dest" "$root" | head -3)"
check "no path of the build directory is in it" test -z "$(grep -rlI "$build" "$root" | head -3)"
(cd "$root" && find . ! -type d | sort) >"$work/staged"
for f in bin/cr_run bin/ompi-checkpoint libexec/ompi-cr/snapcd lib/pkgconfig/libcr.pc include/libcr.h share/man/man1/ompi-snapshot.1 share/man/man3/libcr.3 \
	share/bash-completion/completions/ompi-cr-info share/modulefiles/ompi-cr lib/systemd/system/ompi-cr.service lib/systemd/user/ompi-cr-logs.timer \
	lib/systemd/user/ompi-cr-logs.service share/ompi-cr/logrotate.conf share/openmpi/amca-param-sets/ft-enable-cr lib/openmpi/mca_schizo_ompicr.so; do
	check "installed: $f" grep -qxF "./$f" "$work/staged"
done
check "every link leads to something" test -z "$(find "$root" -xtype l)"

# OpenPBS: MoM runs a program of an $action only when it is root's, its group's number is at most 10, its owner may execute it and not everybody may write to it
hook=$root/bin/ompi-cr-hook
if [ "$(id -u)" = 0 ]; then
	check "ompi-cr-hook is what OpenPBS demands of a program of an \$action" sh -c 'set -- $(stat -c "%u %g %a" "$1"); [ "$1" = 0 ] && [ "$2" -le 10 ] && [ $((0$3 & 0102)) = $((0100)) ]' - "$hook"
else
	skip "ompi-cr-hook is what OpenPBS demands of a program of an \$action" "only what root installs belongs to root"
fi

# pkg-config file, as a program that uses libcr would take it
flags=$(PKG_CONFIG_PATH=$root/lib/pkgconfig pkg-config --define-variable=prefix="$root" --cflags --libs libcr)
echo '#include <libcr.h>
int main(void) { return cr_init() < 0; }' >"$work/p.c"
# shellcheck disable=SC2086
check "pkg-config libcr compiles and links a program" ${CC:-cc} -o "$work/p" "$work/p.c" $flags

# Environment module: every directory that it names is there
dirs=$(sed -n 's/^ *\(prepend-path\|setenv\|append-path\)[^/]*[A-Za-z_]* *//p' "$root/share/modulefiles/ompi-cr" | grep -o "$prefix/[^ :\"}]*" | sort -u)
check "the environment module names directories that are there" sh -c 'for d in $1; do [ -d "$2$d" ] || { echo "# $d"; exit 1; }; done; [ -n "$1" ]' - "$dirs" "$dest"

# Units: the commands exist and take their options
sed -n 's/^Exec[A-Za-z]*=//p' "$root/lib/systemd/system/ompi-cr.service" | while read -r command options; do
	[ -x "$dest$command" ] || { echo "# no $command"; exit 1; }
	for o in $options; do case $o in --*) "$dest$command" --help | grep -q -- "$o" || { echo "# $command has no $o"; exit 1; } ;; esac; done
done
check "ompi-cr.service: commands and options are there" test $? = 0
if command -v systemd-analyze >/dev/null; then
	cp "$root"/lib/systemd/system/ompi-cr.service "$root"/lib/systemd/user/ompi-cr-logs.* "$work"
	sed -i "s|=$prefix|=$root|" "$work/ompi-cr.service"
	sed -i 's|=/usr/sbin/logrotate|=/bin/true|' "$work/ompi-cr-logs.service" # it may not be on this machine
	check "systemd-analyze verify" sh -c 'words=$(cd "$1" && systemd-analyze verify --recursive-errors=no ./ompi-cr.service ./ompi-cr-logs.service ./ompi-cr-logs.timer 2>&1 | grep -E "ompi-cr"); [ -z "$words" ] || { echo "# $words"; exit 1; }' - "$work"
else
	skip "systemd-analyze verify" "systemd is not installed"
fi
logrotate=$(PATH=$PATH:/usr/sbin:/sbin command -v logrotate)
if [ -n "$logrotate" ]; then
	logs=$(mktemp -d /tmp/ompi-cr-rotate.XXXXXX)
	head -c 11000000 /dev/zero | tr '\0' x >"$logs/snapcd-1.log"
	echo small >"$logs/snapcd-2.log"
	(sleep 60; :) >>"$logs/snapcd-1.log" & writer=$!
	sed "s|^/tmp/ompi-cr-\*/snapcd-\*.log /run[^ ]*|$logs/snapcd-*.log|" "$root/share/ompi-cr/logrotate.conf" >"$work/rotate.conf"
	chmod 644 "$work/rotate.conf"
	"$logrotate" --state "$work/state" "$work/rotate.conf" >"$work/log" 2>&1
	check "logrotate: a large log is cut where it is, a small one stays" \
		sh -c '[ -s "$1/snapcd-1.log.1.gz" ] && [ ! -s "$1/snapcd-1.log" ] && [ "$(cat "$1/snapcd-2.log")" = small ] && [ ! -e "$1/snapcd-2.log.1.gz" ]' - "$logs"
	check "the real rules are taken without a complaint" "$logrotate" --debug --state "$work/state2" "$root/share/ompi-cr/logrotate.conf"
	kill $writer 2>/dev/null; wait $writer 2>/dev/null
	rm -rf "$logs"
else
	skip "logrotate: a large log is cut where it is, a small one stays" "logrotate is not installed"
fi >"$work/rotate.tap" 2>/dev/null
grep -E '^(ok|not ok|#)' "$work/rotate.tap"

check "make uninstall DESTDIR=" make_quiet uninstall DESTDIR="$dest"
left=$(find "$dest" ! -type d)
[ -z "$left" ] || echo "$left" | head -5 | sed 's/^/# left: /'
check "nothing is left" test -z "$left"

# The cheap form of distcheck: the archive holds every file that git has and a build needs
if [ -d "$top/.git" ] || [ -f "$top/.git" ]; then
	check "make distdir" make_quiet distdir distdir="$work/dist"
	(cd "$top" && git ls-files) | grep -vE '^(\.gitignore|\.ci/|\.gitlab-ci|\.github)' | while read -r f; do [ -e "$work/dist/$f" ] || echo "$f"; done >"$work/missing"
	sed 's/^/# not in the archive: /' "$work/missing" | head -10
	check "the archive of a release holds every file" test ! -s "$work/missing"
else
	skip "the archive of a release holds every file" "not a clone"
fi
echo "1..$n"
exit $bad
