#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# as-user.sh SCRIPT: run by root, runs a test as an ordinary user (nobody) with a home of its own and no groups.
set -u
[ "$(id -u)" = 0 ] || exec "$@"
dir=$(mktemp -d "${TMPDIR:-/tmp}/ompi-cr-user.XXXXXX")
trap 'rm -rf "$dir"' EXIT
uid=$(id -u nobody) gid=$(id -g nobody)
mkdir -p "$dir/home" "$dir/tmp"
chown -R "$uid:$gid" "$dir"
chmod 755 "$dir"
as() { setpriv --reuid="$uid" --regid="$gid" --clear-groups env HOME="$dir/home" USER=nobody LOGNAME=nobody TMPDIR="$dir/tmp" XDG_RUNTIME_DIR= "$@"; }
unset OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
if ! as test -x "$1" || ! as test -x "${OMPI_CR_PREFIX:?}/bin"; then
	echo "1..0 # SKIP an ordinary user cannot reach $1: the clone is in a directory closed to others"
	exit 0
fi
cd "$dir/home" || exit 1
as "$@"
