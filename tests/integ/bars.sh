#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Progress bars of the tools for programs without MPI, on a real terminal: there when there is something to wait for, gone at the end; never elsewhere.
# shellcheck source=tests/integ/lib.sh
. "$(dirname "$0")/lib.sh"
need cr_run "(this project: make install)"
export TERM=xterm
unset NO_COLOR
RUN=$WORK/bars
mkdir -p "$RUN"
escape=$(printf '\033')
on_tty() { rm -f "$RUN/tty"; "$TOP/tests/lib/on-tty.py" "$RUN/tty" "$@" >"$RUN/out" 2>"$RUN/err" </dev/null; }
# seen BAR COMMAND...: the same; a storage may be fast for once, and there is nothing to show then
seen()
{
	local bar=$1 i
	shift
	for ((i = 0; i < 10; i++)); do
		on_tty "$@" || return
		bar "$bar" && return
	done
}
bar() { tr '\r' '\n' <"$RUN/tty" | grep -Eq "^$1 .*[0-9]+% [0-9.]+ of [0-9.]+ [KMGT]?i?B [0-9]+ [KMGT]?i?B/s [0-9]+:[0-9][0-9] left"; }
gone() { [ "$(tail -c 4 "$RUN/tty")" = "$(printf '\r%s[K' "$escape")" ]; }
no_bar() { ! grep -q "$escape" "$RUN/tty"; }
coloured() { grep -q "$escape\[32m" "$RUN/tty"; }
all() { local c; for c in "$@"; do eval "$c" || { say "not: $c"; tr '\r' '\n' <"$RUN/tty" | cat -v | sed 's/^/# /' | head -20; return 1; }; done; }
cat >"$RUN/big.py" <<'END'
import os, sys, time
block = os.urandom(1 << 20) * int(sys.argv[1])
open(sys.argv[2], "w").close()
while not os.path.exists(sys.argv[3]):
    time.sleep(0.05)
END

# big MIB: a program with so much memory, in $JOB
big()
{
	rm -f "$RUN/ready" "$RUN/end"
	cr_run -- /usr/bin/python3 "$RUN/big.py" "$1" "$RUN/ready" "$RUN/end" >"$RUN/job.out" 2>&1 </dev/null &
	JOB=$!
	STARTED+=("$JOB")
	for ((i = 0; i < 1200; i++)); do [ -e "$RUN/ready" ] && return 0 || nap 50; done
	say_file "$RUN/job.out"
	return 1
}
end() { : >"$RUN/end"; wait "$JOB"; }
ms() { sed -n 's/.*"dump_ns": \([0-9]*\)[0-9]\{6\}}.*/\1/p' "$RUN/out"; }

# A bar begins after a tenth of a second: as much memory as this machine needs two of them and a half for
for mib in 96 384 1536; do
	big $mib || { not_ok "a program with $mib MiB"; done_testing; }
	on_tty cr_checkpoint --json -f "$RUN/context" "$JOB"
	rc=$? took=$(ms)
	say "$mib MiB: ${took:-?} ms"
	[ "${took:-250}" -lt 250 ] || break
	end
done
check "cr_checkpoint: a bar with rate and remaining time" [ $rc = 0 ]
check "it shows what is written, and is gone in the end" all "bar dump" gone coloured
check "the result is on standard output, alone" /usr/bin/python3 -m json.tool "$RUN/out" "$RUN/json"
NO_COLOR=1 seen dump cr_checkpoint -f "$RUN/context" "$JOB"
check "NO_COLOR: no colour" all "bar dump" gone "! coloured"
on_tty cr_checkpoint -q -f "$RUN/context" "$JOB"
check "--quiet: no bar" all no_bar "! test -s $RUN/out"
TERM=dumb on_tty cr_checkpoint -f "$RUN/context" "$JOB"
check "a dumb terminal: no bar" no_bar
cr_checkpoint -f "$RUN/context" "$JOB" >"$RUN/out" 2>"$RUN/tty"
check "no terminal: not a byte on standard error" [ ! -s "$RUN/tty" ]
seen dump cr_checkpoint --tree --stopped -f "$RUN/context" "$JOB"
check "--tree: a bar for the parts" all "bar dump" gone
seen copy sh -c 'exec 5>"$1"; exec cr_checkpoint -F 5 "$2"' - "$RUN/copy" "$JOB"
check "--fd: a bar for the copy" all "bar copy" gone
on_tty cr_checkpoint -v -f "$RUN/context" "$JOB"
tr -d '\r' <"$RUN/tty" | sed "s/.*$escape\[K//" >"$RUN/words"
check "--verbose: each of its lines is whole" [ "$(grep -c '^cr_checkpoint: step [1-6] of 6 done$' "$RUN/words")" = 6 ]
end

# The same storage, slow: 32 MiB a second
cat >"$RUN/slow.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
ssize_t pread(int fd, void *to, size_t bytes, off_t at)
{
	ssize_t (*real)(int, void *, size_t, off_t) = (ssize_t (*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");

	if (bytes >= 65536)
		usleep((useconds_t)(bytes / 32));
	return real(fd, to, bytes, at);
}
ssize_t pread64(int fd, void *to, size_t bytes, off_t at) __attribute__((alias("pread")));
END
${CC:-cc} -shared -fPIC -o "$RUN/slow.so" "$RUN/slow.c" || { not_ok "a slow storage"; done_testing; }
big 64 && cr_checkpoint --kill -f "$RUN/context" "$JOB" >"$RUN/out" 2>"$RUN/tty"
check "saved" [ $? = 0 ]
wait "$JOB" 2>/dev/null
slow() { on_tty env LD_PRELOAD="$RUN/slow.so" "$@"; }
slow cr_restart --check "$RUN/context"
check "cr_restart --check: a bar for the pages, and the result" all "bar verify" gone coloured "grep -q 'can be restarted here' $RUN/out"
NO_COLOR=1 slow cr_restart --check "$RUN/context"
check "NO_COLOR: no colour" all "bar verify" "! coloured"
slow cr_restart --check --quiet "$RUN/context"
check "--quiet: no bar" no_bar
: >"$RUN/end"
slow cr_restart "$RUN/context"
check "a restart: the program ends as it should" [ $? = 0 ]
check "with a bar for the check" all "bar verify" gone
done_testing
