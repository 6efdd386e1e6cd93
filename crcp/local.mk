# SPDX-License-Identifier: GPL-2.0-or-later
# The program's libmpi.so.40: the real one's SONAME and every symbol that it exports. Made in two steps, because what the real library
# exports and nobody here defines is found by comparing the two lists of symbols.

EXTRA_DIST += crcp/abi_gen.awk crcp/mpi_calls.def crcp/mpi_coverage.awk crcp/mpi_coverage.def
noinst_HEADERS += crcp/upper/crcp.h crcp/upper/mem.h crcp/upper/lower_table.h crcp/upper/abi/objects.h crcp/upper/abi/ompi_layout.h \
	crcp/upper/abi/plain.h crcp/upper/abi/attr.h crcp/upper/abi/file.h crcp/upper/abi/win.h crcp/upper/abi/tool.h

crcp_cflags = $(AM_CFLAGS) -fPIC -fvisibility=hidden -fno-stack-protector -ftls-model=initial-exec -mfsgsbase
crcp_cppflags = $(AM_CPPFLAGS) $(OMPI_CFLAGS) -DOMPI_OMIT_MPI1_COMPAT_DECLS=0 -DCRCP_REAL_LIBMPI='"libmpi.so.40"'

noinst_LTLIBRARIES += crcp/libmpi_parts.la
crcp_libmpi_parts_la_SOURCES = \
	crcp/upper/lower_load.c \
	crcp/upper/mem.c \
	crcp/upper/abi/alltoallw.c \
	crcp/upper/abi/attr.c \
	crcp/upper/abi/attr_calls.c \
	crcp/upper/abi/attr_fn.c \
	crcp/upper/abi/comm.c \
	crcp/upper/abi/comm_inter.c \
	crcp/upper/abi/comm_make.c \
	crcp/upper/abi/comm_rebuild.c \
	crcp/upper/abi/datatype.c \
	crcp/upper/abi/entry.c \
	crcp/upper/abi/errhandler.c \
	crcp/upper/abi/datarep.c \
	crcp/upper/abi/file.c \
	crcp/upper/abi/file_recipe.c \
	crcp/upper/abi/file_split.c \
	crcp/upper/abi/fortran.c \
	crcp/upper/abi/grequest.c \
	crcp/upper/abi/group.c \
	crcp/upper/abi/info.c \
	crcp/upper/abi/init.c \
	crcp/upper/abi/internal.c \
	crcp/upper/abi/lock.c \
	crcp/upper/abi/memory.c \
	crcp/upper/abi/op.c \
	crcp/upper/abi/pcoll.c \
	crcp/upper/abi/port.c \
	crcp/upper/abi/predefined.c \
	crcp/upper/abi/tool.c \
	crcp/upper/abi/tool_handles.c \
	crcp/upper/abi/topology.c \
	crcp/upper/abi/type_extent.c crcp/upper/abi/type_make.c \
	crcp/upper/abi/type_rebuild.c \
	crcp/upper/abi/win.c \
	crcp/upper/abi/win_calls.c \
	crcp/upper/abi/win_data.c \
	crcp/upper/abi/win_far.c \
	crcp/upper/abi/win_lock.c \
	crcp/upper/abi/win_make.c \
	crcp/upper/abi/win_mem.c \
	crcp/upper/abi/win_reach.c \
	crcp/upper/abi/win_sync.c \
	$(crcp_p2p_sources)
nodist_crcp_libmpi_parts_la_SOURCES = crcp/plain_gen.c crcp/entries_gen.S
crcp_libmpi_parts_la_CFLAGS = $(crcp_cflags)
crcp_libmpi_parts_la_CPPFLAGS = $(crcp_cppflags)

BUILT_SOURCES += crcp/predefined_gen.h
CLEANFILES += crcp/predefined_gen.h crcp/plain_gen.c crcp/entries_gen.S crcp/stubs_gen.c crcp/real.nm crcp/ours.nm

crcp/real.nm: $(OMPI_LIBMPI)
	@$(MKDIR_P) crcp
	$(AM_V_GEN)$(NM) -D -S --defined-only $(OMPI_LIBMPI) > $@.tmp && mv $@.tmp $@
crcp/predefined_gen.h: crcp/real.nm $(srcdir)/crcp/abi_gen.awk
	$(AM_V_GEN)LC_ALL=C $(AWK) -f $(srcdir)/crcp/abi_gen.awk -v what=predefined crcp/real.nm > $@.tmp && mv $@.tmp $@
crcp/plain_gen.c: $(srcdir)/crcp/mpi_calls.def $(srcdir)/crcp/abi_gen.awk
	@$(MKDIR_P) crcp
	$(AM_V_GEN)LC_ALL=C $(AWK) -f $(srcdir)/crcp/abi_gen.awk -v what=calls $(srcdir)/crcp/mpi_calls.def > $@.tmp && mv $@.tmp $@
crcp/entries_gen.S: $(srcdir)/crcp/mpi_calls.def $(srcdir)/crcp/abi_gen.awk
	@$(MKDIR_P) crcp
	$(AM_V_GEN)LC_ALL=C $(AWK) -f $(srcdir)/crcp/abi_gen.awk -v what=entries $(srcdir)/crcp/mpi_calls.def > $@.tmp && mv $@.tmp $@
crcp/ours.nm: crcp/libmpi_parts.la
	$(AM_V_GEN)$(NM) -P -g --defined-only crcp/.libs/libmpi_parts.a > $@.tmp && mv $@.tmp $@
crcp/stubs_gen.c: crcp/ours.nm crcp/real.nm $(srcdir)/crcp/abi_gen.awk
	$(AM_V_GEN)LC_ALL=C $(AWK) -f $(srcdir)/crcp/abi_gen.awk -v what=stubs crcp/ours.nm crcp/real.nm > $@.tmp && mv $@.tmp $@

# The page is kept in the repository: tests/abi/coverage.sh tells when it is stale.
.PHONY: mpi-coverage
mpi-coverage:
	cd $(srcdir) && LC_ALL=C $(AWK) -v top=. -f crcp/mpi_coverage.awk crcp/mpi_coverage.def crcp/mpi_calls.def > docs/mpi-coverage.md.tmp && mv docs/mpi-coverage.md.tmp docs/mpi-coverage.md

upper_LTLIBRARIES += crcp/libmpi.la
crcp_libmpi_la_SOURCES =
nodist_crcp_libmpi_la_SOURCES = crcp/stubs_gen.c
crcp_libmpi_la_CFLAGS = -O1 -fPIC -fno-builtin -w
crcp_libmpi_la_LDFLAGS = -shared -version-info 40:0:0 -Wl,-z,now -no-undefined
crcp_libmpi_la_LIBADD = crcp/libmpi_parts.la libcr/upper/libcr.la

TESTS += tests/abi/exports.sh tests/abi/calls.sh tests/abi/programs.sh tests/abi/coverage.sh tests/abi/profile.sh
dist_noinst_SCRIPTS += tests/abi/exports.sh tests/abi/calls.sh tests/abi/programs.sh tests/abi/coverage.sh tests/abi/profile.sh
EXTRA_DIST += tests/abi/tap.sh tests/abi/progs/objects.c tests/abi/progs/natives.c tests/abi/progs/errors.c tests/abi/progs/profiler.c tests/abi/progs/profiled.c tests/abi/progs/fortran_api.f90 tests/abi/progs/fortran_f08.f90 tests/abi/progs/cxx_api.cc

if HAVE_CMOCKA
check_PROGRAMS += tests/abi/test_layer_mem
TESTS += tests/abi/test_layer_mem
tests_abi_test_layer_mem_SOURCES = tests/abi/test_layer_mem.c crcp/upper/mem.c
tests_abi_test_layer_mem_CFLAGS = $(UNIT_CFLAGS)
tests_abi_test_layer_mem_LDADD = $(UNIT_LIBS)
endif
