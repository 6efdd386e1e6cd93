# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# TAP for the scripts of this directory.
tap_n=0
tap_failed=0

# ok STATUS NAME [WHAT]: WHAT is printed when STATUS is not 0.
ok()
{
	tap_n=$((tap_n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_n - $2"
	else
		echo "not ok $tap_n - $2"
		[ -z "$3" ] || printf '%s\n' "$3" | sed 's/^/# /'
		tap_failed=1
	fi
}

skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

finish()
{
	exit "$tap_failed"
}
