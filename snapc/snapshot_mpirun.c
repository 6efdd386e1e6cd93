/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mpirun's command line. */
#include "snapc/snapshot_mpirun.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned int nargs;
	enum snapc_option_class class;
} table[] = {
#define MPIRUN_OPTION(name, nargs, class) { name, nargs, SNAPC_OPTION_##class },
#include "snapc/snapshot_mpirun.def"
#undef MPIRUN_OPTION
};

static void option_fill(char **argv, struct snapc_option *o)
{
	const char *name = argv[0] + strspn(argv[0], "-");
	unsigned int nargs = 0;

	o->words = argv;
	o->name = name;
	o->class = SNAPC_OPTION_DROP;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(table[i].name, name) == 0) {
			o->class = table[i].class;
			nargs = table[i].nargs;
		}
	}
	o->nwords = 1;
	while (o->nwords <= nargs && argv[o->nwords])
		o->nwords++;
}

/* One context: options, then the program until ":" or the end. Return: words used. */
static uint32_t context_parse(char **argv, struct snapc_mpirun *m)
{
	struct snapc_app *app = &m->apps[m->napps];
	uint32_t i = 0, n = 0;

	while (argv[i] && argv[i][0] == '-' && argv[i][1]) {
		struct snapc_option *o = &m->options[m->noptions];

		option_fill(&argv[i], o);
		i += o->nwords;
		m->noptions++;
		if (o->class == SNAPC_OPTION_OWN && strcmp(o->name, "am") != 0 && o->nwords == 2)
			app->np = (uint32_t)strtoul(o->words[1], NULL, 10);
	}
	while (argv[i + n] && strcmp(argv[i + n], ":") != 0)
		n++;
	if (n > 0) {
		app->argv = calloc(n + 1, sizeof(*app->argv));
		if (!app->argv)
			return UINT32_MAX;
		memcpy(app->argv, &argv[i], n * sizeof(*app->argv));
		m->napps++;
	}
	return i + n;
}

/* ompi-cr-srun's line: options of one word each, "--", the program. Nothing of that is mpirun's. */
static bool srun_parse(char **argv, struct snapc_mpirun *m)
{
	struct snapc_app *app = &m->apps[0];
	uint32_t i = 0, n = 0;

	for (; argv[i] && strcmp(argv[i], "--") != 0; i++) {
		m->options[m->noptions++] = (struct snapc_option){ &argv[i], 1, argv[i], SNAPC_OPTION_DROP };
		if (strncmp(argv[i], "-n", 2) == 0 || strncmp(argv[i], "--ntasks=", 9) == 0)
			app->np = (uint32_t)strtoul(argv[i] + (argv[i][1] == '-' ? 9 : 2), NULL, 10);
	}
	if (!argv[i])
		return true;
	for (i++; argv[i + n];)
		n++;
	app->argv = calloc(n + 1, sizeof(*app->argv));
	if (!app->argv)
		return false;
	memcpy(app->argv, &argv[i], n * sizeof(*app->argv));
	m->napps = n > 0;
	return true;
}

bool snapc_mpirun_is_srun(char *const *argv)
{
	const char *name = argv[0] ? strrchr(argv[0], '/') : NULL;

	return argv[0] && strcmp(name ? name + 1 : argv[0], SNAPC_SRUN) == 0;
}

int snapc_mpirun_parse(char **argv, struct snapc_mpirun **ret_mpirun)
{
	struct snapc_mpirun *m = calloc(1, sizeof(*m));
	uint32_t n = 0, i = 1, used;

	while (argv[n])
		n++;
	if (m) {
		m->options = calloc(n + 1, sizeof(*m->options));
		m->apps = calloc(n + 1, sizeof(*m->apps));
	}
	if (!m || !m->options || !m->apps)
		goto out_nomem;
	if (snapc_mpirun_is_srun(argv)) {
		if (!srun_parse(&argv[1], m))
			goto out_nomem;
		i = n;
	}
	while (i < n) {
		used = context_parse(&argv[i], m);
		if (used == UINT32_MAX)
			goto out_nomem;
		i += used + 1; /* the ":" */
	}
	*ret_mpirun = m;
	return 0;
out_nomem:
	snapc_mpirun_destroy(m);
	return -ENOMEM;
}

void snapc_mpirun_destroy(struct snapc_mpirun *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; m->apps && i < m->napps; i++)
		free(m->apps[i].argv);
	free(m->apps);
	free(m->options);
	free(m);
}
