/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapcd's command line, as its component writes it. All texts are borrowed from argv. */
#ifndef SNAPC_SNAPCD_OPTIONS_H
#define SNAPC_SNAPCD_OPTIONS_H

#include <stdbool.h>

#include "snapc/global.h"

struct snapcd_options {
	struct snapc_global_settings settings;
	const char *agent_socket;
	const char *log_file; /* or NULL */
	bool node;            /* the local role alone */
	bool again;           /* in the place of one of which no process is left */
	const char *auth;
	const char *network;  /* or NULL */
	unsigned port;
};

/* Return: 0; 1: printed what was asked for; -EINVAL: said why. */
int snapcd_options_parse(struct snapcd_options *o, int argc, char **argv);

#endif
