/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings from the environment and two files. */
#include "snapc/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

#define MCA_PREFIX "OMPI_MCA_ompi_cr_"

enum setting_kind { TEXT, NUMBER };

static const struct setting_row {
	const char *name;
	const char *value;
	enum setting_kind kind;
	int64_t least;
	int64_t most;
	const char *words;
} setting_rows[SNAPC_SETTINGS] = {
#define SETTING(id, name, value, kind, least, most, words) { name, value, kind, least, most, words },
#include "snapc/settings.def"
#undef SETTING
};

/* Parameters of the component that are no settings of a job. */
static const char *const other_parameters[] = { "enable", "run", "snapcd" };

static int setting_find(const char *name)
{
	for (int i = 0; i < SNAPC_SETTINGS; i++)
		if (!strcmp(setting_rows[i].name, name))
			return i;
	return -1;
}

void snapc_setting_env_name(enum snapc_setting_id id, char *ret_name, size_t bytes)
{
	int n = snprintf(ret_name, bytes, "OMPI_CR_%s", setting_rows[id].name);

	for (int i = 0; i < n; i++)
		ret_name[i] = (char)toupper((unsigned char)ret_name[i]);
}

static bool setting_allowed(int id, const char *value)
{
	const struct setting_row *row = &setting_rows[id];
	char *end;
	long long number;

	if (row->kind == TEXT)
		return strlen(value) < SNAPC_SETTING_BYTES;
	errno = 0;
	number = strtoll(value, &end, 10);
	return *value && !*end && !errno && number >= row->least && number <= row->most;
}

static int setting_take(struct snapc_settings *s, int id, const char *value, enum snapc_origin origin, const char *where, struct cr_err *err)
{
	const struct setting_row *row = &setting_rows[id];

	if (!setting_allowed(id, value)) {
		if (row->kind == NUMBER)
			return cr_err_set(err, EINVAL, "%s: %s = %s: a whole number from %lld to %lld is needed", where, row->name, value,
					  (long long)row->least, (long long)row->most);
		return cr_err_set(err, EINVAL, "%s: %s: the value is too long", where, row->name);
	}
	s->all[id].origin = origin;
	snprintf(s->all[id].where, sizeof(s->all[id].where), "%s", where);
	snprintf(s->all[id].value, sizeof(s->all[id].value), "%s", value);
	return 0;
}

static char *settings_trim(char *text)
{
	size_t n;

	text += strspn(text, " \t");
	n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		text[--n] = 0;
	return text;
}

static int settings_line(struct snapc_settings *s, char *line, enum snapc_origin origin, const char *where, struct cr_err *err)
{
	char *name = settings_trim(line), *value;
	int id;

	if (!*name || *name == '#')
		return 0;
	value = strchr(name, '=');
	if (!value)
		return cr_err_set(err, EINVAL, "%s: not of the form \"name = value\"", where);
	*value++ = 0;
	name = settings_trim(name);
	id = setting_find(name);
	if (id < 0)
		return cr_err_set(err, EINVAL, "%s: there is no setting \"%s\"; `ompi-cr-info` lists them", where, name);
	return setting_take(s, id, settings_trim(value), origin, where, err);
}

static int settings_file(struct snapc_settings *s, const char *path, enum snapc_origin origin, struct cr_err *err)
{
	char where[PATH_MAX + 32], *line = NULL;
	size_t room = 0;
	int number = 0, rc = 0;
	FILE *file;

	if (!*path)
		return 0;
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT || errno == ENOTDIR ? 0 : cr_err_set(err, errno, "%s: cannot be read: %s", path, strerror(errno));
	while (rc == 0 && getline(&line, &room, file) > 0) {
		snprintf(where, sizeof(where), "%s:%d", path, ++number);
		rc = settings_line(s, line, origin, where, err);
	}
	if (rc == 0 && ferror(file))
		rc = cr_err_set(err, EIO, "%s: cannot be read", path);
	free(line);
	fclose(file);
	return rc;
}

static int settings_environment(struct snapc_settings *s, struct cr_err *err)
{
	char name[128];
	const char *value;
	int rc = 0;

	for (int i = 0; i < SNAPC_SETTINGS && rc == 0; i++) {
		snapc_setting_env_name((enum snapc_setting_id)i, name, sizeof(name));
		value = getenv(name);
		if (value && *value)
			rc = setting_take(s, i, value, SNAPC_FROM_ENVIRONMENT, name, err);
		snprintf(name, sizeof(name), MCA_PREFIX "%s", setting_rows[i].name);
		value = getenv(name);
		if (value && *value && rc == 0)
			rc = setting_take(s, i, value, SNAPC_FROM_ENVIRONMENT, name, err);
	}
	return rc;
}

/* mpirun takes any parameter without a word. */
static int settings_strangers(struct cr_err *err)
{
	for (char **e = environ; e && *e; e++) {
		char name[128];
		bool known = false;

		if (strncmp(*e, MCA_PREFIX, sizeof(MCA_PREFIX) - 1) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*e + sizeof(MCA_PREFIX) - 1, "="), *e + sizeof(MCA_PREFIX) - 1);
		for (size_t i = 0; i < sizeof(other_parameters) / sizeof(other_parameters[0]); i++)
			known = known || !strcmp(name, other_parameters[i]);
		if (!known && setting_find(name) < 0)
			return cr_err_set(err, EINVAL, "there is no parameter ompi_cr_%s; `ompi-cr-info` lists them", name);
	}
	return 0;
}

void snapc_settings_paths(char *ret_user, char *ret_system)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME"), *system = getenv(SNAPC_SYSTEM_CONFIG_ENV);

	ret_user[0] = 0;
	if (config && config[0] == '/')
		snprintf(ret_user, PATH_MAX, "%s/ompi-cr/ompi-cr.conf", config);
	else if (home && home[0] == '/')
		snprintf(ret_user, PATH_MAX, "%s/.config/ompi-cr/ompi-cr.conf", home);
	snprintf(ret_system, PATH_MAX, "%s", system && *system ? system : CR_SYSCONFDIR "/ompi-cr/ompi-cr.conf");
}

int snapc_settings_load(struct snapc_settings **ret_settings, struct cr_err *err)
{
	struct snapc_settings *s = calloc(1, sizeof(*s));
	char user[PATH_MAX], system[PATH_MAX];
	int rc;

	if (!s)
		return cr_err_set(err, ENOMEM, "no memory for the settings");
	for (int i = 0; i < SNAPC_SETTINGS; i++) {
		s->all[i].name = setting_rows[i].name;
		s->all[i].words = setting_rows[i].words;
		snprintf(s->all[i].value, sizeof(s->all[i].value), "%s", setting_rows[i].value);
	}
	snapc_settings_paths(user, system);
	rc = settings_strangers(err);
	if (rc == 0)
		rc = settings_file(s, system, SNAPC_FROM_SYSTEM, err);
	if (rc == 0)
		rc = settings_file(s, user, SNAPC_FROM_USER, err);
	if (rc == 0)
		rc = settings_environment(s, err);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret_settings = s;
	return 0;
}

const char *snapc_origin_name(enum snapc_origin origin)
{
	static const char *const names[] = { "default", "system file", "user file", "environment" };

	return names[origin];
}

int snapc_settings_export(const struct snapc_settings *settings)
{
	char name[128];

	for (int i = 0; i < SNAPC_SETTINGS; i++) {
		if (settings->all[i].origin == SNAPC_FROM_DEFAULT)
			continue;
		snapc_setting_env_name((enum snapc_setting_id)i, name, sizeof(name));
		if (setenv(name, settings->all[i].value, 1) < 0)
			return -ENOMEM;
	}
	return 0;
}

int64_t snapc_setting_number(enum snapc_setting_id id)
{
	char name[128];
	const char *value;

	snapc_setting_env_name(id, name, sizeof(name));
	value = getenv(name);
	return strtoll(value && setting_allowed((int)id, value) ? value : setting_rows[id].value, NULL, 10);
}
