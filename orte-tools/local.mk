# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-restart and ompi-snapshot, the component that mpirun loads, the AMCA parameter set. ompi-checkpoint: see snapc/local.mk.

mca_LTLIBRARIES += orte-tools/mca/mca_schizo_ompicr.la
orte_tools_mca_mca_schizo_ompicr_la_SOURCES = orte-tools/mca/schizo_ompicr.h orte-tools/mca/schizo_ompicr.c \
	orte-tools/mca/schizo_ompicr_amca.c orte-tools/mca/schizo_ompicr_coord.c snapc/settings.h snapc/settings.c
orte_tools_mca_mca_schizo_ompicr_la_CPPFLAGS = $(AM_CPPFLAGS) $(OMPI_MCA_CFLAGS) -DCR_SNAPCD='"$(pkglibexecdir)/snapcd"'
orte_tools_mca_mca_schizo_ompicr_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden
orte_tools_mca_mca_schizo_ompicr_la_LDFLAGS = -module -avoid-version -shared

dist_amca_DATA += orte-tools/amca/ft-enable-cr

noinst_LTLIBRARIES += orte-tools/libtools.la
orte_tools_libtools_la_SOURCES = orte-tools/tool_ref.h orte-tools/tool_ref.c orte-tools/tool_json.h orte-tools/tool_json.c \
	orte-tools/tool_verify.h orte-tools/tool_verify.c
orte_tools_libtools_la_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_libtools_la_LIBADD = snapc/libsnapshot.la libcr/image/libcr_image.la

bin_PROGRAMS += orte-tools/ompi-restart orte-tools/ompi-snapshot
orte_tools_ompi_restart_SOURCES = orte-tools/ompi-restart.c orte-tools/restart_check.h orte-tools/restart_check.c orte-tools/restart_command.h orte-tools/restart_command.c \
	orte-tools/restart_info.h orte-tools/restart_info.c orte-tools/restart_progress.h orte-tools/restart_progress.c \
	orte-tools/tool_job.h orte-tools/tool_job.c orte-tools/sched/srun_line.h orte-tools/sched/srun_line.c
orte_tools_ompi_restart_CPPFLAGS = $(AM_CPPFLAGS) -DCR_MCADIR='"$(mcadir)"' -DCR_AMCADIR='"$(amcadir)"'
orte_tools_ompi_restart_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_ompi_restart_LDADD = orte-tools/libtools.la snapc/libsnapc.la

orte_tools_ompi_snapshot_SOURCES = orte-tools/ompi-snapshot.c orte-tools/snapshot_print.h orte-tools/snapshot_list.c \
	orte-tools/snapshot_show.c orte-tools/snapshot_prune.h orte-tools/snapshot_prune.c orte-tools/restart_info.h orte-tools/restart_info.c \
	orte-tools/snapshot_transfer.h orte-tools/snapshot_export.c orte-tools/snapshot_import.c \
	orte-tools/snapshot_manifest.h orte-tools/snapshot_manifest.c orte-tools/snapshot_report.h orte-tools/snapshot_report.c \
	orte-tools/report_html.h orte-tools/report_html.c orte-tools/report_timeline.c
orte_tools_ompi_snapshot_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS) $(ARCHIVE_CFLAGS)
orte_tools_ompi_snapshot_LDADD = orte-tools/libtools.la $(ARCHIVE_LIBS)

bin_PROGRAMS += orte-tools/ompi-cr-info
orte_tools_ompi_cr_info_SOURCES = orte-tools/ompi-cr-info.c orte-tools/info_probe.h orte-tools/info_probe.c \
	orte-tools/info_machine.h orte-tools/info_machine.c libcr/lower/engine.h libcr/lower/engine.c libcr/lower/engine_kmod.c
orte_tools_ompi_cr_info_CPPFLAGS = $(AM_CPPFLAGS) -DCR_MCADIR='"$(mcadir)"' -DCR_AMCADIR='"$(amcadir)"' -DCR_OMPI_VERSION='"$(OMPI_VERSION)"' \
	-DCR_OMPI_COMPONENTDIR='"$(OMPI_LIBDIR)/openmpi3"'
orte_tools_ompi_cr_info_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_ompi_cr_info_LDADD = orte-tools/libtools.la snapc/libsnapc.la
TESTS += tests/unit/test_settings.sh
EXTRA_DIST += tests/unit/test_settings.sh

check_PROGRAMS += tests/unit/make_snapshot
tests_unit_make_snapshot_SOURCES = tests/unit/make_snapshot.c
tests_unit_make_snapshot_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_make_snapshot_LDADD = snapc/libsnapshot.la libcr/image/libcr_image.la

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_damage
TESTS += tests/unit/test_damage
tests_unit_test_damage_SOURCES = tests/unit/test_damage.c
tests_unit_test_damage_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_damage_LDADD = orte-tools/libtools.la $(UNIT_LIBS)
endif

TESTS += tests/unit/test_snapshot_tools.sh tests/unit/test_snapshot_mpirun.sh tests/unit/test_snapshot_transfer.sh tests/unit/test_snapshot_report.sh tests/unit/test_progress.sh
EXTRA_DIST += tests/unit/test_snapshot_tools.sh tests/unit/test_snapshot_mpirun.sh tests/unit/test_snapshot_transfer.sh tests/unit/test_snapshot_report.sh tests/unit/test_progress.sh

# ---- how a prefix of its own is made known to mpirun: a command for shells, a file for environment modules
bin_SCRIPTS += orte-tools/env/ompi-cr-env
modulefilesdir = $(datadir)/modulefiles
modulefiles_DATA = orte-tools/env/ompi-cr
CLEANFILES += orte-tools/env/ompi-cr-env orte-tools/env/ompi-cr
EXTRA_DIST += orte-tools/env/ompi-cr-env.in orte-tools/env/modulefile.in
bashcompdir = $(datadir)/bash-completion/completions
dist_bashcomp_DATA = orte-tools/completion/ompi-cr
# bash looks for a file by the name of the command
completed = ompi-checkpoint ompi-restart ompi-snapshot ompi-cr-info ompi-cr-env ompi-cr-batch ompi-cr-srun ompi-cr-hook cr_checkpoint cr_restart cr_inspect cr_run
install-data-hook:
	cd $(DESTDIR)$(bashcompdir) && for c in $(completed); do $(LN_S) -f ompi-cr $$c; done
uninstall-hook:
	cd $(DESTDIR)$(bashcompdir) 2>/dev/null && rm -f $(completed)

# ---- for administrators: the unit that saves jobs at a shutdown, users' units and rules for the coordinators' logs
systemdsystemdir = $(prefix)/lib/systemd/system
systemduserdir = $(prefix)/lib/systemd/user
systemdsystem_DATA = orte-tools/site/ompi-cr.service
systemduser_DATA = orte-tools/site/ompi-cr-logs.service
dist_systemduser_DATA = orte-tools/site/ompi-cr-logs.timer
dist_pkgdata_DATA = orte-tools/site/logrotate.conf
CLEANFILES += orte-tools/site/ompi-cr.service orte-tools/site/ompi-cr-logs.service
EXTRA_DIST += orte-tools/site/ompi-cr.service.in orte-tools/site/ompi-cr-logs.service.in
site_edit = @$(MKDIR_P) orte-tools/site && $(SED) -e 's|@bindir[@]|$(bindir)|g' -e 's|@pkgdatadir[@]|$(pkgdatadir)|g' \
	-e 's|@systemdsystemdir[@]|$(systemdsystemdir)|g'
orte-tools/site/ompi-cr.service: $(srcdir)/orte-tools/site/ompi-cr.service.in Makefile
	$(site_edit) $(srcdir)/orte-tools/site/ompi-cr.service.in >$@.tmp && mv -f $@.tmp $@
orte-tools/site/ompi-cr-logs.service: $(srcdir)/orte-tools/site/ompi-cr-logs.service.in Makefile
	$(site_edit) $(srcdir)/orte-tools/site/ompi-cr-logs.service.in >$@.tmp && mv -f $@.tmp $@

env_edit = @$(MKDIR_P) orte-tools/env && ompi_data=`ompi_info --parsable --path pkgdatadir 2>/dev/null | sed -n 's/^path:pkgdatadir://p'` && \
	$(SED) -e 's|@bindir[@]|$(bindir)|g' -e 's|@mcadir[@]|$(mcadir)|g' -e 's|@amcadir[@]|$(amcadir)|g' -e 's|@mandir[@]|$(mandir)|g' \
	-e 's|@VERSION[@]|$(PACKAGE_VERSION)|g' -e "s|@system_amcadir[@]|$${ompi_data:-/usr/share/openmpi}/amca-param-sets|g"
orte-tools/env/ompi-cr-env: $(srcdir)/orte-tools/env/ompi-cr-env.in Makefile
	$(env_edit) $(srcdir)/orte-tools/env/ompi-cr-env.in >$@.tmp && chmod +x $@.tmp && mv -f $@.tmp $@
orte-tools/env/ompi-cr: $(srcdir)/orte-tools/env/modulefile.in Makefile
	$(env_edit) $(srcdir)/orte-tools/env/modulefile.in >$@.tmp && mv -f $@.tmp $@
