#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that use every kind of MPI object, in C, Fortran and C++, do under cr_run what they do without it.
top_srcdir=${top_srcdir:-.} top_builddir=${top_builddir:-.}
# shellcheck source=tests/abi/tap.sh
. "$top_srcdir/tests/abi/tap.sh"

progs=$top_srcdir/tests/abi/progs
var() { sed -n "s/^$1 = //p" "$top_builddir/Makefile"; }
mpirun=$(var MPIRUN)
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

# both NAME: run it natively and under cr_run on 1, 2 and 3 ranks; the last lines of rank 0 must be the same
both()
{
	for n in 1 2 3; do
		timeout 60 "$mpirun" -np $n "$work/$1" > "$work/native" 2> "$work/native.err"
		native=$?
		timeout 60 "$mpirun" -np $n "$top_builddir/cr_run" "$work/$1" > "$work/ours" 2> "$work/ours.err"
		ours=$?
		grep '^ok' "$work/native" > "$work/native.ok"
		grep '^ok' "$work/ours" > "$work/ours.ok"
		if [ $native -ne 0 ]; then
			ok $native "$1 on $n ranks runs natively" "$(tail -5 "$work/native" "$work/native.err")"
		else
			ok "$(test $ours -eq 0 && cmp -s "$work/native.ok" "$work/ours.ok"; echo $?)" "$1 on $n ranks is the same under cr_run" "status $ours; $(diff "$work/native.ok" "$work/ours.ok" | head -5; tail -5 "$work/ours.err")"
		fi
	done
}

# build NAME COMPILER FILE [OPTION]...
build()
{
	compiler=$(var "$2")
	name=$1 file=$progs/$3
	shift 3
	if [ -z "$compiler" ] || ! "$compiler" -O1 -w "$file" -o "$work/$name" "$@" 2> "$work/$name.log"; then
		for n in 1 2 3; do
			tap_n=$((tap_n + 1))
			echo "ok $tap_n - $name on $n ranks # SKIP cannot be compiled: $(head -1 "$work/$name.log" 2>/dev/null)"
		done
		return 1
	fi
}

echo 1..21
build objects MPICC objects.c && both objects
build errors MPICC errors.c && both errors
build natives MPICC natives.c && both natives
build libprofiler.so MPICC profiler.c -shared -fPIC && build profiled MPICC profiled.c "-L$work" -lprofiler "-Wl,-rpath,$work" && both profiled
build fortran_api MPIFORT fortran_api.f90 -fallow-argument-mismatch "-J$work" && both fortran_api
build fortran_f08 MPIFORT fortran_f08.f90 "-J$work" && both fortran_f08
build cxx_api MPICXX cxx_api.cc && both cxx_api
finish
