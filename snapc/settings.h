/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings and where they come from.  The first of these that has one decides:
 *	mpirun's command line (-mca ompi_cr_<name> VALUE), OMPI_MCA_ompi_cr_<name>, OMPI_CR_<NAME>,
 *	the user's file ($XDG_CONFIG_HOME or ~/.config)/ompi-cr/ompi-cr.conf, the system's file (<sysconfdir>/ompi-cr/ompi-cr.conf, or
 *	$OMPI_CR_SYSTEM_CONFIG), the default.
 * A file has lines "name = value"; '#' begins a comment.  A name that is not known, or a value that is not allowed, is an error that is told with its
 * place, wherever it stands: a mistyped setting must not pass for one that works.
 */
#ifndef SNAPC_SETTINGS_H
#define SNAPC_SETTINGS_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "libcr/cr_err.h"

#define SNAPC_SYSTEM_CONFIG_ENV "OMPI_CR_SYSTEM_CONFIG"
#define SNAPC_SETTING_BYTES 1024

enum snapc_setting_id {
#define SETTING(id, name, value, kind, least, most, words) SNAPC_SETTING_##id,
#include "snapc/settings.def"
#undef SETTING
	SNAPC_SETTINGS
};

enum snapc_origin {
	SNAPC_FROM_DEFAULT,
	SNAPC_FROM_SYSTEM,
	SNAPC_FROM_USER,
	SNAPC_FROM_ENVIRONMENT,
};

struct snapc_setting {
	const char *name;
	const char *words;
	enum snapc_origin origin;
	char where[PATH_MAX + 32]; /* "/etc/ompi-cr/ompi-cr.conf:3", "OMPI_CR_KEEP"; "" for a default */
	char value[SNAPC_SETTING_BYTES];
};

struct snapc_settings {
	struct snapc_setting all[SNAPC_SETTINGS];
};

/* Read all of them. Return: 0, or -EINVAL, -EACCES, -ENOMEM with words. @ret_settings: free() */
int snapc_settings_load(struct snapc_settings **ret_settings, struct cr_err *err);

/* "default", "system file", "user file", "environment" */
const char *snapc_origin_name(enum snapc_origin origin);

/* "OMPI_CR_KEEP" */
void snapc_setting_env_name(enum snapc_setting_id id, char *ret_name, size_t bytes);

/* What is set, as the environment of programs that read OMPI_CR_<NAME> alone. Return: 0 or -ENOMEM. */
int snapc_settings_export(const struct snapc_settings *settings);

/* Of the environment alone, for programs that were started with one made by snapc_settings_export(); the default when it is not set or wrong. */
int64_t snapc_setting_number(enum snapc_setting_id id);

/* Paths of the two files. */
void snapc_settings_paths(char *ret_user, char *ret_system);

#endif
