#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Code that runs in signal handlers and on the program's %fs must not call libc, use thread-local storage or the stack protector.
# Its objects may refer to these and nothing else:
set -u
top=${top_builddir:-.}
allowed=' _GLOBAL_OFFSET_TABLE_ cr_blob_symbol cr_lower cr_thread_attach cr_lower_fork cr_record_find '
lib=$top/libcr/.libs/libcr_sig.a
echo 1..2
own=$(nm --defined-only "$lib" | awk 'NF == 3 { print $3 }')
bad=
for s in $(nm -u "$lib" | awk '$1 == "U" { print $2 }' | sort -u); do
	case "$allowed" in *" $s "*) continue ;; esac
	echo "$own" | grep -qx "$s" || bad="$bad $s"
done
[ -z "$bad" ] && echo "ok 1 - no foreign symbols" || { echo "# not allowed:$bad"; echo "not ok 1 - no foreign symbols"; }
if objdump -d "$lib" | grep -q '%fs:'; then
	objdump -d "$lib" | grep '%fs:' | head -3 | sed 's/^/# /'
	echo "not ok 2 - no thread-local access"
else
	echo "ok 2 - no thread-local access"
fi
