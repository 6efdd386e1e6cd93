# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What ./quickstart and ./run-tests share: install missing Debian packages, build in _build, install into _install. Sourced from the top directory;
# expects $TOP. OMPI_CR_BUILD and OMPI_CR_PREFIX choose other directories.

BUILD=${OMPI_CR_BUILD:-$TOP/_build}
PREFIX=${OMPI_CR_PREFIX:-$TOP/_install}

BUILD_PACKAGES="build-essential autoconf automake libtool pkg-config libopenmpi-dev openmpi-bin libhwloc-dev libevent-dev
	libhdf5-dev libxxhash-dev libmunge-dev nettle-dev libslurm-dev libarchive-dev"
RUN_PACKAGES="lammps procps"
TEST_PACKAGES="slurmctld slurmd slurm-client munge groff-base libcmocka-dev gfortran clang hpcc netpipe-openmpi libclang-rt-14-dev python3 python3-mpi4py python3-h5py-mpi hdf5-tools util-linux bsdutils
	iproute2 chromium logrotate zsh ruby gnuplot-nox lua5.4 tcl gawk sqlite3 openssl perl
	redis-server nginx-light curl r-base-core"
# One test each; that of a package which cannot be installed here is skipped
OPTIONAL_PACKAGES="quantum-espresso gridengine-master gridengine-exec gridengine-client"

die() { echo "$0: $*" >&2; exit 1; }

# need_packages NAME...: by apt-get when some are missing; an ordinary user without sudo gets the command for the administrator
need_packages()
{
	missing=
	command -v dpkg-query >/dev/null || { echo "Not a Debian system: the packages named in docs/dependencies.md are taken as installed." >&2; return 0; }
	for p in "$@"; do
		case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
		"install ok installed") ;;
		*) missing="$missing $p" ;;
		esac
	done
	[ -z "$missing" ] && return 0
	if [ "$(id -u)" = 0 ]; then
		as_root=
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root="sudo -n"
	elif command -v sudo >/dev/null && [ -t 0 ] && sudo -v; then
		as_root=sudo
	else
		die "these Debian packages are missing:$missing
Ask the administrator of this machine to run
    apt-get install -y --no-install-recommends$missing
and start $0 again."
	fi
	echo "Installing with apt:$missing"
	log=$(mktemp)
	# shellcheck disable=SC2086
	if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
		tail -20 "$log" >&2
		die "apt-get failed (all of its output: $log)"
	fi
	rm -f "$log"
}

# One number for the sources: nothing is built twice for the same one
source_stamp()
{
	(cd "$TOP" && find configure.ac Makefile.am include libcr crcp snapc orte-tools docs kmod tests/unit tests/fuzz tests/abi examples \
		tests/local.mk -type f ! -name '*.o' ! -name '*~' -print 2>/dev/null | LC_ALL=C sort | xargs cat 2>/dev/null | cksum)
}

# build_and_install [CONFIGURE-OPTION...]
build_and_install()
{
	stamp="$(source_stamp) $* $PREFIX"
	[ "$(cat "$BUILD/stamp" 2>/dev/null)" = "$stamp" ] && [ -d "$PREFIX" ] && return 0
	mkdir -p "$BUILD" "$PREFIX" 2>/dev/null && [ -w "$BUILD" ] && [ -w "$PREFIX" ] ||
		die "cannot write $BUILD or $PREFIX: use a clone of your own, or set OMPI_CR_BUILD and OMPI_CR_PREFIX to directories of yours"
	rm -f "$BUILD/stamp"
	log=$BUILD/build.log
	jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
	if [ ! -x "$TOP/configure" ] || [ -n "$(find "$TOP/configure.ac" "$TOP/Makefile.am" "$TOP"/*/*.mk "$TOP"/*/*/*.mk -newer "$TOP/configure" 2>/dev/null)" ]; then
		[ -w "$TOP" ] || die "cannot write $TOP: use a clone of your own"
		(cd "$TOP" && autoreconf -fi) >"$log" 2>&1 || { tail -30 "$log" >&2; die "autoreconf failed ($log)"; }
		rm -f "$BUILD/Makefile"
	fi
	{ [ -f "$BUILD/Makefile" ] && [ "$(cat "$BUILD/options" 2>/dev/null)" = "$* $PREFIX" ]; } || {
		(cd "$BUILD" && "$TOP/configure" --prefix="$PREFIX" "$@") >"$log" 2>&1 || { tail -30 "$log" >&2; die "configure failed ($log)"; }
		echo "$* $PREFIX" >"$BUILD/options"
	}
	(cd "$BUILD" && make -j"$jobs" && make install) >"$log" 2>&1 || { grep -n -E 'error|Error' "$log" | tail -20 >&2; die "the build failed ($log)"; }
	echo "$stamp" >"$BUILD/stamp"
}

# Make the installed ompi-cr found, as docs/install.md says for a private prefix
use_prefix()
{
	PATH=$PREFIX/bin:$PATH
	OMPI_MCA_mca_base_component_path=$PREFIX/lib/openmpi:SYSTEM_DEFAULT:USER_DEFAULT
	OMPI_MCA_mca_base_param_file_path=$PREFIX/share/openmpi/amca-param-sets:/usr/share/openmpi/amca-param-sets
	export PATH OMPI_MCA_mca_base_component_path OMPI_MCA_mca_base_param_file_path
	if [ "$(id -u)" = 0 ]; then
		OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
		export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
	fi
}
