# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that the integration tests run under ompi-cr. They are ordinary programs, built with ordinary compilers and nothing of ours:
# `make check-progs` builds them below tests/integ/progs of the build directory.

integ = tests/integ/progs
integ_c = $(integ)/plain_basic $(integ)/omp_plain $(integ)/threads $(integ)/blockall $(integ)/timers $(integ)/dlopener $(integ)/altstack $(integ)/over_clock \
	$(integ)/pending $(integ)/vectors $(integ)/descriptors $(integ)/syscalls $(integ)/on_tty $(integ)/socketed $(integ)/storm $(integ)/await $(integ)/edges $(integ)/family $(integ)/ipc_family $(integ)/thread_churn
integ_special = $(integ)/plain_basic_nopie $(integ)/plain_basic_clang $(integ)/cxx_throw $(integ)/fort_plain $(integ)/plugin.so \
	$(integ)/linked_rpath $(integ)/linked_runpath $(integ)/static
integ_mpi_c = $(integ)/mpi_objects $(integ)/mpi_inflight $(integ)/omp_mpi $(integ)/mpi_stress $(integ)/mpi_steady $(integ)/raise_cut $(integ)/mpi_files $(integ)/mpi_rma $(integ)/mpi_dynamic $(integ)/mpi_shared $(integ)/mpi_life $(integ)/mpi_family $(integ)/mpi_idup $(integ)/mpi_graphs tests/bench/mpi_overhead tests/bench/rma_nodes tests/bench/ballast
integ_mpi_f = $(integ)/ring_f08 $(integ)/ring_mpimod $(integ)/ring_mpifh
# Programs that use libcr: linked with -lcr as it was built; cr_run gives them the installed one, by its soname.
parity = tests/blcr-parity/progs
parity_c = $(parity)/seq $(parity)/life $(parity)/phases $(parity)/state $(parity)/nocr $(parity)/dlopen
parity_progs = $(parity_c) $(parity)/testcxx
LIBCR_LINK = -Llibcr/upper/.libs -Wl,-rpath,$(abs_top_builddir)/libcr/upper/.libs -lcr
# The states that integ/mpi checkpoints in: one program of all in tests/integ/mpi
mpi_table_c = $(wildcard $(top_srcdir)/tests/integ/mpi/*.c)
# The calls in which integ/threads_mpi has a thread: one program of all in tests/integ/threads
mpi_threads_c = $(wildcard $(top_srcdir)/tests/integ/threads/*.c)
integ_progs = $(integ)/mpi_table $(integ)/mpi_threads $(parity_progs) $(integ_c) $(integ_special) $(integ_mpi_c) $(integ_mpi_f)

INTEG_CFLAGS = -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra
integ_dir = $(MKDIR_P) $(@D) &&

$(integ_c): %: $(top_srcdir)/%.c $(top_srcdir)/$(integ)/step.h
	$(AM_V_CC)$(integ_dir) $(CC) $(INTEG_CFLAGS) -fopenmp -pthread -o $@ $<
$(parity_c): %: $(top_srcdir)/%.c $(top_srcdir)/$(parity)/parity.h $(top_srcdir)/include/libcr.h libcr/upper/libcr.la
	$(AM_V_CC)$(integ_dir) $(CC) $(INTEG_CFLAGS) -I$(top_srcdir)/include -pthread -rdynamic -o $@ $< $(LIBCR_LINK) -lm
$(parity)/testcxx: $(top_srcdir)/$(parity)/testcxx.cc $(top_srcdir)/include/libcr.h libcr/upper/libcr.la
	$(AM_V_GEN)$(integ_dir) $(CXX) -O2 -g -Wall -Wextra -Wpedantic -I$(top_srcdir)/include -o $@ $< $(LIBCR_LINK)
$(integ)/plain_basic_nopie: $(top_srcdir)/$(integ)/plain_basic.c $(top_srcdir)/$(integ)/step.h
	$(AM_V_CC)$(integ_dir) $(CC) $(INTEG_CFLAGS) -fno-pie -no-pie -o $@ $<
$(integ)/plain_basic_clang: $(top_srcdir)/$(integ)/plain_basic.c $(top_srcdir)/$(integ)/step.h
	$(AM_V_CC)$(integ_dir) $${CLANG:-$(CLANG)} $(INTEG_CFLAGS) -o $@ $< || $(CC) $(INTEG_CFLAGS) -o $@ $<
$(integ)/cxx_throw: $(top_srcdir)/$(integ)/cxx_throw.cc
	$(AM_V_GEN)$(integ_dir) $(CXX) -O2 -g -Wall -Wextra -pthread -o $@ $<
$(integ)/fort_plain: $(top_srcdir)/$(integ)/fort_plain.f90
	$(AM_V_GEN)$(integ_dir) $(FC) -O2 -g -Wall -o $@ $<
$(integ)/plugin.so: $(top_srcdir)/$(integ)/plugin.c
	$(AM_V_CC)$(integ_dir) $(CC) $(INTEG_CFLAGS) -fPIC -shared -o $@ $< && ln -sf plugin.so $(@D)/libplugin.so
$(integ)/linked_rpath: $(top_srcdir)/$(integ)/linked.c $(integ)/plugin.so
	$(AM_V_CC)$(CC) $(INTEG_CFLAGS) -o $@ $< -L$(@D) -lplugin -Wl,--disable-new-dtags '-Wl,-rpath,$$ORIGIN'
$(integ)/linked_runpath: $(top_srcdir)/$(integ)/linked.c $(integ)/plugin.so
	$(AM_V_CC)$(CC) $(INTEG_CFLAGS) -o $@ $< -L$(@D) -lplugin -Wl,--enable-new-dtags '-Wl,-rpath,$$ORIGIN'
$(integ)/static: $(top_srcdir)/$(integ)/static.c
	$(AM_V_CC)$(integ_dir) $(CC) $(INTEG_CFLAGS) -static -o $@ $<
$(integ_mpi_c): %: $(top_srcdir)/%.c
	$(AM_V_CC)$(integ_dir) $(MPICC) $(INTEG_CFLAGS) -fopenmp -I$(top_srcdir)/$(integ) -o $@ $< -lm
$(integ)/mpi_stress: $(top_srcdir)/$(integ)/mpi_stress_parts.h $(top_srcdir)/$(integ)/mpi_stress_more.h
# MPI_UNWEIGHTED is an array of no elements to gcc
$(integ)/mpi_table: $(mpi_table_c) $(top_srcdir)/tests/integ/mpi/table.h $(top_srcdir)/tests/integ/mpi/states.def $(top_srcdir)/$(integ)/step.h
	$(AM_V_CC)$(integ_dir) $(MPICC) $(INTEG_CFLAGS) -Wno-stringop-overflow -Wno-stringop-overread -I$(top_srcdir)/$(integ) -o $@ $(mpi_table_c) -lm
$(integ)/mpi_threads: $(mpi_threads_c) $(top_srcdir)/tests/integ/threads/threads.h $(top_srcdir)/$(integ)/step.h
	$(AM_V_CC)$(integ_dir) $(MPICC) $(INTEG_CFLAGS) -pthread -I$(top_srcdir)/$(integ) -o $@ $(mpi_threads_c) -lm
$(integ)/ring_f08: $(top_srcdir)/$(integ)/ring_f08.f90
	$(AM_V_GEN)$(integ_dir) cd $(@D) && $(MPIFORT) -O2 -g -Wall -o $(@F) $(abs_top_srcdir)/$(integ)/ring_f08.f90
$(integ)/ring_mpimod: $(top_srcdir)/$(integ)/ring_mpimod.f90
	$(AM_V_GEN)$(integ_dir) cd $(@D) && $(MPIFORT) -O2 -g -Wall -o $(@F) $(abs_top_srcdir)/$(integ)/ring_mpimod.f90
$(integ)/ring_mpifh: $(top_srcdir)/$(integ)/ring_mpifh.f
	$(AM_V_GEN)$(integ_dir) cd $(@D) && $(MPIFORT) -O2 -g -w -fallow-argument-mismatch -o $(@F) $(abs_top_srcdir)/$(integ)/ring_mpifh.f

tests/fault/crash_shim.so: $(top_srcdir)/tests/fault/crash_shim.c
	$(AM_V_CC)$(integ_dir) $(CC) $(INTEG_CFLAGS) -fPIC -shared -o $@ $< -ldl

# One program per resource: all that is in tests/resources
resources = $(patsubst $(top_srcdir)/%.c,%,$(wildcard $(top_srcdir)/tests/resources/*.c))
$(resources): %: $(top_srcdir)/%.c $(top_srcdir)/tests/resources/resource.h
	$(AM_V_CC)$(integ_dir) $(CC) $(INTEG_CFLAGS) -pthread -o $@ $< -lrt

.PHONY: check-progs
check-progs: $(integ_progs) $(resources) tests/fault/crash_shim.so

mostlyclean-local:
	rm -f $(integ_progs) $(resources) tests/fault/crash_shim.so $(integ)/libplugin.so $(integ)/*.mod

EXTRA_DIST += quickstart run-tests .ci/run tests/integ tests/blcr-parity tests/lib tests/bench tests/fault tests/resources tests/man tests/docs
