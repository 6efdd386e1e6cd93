# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel module: not part of `make all`. `make kmod` builds it in the build directory, for the headers that configure found or KDIR names.

noinst_HEADERS += include/cr_ioctl.h
kmod_sources = kmod/Kbuild kmod/compat.h kmod/crk.h kmod/main.c kmod/request.c kmod/set.c kmod/stop.c kmod/phase1.c kmod/access.c kmod/pages.c \
	kmod/areas.c kmod/nocr.c
kmod_dkms = kmod/dkms.conf.in kmod/60-crmod.rules
EXTRA_DIST += $(kmod_sources) $(kmod_dkms) tests/kmod

KDIR = $(KMOD_KDIR)
KFLAGS =
.PHONY: kmod check-kmod check-kmod-progs dkms-source
kmod:
	@test -n "$(KDIR)" || { echo "make kmod: no kernel headers (Debian: linux-headers-amd64), or name them: make kmod KDIR=/lib/modules/VERSION/build" >&2; exit 1; }
	@$(MKDIR_P) kmod
	@for f in $(kmod_sources) include/cr_ioctl.h; do \
		cmp -s $(srcdir)/$$f kmod/$${f##*/} || cp $(srcdir)/$$f kmod/ || exit 1; done
	@test "`cat kmod/kdir 2>/dev/null`" = "$(KDIR)" || $(MAKE) -C $(KDIR) M=$(abs_builddir)/kmod clean
	@echo "$(KDIR)" >kmod/kdir
	$(MAKE) -C $(KDIR) M=$(abs_builddir)/kmod $(KFLAGS) modules

# A source tree for `dkms add`.
dkms-source:
	@$(MKDIR_P) kmod/dkms/ompi-cr-$(PACKAGE_VERSION)
	@for f in $(kmod_sources) include/cr_ioctl.h; do cp $(srcdir)/$$f kmod/dkms/ompi-cr-$(PACKAGE_VERSION)/ || exit 1; done
	@$(SED) 's/@VERSION@/$(PACKAGE_VERSION)/' $(srcdir)/kmod/dkms.conf.in >kmod/dkms/ompi-cr-$(PACKAGE_VERSION)/dkms.conf
	@echo "dkms add $(abs_builddir)/kmod/dkms/ompi-cr-$(PACKAGE_VERSION)"

# ---- tests: programs that run in a guest
kmod_progs = tests/kmod/crmod_abi tests/kmod/crmod_stop tests/kmod/crmod_phase1 tests/kmod/crmod_nocr tests/kmod/crmod_stress
kmod_headers = $(top_srcdir)/tests/kmod/crmod.h $(top_srcdir)/tests/kmod/crmod_request.h $(top_srcdir)/include/cr_ioctl.h
KMOD_COMPILE = $(MKDIR_P) $(@D) && $(CC) $(AM_CPPFLAGS) -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN_CFLAGS) -pthread -o $@
$(kmod_progs): %: $(top_srcdir)/%.c $(kmod_headers)
	$(AM_V_CC)$(KMOD_COMPILE) $<
tests/kmod/crmod_pages: $(top_srcdir)/tests/kmod/crmod_pages.c $(kmod_headers) libcr/image/libcr_image.la
	$(AM_V_CC)$(KMOD_COMPILE) $(top_srcdir)/tests/kmod/crmod_pages.c libcr/image/.libs/libcr_image.a $(XXHASH_LIBS)
check-kmod-progs: $(kmod_progs) tests/kmod/crmod_pages cr_inspect tests/unit/test_mem tests/integ/progs/mpi_inflight tests/bench/ballast
check-kmod:
	OMPI_CR_BUILD=$(abs_builddir) $(top_srcdir)/tests/kmod/run.sh $(if $(SERIES),$(SERIES),$(KDIR))

clean-local: kmod-clean
kmod-clean:
	rm -rf kmod/*.o kmod/.*.cmd kmod/*.ko kmod/*.mod kmod/*.mod.c kmod/modules.order kmod/Module.symvers kmod/dkms $(kmod_progs) tests/kmod/crmod_pages
