/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mpirun -am FILE.
 *
 * Open MPI resolves the name and then hands the list to a splitter that expects another separator, so the file is never read. By the
 * time this runs, the resolved names are in the parameter mca_base_param_file_prefix. Every "key = value" becomes OMPI_MCA_key in the
 * environment unless that is set already: the command line, which is turned into environment later, goes before the environment, and
 * the environment before the file.
 */
#include "orte-tools/mca/schizo_ompicr.h"

#include "orte_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opal/mca/base/mca_base_var.h"

#define PREFIX "OMPI_MCA_"
#define PARAMETER "mca_base_param_file_prefix"

static char **amca_storage(void)
{
	const mca_base_var_t *var;
	int id = mca_base_var_find("opal", "mca", "base", "param_file_prefix");

	if (id < 0 || mca_base_var_get(id, &var) != 0 || !var->mbv_storage)
		return NULL;
	return (char **)var->mbv_storage;
}

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n > 0 && isspace((unsigned char)s[n - 1]))
		s[--n] = '\0';
	if (n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n - 1] == s[0]) {
		s[n - 1] = '\0';
		s++;
	}
	return s;
}

static void line_apply(char *line, const char *path, int number)
{
	char name[256], *key, *value;

	key = trim(line);
	if (!key[0] || key[0] == '#')
		return;
	value = strchr(key, '=');
	if (!value) {
		fprintf(stderr, "ompi-cr: %s:%d: not of the form \"parameter = value\"; ignored\n", path, number);
		return;
	}
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	if (!key[0] || strpbrk(key, " \t=") || snprintf(name, sizeof(name), PREFIX "%s", key) >= (int)sizeof(name)) {
		fprintf(stderr, "ompi-cr: %s:%d: not the name of a parameter; ignored\n", path, number);
		return;
	}
	setenv(name, value, 0);
}

static void file_apply(const char *path)
{
	char *line = NULL;
	size_t room = 0;
	int number = 0;
	FILE *f = fopen(path, "re");

	if (!f) {
		/* mpirun itself has said so when there is no such file. */
		if (errno != ENOENT)
			fprintf(stderr, "ompi-cr: -am %s: cannot open: %s\n", path, strerror(errno));
		return;
	}
	while (getline(&line, &room, f) > 0)
		line_apply(line, path, ++number);
	free(line);
	fclose(f);
}

void ompicr_amca_apply(void)
{
	char **storage = amca_storage(), *list, *at, *path;

	if (!storage || !*storage || !(*storage)[0])
		return;
	list = at = strdup(*storage);
	while (at && (path = strsep(&at, ":"))) {
		if (path[0])
			file_apply(path);
	}
	free(list);
	ompicr_amca_forget();
}

void ompicr_amca_forget(void)
{
	char **storage = amca_storage();

	if (storage)
		*storage = NULL;
	unsetenv(PREFIX PARAMETER);
}
