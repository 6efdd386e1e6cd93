#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A profiler that wraps every function of mpi.h, preloaded and linked, sees the same calls under cr_run as without it.
top_srcdir=${top_srcdir:-.} top_builddir=${top_builddir:-.}
# shellcheck source=tests/abi/tap.sh
. "$top_srcdir/tests/abi/tap.sh"

var() { sed -n "s/^$1 = //p" "$top_builddir/Makefile"; }
mpirun=$(var MPIRUN) mpicc=$(var MPICC)
[ -x "$mpirun" ] || skip_all "no mpirun"
if ! [ -x "$top_builddir/cr_run" ] || ! [ -r "$top_builddir/crcp/.libs/libmpi.so.40" ]; then skip_all "not built"; fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/upper"
cp "$top_builddir/libcr/upper/.libs/libcr.so" "$top_builddir/crcp/.libs/libmpi.so.40" "$work/upper/" || exit 1
OMPI_CR_UPPER_DIR=$work/upper OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_base_warn_component_unused=0
export OMPI_CR_UPPER_DIR OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_mpi_yield_when_idle OMPI_MCA_btl_base_warn_component_unused
if [ "$(id -u)" = 0 ]; then
	OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
	export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
fi

# From each line of the table a function that counts and calls its PMPI_ twin. An argument's name is the last word before any brackets.
wrappers()
{
	LC_ALL=C awk '
	/^CRCP_CALL\(/ {
		line = $0
		sub(/^CRCP_CALL\([A-Z0-9]+, /, "", line)
		ret = substr(line, 1, index(line, ", ") - 1)
		line = substr(line, length(ret) + 3)
		name = substr(line, 1, index(line, ", ") - 1)
		args = substr(line, length(name) + 3)
		sub(/\)$/, "", args)
		if (name ~ /^MPI_(Address|Errhandler_(create|get|set)|Type_(extent|hindexed|hvector|lb|struct|ub))$/) # removed by MPI 3: mpi.h does not let them be named
			next
		if (name == "MPI_Pcontrol" || name ~ /^MPI_(Finalize|Wtime|Wtick|Init|Init_thread)$/ || args ~ /\(\*/ || args ~ /\.\.\./)
			next
		list = args
		sub(/^\(/, "", list)
		sub(/\)$/, "", list)
		n = split(list, arg, /, */)
		call = ""
		for (i = 1; i <= n; i++) {
			a = arg[i]
			gsub(/\[[^]]*\]/, "", a)
			sub(/^.*[ *]/, "", a)
			call = call (i > 1 ? ", " : "") a
		}
		if (list == "void") call = ""
		printf "%s %s%s { static int calls_; count_(\"%s\", &calls_); return P%s(%s); }\n", ret, name, args, name, name, call
	}' "$top_srcdir/crcp/mpi_calls.def"
}

cat > "$work/profiler.c" <<'END'
#include <mpi.h>
#include <mpi-ext.h>
#include <stdio.h>
static struct { const char *name; int *n; } seen[1024];
static int seens, rank = -1;
static void count_(const char *name, int *n)
{
	if ((*n)++ == 0 && seens < 1024) {
		seen[seens].name = name;
		seen[seens++].n = n;
	}
}
int MPI_Finalize(void)
{
	PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
	for (int i = 0; i < seens && rank == 0; i++)
		printf("calls %s %d\n", seen[i].name, *seen[i].n);
	fflush(stdout);
	return PMPI_Finalize();
}
int MPI_Pcontrol(const int level, ...)
{
	static int calls_;
	count_("MPI_Pcontrol", &calls_);
	return PMPI_Pcontrol(level);
}
END
wrappers >> "$work/profiler.c"
echo "1..5"
"$mpicc" -O1 -w -Wno-deprecated-declarations -shared -fPIC -o "$work/libprofiler.so" "$work/profiler.c" 2> "$work/why"
ok $? "a profiler of every function is built" "$(head -5 "$work/why")"
n=$(grep -c 'static int calls_; count_' "$work/profiler.c")
ok "$(test "$n" -gt 400; echo $?)" "it has $n functions" "$n"

# run OUTPUT COMMAND...: what the profiler counted
run()
{
	out=$1
	shift
	timeout 100 "$mpirun" -np 2 "$@" > "$work/all" 2> "$work/err" || { tail -3 "$work/err" > "$work/$out"; return 1; }
	grep '^calls' "$work/all" > "$work/$out"
}
for name in objects natives; do
	"$mpicc" -O1 -w "$top_srcdir/tests/abi/progs/$name.c" -o "$work/$name" || continue
	run native env LD_PRELOAD="$work/libprofiler.so" "$work/$name" && run ours env LD_PRELOAD="$work/libprofiler.so" "$top_builddir/cr_run" "$work/$name"
	ok "$(test -s "$work/native" && cmp -s "$work/native" "$work/ours"; echo $?)" "$name: preloaded, it counts $(wc -l < "$work/native") functions alike" "$(diff "$work/native" "$work/ours" | head -6)"
done
"$mpicc" -O1 -w "$top_srcdir/tests/abi/progs/objects.c" -o "$work/linked" "-L$work" -Wl,--no-as-needed -lprofiler "-Wl,-rpath,$work"
run native "$work/linked" && run ours "$top_builddir/cr_run" "$work/linked"
ok "$(test -s "$work/native" && cmp -s "$work/native" "$work/ours"; echo $?)" "linked, it counts $(wc -l < "$work/native") functions alike" "$(diff "$work/native" "$work/ours" | head -6)"
finish
