#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fuzz.sh TARGET: a libFuzzer target for FUZZ_SECONDS (60); one TAP point. The corpus is kept below the build directory.
set -u
target=$1 seconds=${FUZZ_SECONDS:-60}
name=$(basename "$target")
[ -x "$target" ] || { echo "1..0 # SKIP $name is not built (clang is missing)"; exit 0; }
chrt -i -p 0 $$ >/dev/null 2>&1 # what nobody else wants, where that can be said
corpus=${OMPI_CR_BUILD:-.}/fuzz-corpus/$name
mkdir -p "$corpus"
seeds=$(dirname "$target")/$name.corpus
echo "1..1"
"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$corpus/../$name-" "$corpus" $([ -d "$seeds" ] && echo "$seeds") >"$corpus/../$name.log" 2>&1
rc=$?
tail -3 "$corpus/../$name.log" | sed 's/^/# /'
if [ $rc = 0 ]; then
	echo "ok 1 - $name: nothing found in $seconds s"
else
	grep -E 'ERROR|SUMMARY' "$corpus/../$name.log" | head -5 | sed 's/^/# /'
	echo "not ok 1 - $name: see $corpus/../$name.log"
	exit 1
fi
