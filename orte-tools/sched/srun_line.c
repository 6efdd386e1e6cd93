/* SPDX-License-Identifier: GPL-2.0-or-later */
/* srun's command line: see srun_line.h. */
#include "orte-tools/sched/srun_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum srun_class { DROP, KEEP };

struct srun_option {
	const char *name;
	char letter;
	bool argument;
	enum srun_class class;
};

static const struct srun_option table[] = {
#define SRUN_OPTION(name, letter, argument, class) { name, letter, argument, class },
#include "orte-tools/sched/srun_options.def"
#undef SRUN_OPTION
};
#define OPTIONS (sizeof(table) / sizeof(table[0]))

static const struct srun_option *by_name(const char *name, size_t length)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strlen(table[i].name) == length && !strncmp(table[i].name, name, length))
			return &table[i];
	return NULL;
}

static const struct srun_option *by_letter(char letter)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (table[i].letter == letter)
			return &table[i];
	return NULL;
}

/* Does this srun have an option --@name (of a plugin), and does it take an argument? Return: 1, 0, or -ENOENT. */
static int ask_srun(const char *name)
{
	size_t n = strlen(name), room = 0;
	char *text = NULL, *at;
	int rc = -ENOENT;
	FILE *f = popen("srun --help 2>/dev/null", "re");

	while (f && rc < 0 && getline(&text, &room, f) > 0) {
		at = strstr(text, "--");
		if (at && !strncmp(at + 2, name, n) && strchr("= [\n", at[2 + n]))
			rc = at[2 + n] == '=';
	}
	if (f)
		pclose(f);
	free(text);
	return rc;
}

/* Return: 1: the next word belongs to it; 0; -EINVAL with words. */
static int takes_next(const char *word, struct cr_err *err)
{
	const struct srun_option *o;
	int rc;

	if (word[1] == '-') {
		if (strchr(word, '='))
			return 0;
		o = by_name(word + 2, strlen(word + 2));
		rc = o ? o->argument : ask_srun(word + 2);
		return rc >= 0 ? rc : cr_err_set(err, EINVAL, "srun has no option %s, or a short form of one: write --name=value", word);
	}
	for (const char *c = word + 1; *c; c++) {
		o = by_letter(*c);
		if (o && o->argument)
			return !c[1];
		if (strchr("IKk", *c)) /* the rest of the word is its argument */
			return 0;
	}
	return 0;
}

static int option_add(struct srun_line *line, size_t n, const char *word, const char *argument)
{
	char **grown = realloc(line->options, (n + 2) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	line->options = grown;
	grown[n + 1] = NULL;
	if (asprintf(&grown[n], "%s%s%s", word, argument && word[1] == '-' ? "=" : "", argument ? argument : "") < 0) {
		grown[n] = NULL;
		return -ENOMEM;
	}
	return 0;
}

int srun_line_parse(char *const *argv, struct srun_line *ret, struct cr_err *err)
{
	struct srun_line line = { NULL, NULL };
	size_t n = 0, i = 0;
	int rc = 0;

	line.options = calloc(1, sizeof(*line.options));
	if (!line.options)
		return cr_err_set(err, ENOMEM, "no memory for the command line");
	for (; rc == 0 && argv[i] && argv[i][0] == '-' && argv[i][1]; i++, n++) {
		const char *word = argv[i];
		int next;

		if (!strcmp(word, "--")) {
			i++;
			break;
		}
		next = takes_next(word, err);
		if (next > 0 && !argv[i + 1])
			rc = cr_err_set(err, EINVAL, "srun's option %s needs a value", word);
		else if (next < 0)
			rc = next;
		else if (option_add(&line, n, word, next ? argv[++i] : NULL) < 0)
			rc = cr_err_set(err, ENOMEM, "no memory for the command line");
	}
	line.program = (char **)(argv + i);
	for (; rc == 0 && argv[i]; i++)
		if (!strcmp(argv[i], ":"))
			rc = cr_err_set(err, ENOTSUP, "several programs in one srun (\":\") cannot be protected: start them by mpirun");
	if (rc < 0)
		srun_line_free(&line);
	else
		*ret = line;
	return rc;
}

void srun_line_free(struct srun_line *line)
{
	for (char **o = line->options; o && *o; o++)
		free(*o);
	free(line->options);
	line->options = NULL;
}

const char *srun_option_value(const char *word, const char *name, char letter)
{
	size_t n = strlen(name);

	if (word[0] != '-')
		return NULL;
	if (word[1] == '-')
		return strncmp(word + 2, name, n) ? NULL : word[2 + n] == '=' ? word + 3 + n : word[2 + n] ? NULL : "";
	for (const char *c = word + 1; letter && *c; c++) {
		const struct srun_option *o = by_letter(*c);

		if (*c == letter)
			return c + 1;
		if ((o && o->argument) || strchr("IKk", *c))
			return NULL;
	}
	return NULL;
}

const char *srun_line_get(const struct srun_line *line, const char *name, char letter)
{
	const char *value = NULL;

	for (char **o = line->options; *o; o++)
		if (srun_option_value(*o, name, letter))
			value = srun_option_value(*o, name, letter);
	return value;
}

bool srun_option_kept(const char *word)
{
	const struct srun_option *o = NULL;

	if (word[0] != '-')
		return false;
	if (word[1] == '-')
		o = by_name(word + 2, strcspn(word + 2, "="));
	else
		for (const char *c = word + 1; *c; c++) {
			o = by_letter(*c);
			if (!o || o->class == DROP)
				return false;
			if (o->argument)
				break;
		}
	return o && o->class == KEEP;
}
