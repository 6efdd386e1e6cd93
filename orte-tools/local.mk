# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-restart and ompi-snapshot, the component that mpirun loads, the AMCA parameter set. ompi-checkpoint: see snapc/local.mk.

mca_LTLIBRARIES += orte-tools/mca/mca_schizo_ompicr.la
orte_tools_mca_mca_schizo_ompicr_la_SOURCES = orte-tools/mca/schizo_ompicr.h orte-tools/mca/schizo_ompicr.c \
	orte-tools/mca/schizo_ompicr_amca.c orte-tools/mca/schizo_ompicr_coord.c
orte_tools_mca_mca_schizo_ompicr_la_CPPFLAGS = $(AM_CPPFLAGS) $(OMPI_MCA_CFLAGS) -DCR_SNAPCD='"$(pkglibexecdir)/snapcd"'
orte_tools_mca_mca_schizo_ompicr_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden
orte_tools_mca_mca_schizo_ompicr_la_LDFLAGS = -module -avoid-version -shared

dist_amca_DATA += orte-tools/amca/ft-enable-cr
