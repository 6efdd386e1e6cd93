# SPDX-License-Identifier: GPL-2.0-or-later
# Batch schedulers: jobs that come back by themselves, ranks that srun starts.

bin_PROGRAMS += orte-tools/sched/ompi-cr-batch
orte_tools_sched_ompi_cr_batch_SOURCES = orte-tools/sched/batch.h orte-tools/sched/batch_env.h orte-tools/sched/ompi-cr-batch.c orte-tools/sched/batch_run.c \
	orte-tools/sched/batch_place.c orte-tools/sched/batch_scheduler.c orte-tools/sched/batch_shell.c
orte_tools_sched_ompi_cr_batch_CPPFLAGS = $(AM_CPPFLAGS) -DCR_MCADIR='"$(mcadir)"' -DCR_AMCADIR='"$(amcadir)"'
orte_tools_sched_ompi_cr_batch_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_sched_ompi_cr_batch_LDADD = orte-tools/libtools.la

# The coordinator is started as mpirun's component starts it.
bin_PROGRAMS += orte-tools/sched/ompi-cr-srun
orte_tools_sched_ompi_cr_srun_SOURCES = orte-tools/sched/ompi-cr-srun.c orte-tools/sched/srun_line.h orte-tools/sched/srun_line.c \
	orte-tools/sched/srun_options.def orte-tools/mca/schizo_ompicr.h orte-tools/mca/schizo_ompicr_coord.c
orte_tools_sched_ompi_cr_srun_CPPFLAGS = $(AM_CPPFLAGS) -DCR_SNAPCD='"$(pkglibexecdir)/snapcd"' -DCR_OMPI_VERSION='"$(OMPI_VERSION)"'
orte_tools_sched_ompi_cr_srun_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_sched_ompi_cr_srun_LDADD = snapc/libsnapc.la

pkglibexec_PROGRAMS += orte-tools/sched/ompi-cr-task
orte_tools_sched_ompi_cr_task_SOURCES = orte-tools/sched/ompi-cr-task.c orte-tools/mca/schizo_ompicr.h orte-tools/mca/schizo_ompicr_coord.c
orte_tools_sched_ompi_cr_task_CPPFLAGS = $(AM_CPPFLAGS) -DCR_SNAPCD='"$(pkglibexecdir)/snapcd"'
orte_tools_sched_ompi_cr_task_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_sched_ompi_cr_task_LDADD = snapc/libsnapc.la

# For slurmd, sbatch and srun, by a line in plugstack.conf.
if HAVE_SPANK
pkglib_LTLIBRARIES += orte-tools/sched/spank_ompicr.la
orte_tools_sched_spank_ompicr_la_SOURCES = orte-tools/sched/spank_ompicr.c orte-tools/sched/batch_env.h
orte_tools_sched_spank_ompicr_la_CPPFLAGS = $(AM_CPPFLAGS) -DCR_MCADIR='"$(mcadir)"'
orte_tools_sched_spank_ompicr_la_CFLAGS = $(AM_CFLAGS)
orte_tools_sched_spank_ompicr_la_LDFLAGS = -module -avoid-version -shared
endif

# What the other schedulers call.
bin_PROGRAMS += orte-tools/sched/ompi-cr-hook
orte_tools_sched_ompi_cr_hook_SOURCES = orte-tools/sched/ompi-cr-hook.c orte-tools/sched/hook.h orte-tools/sched/hooks.def \
	orte-tools/sched/hook_identity.c orte-tools/sched/hook_process.c orte-tools/sched/hook_job.c orte-tools/sched/hook_place.c \
	orte-tools/sched/hook_reference.c orte-tools/sched/hook_save.c orte-tools/sched/hook_words.c
orte_tools_sched_ompi_cr_hook_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_sched_ompi_cr_hook_LDADD = snapc/libsnapc.la
