/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions to the machine: what ompi-cr needs, whether it is there, and what to do when it is not. Nothing is changed by asking. */
#ifndef INFO_PROBE_H
#define INFO_PROBE_H

#include <limits.h>
#include <stdbool.h>

struct snapc_settings;

#define INFO_PROBES_MOST 32

struct info_probe {
	const char *name;
	bool needed; /* without it nothing works */
	bool good;
	char found[PATH_MAX + 256];
	const char *remedy;
};

/* @probes: INFO_PROBES_MOST. Return: how many. */
int info_probe(const struct snapc_settings *settings, struct info_probe *probes);

#endif
