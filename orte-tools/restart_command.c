/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The launcher's command and environment of a restart. */
#include "orte-tools/restart_command.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orte-tools/sched/srun_line.h"
#include "snapc/snapshot_mpirun.h"

#define AMCA_DEFAULT "ft-enable-cr"

void restart_words_add(struct restart_words *w, const char *word)
{
	char **grown = realloc(w->words, (w->n + 2) * sizeof(*grown));

	if (grown)
		w->words = grown;
	if (!grown || !(grown[w->n] = strdup(word))) {
		w->failed = 1;
		return;
	}
	grown[++w->n] = NULL;
}

void restart_words_free(struct restart_words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->words[i]);
	free(w->words);
	memset(w, 0, sizeof(*w));
}

void restart_words_print(FILE *f, const struct restart_words *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const char *s = w->words[i];

		if (i)
			putc(' ', f);
		if (s[0] && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,%@^")] == '\0') {
			fputs(s, f);
			continue;
		}
		putc('\'', f);
		for (; *s; s++)
			fputs(*s == '\'' ? "'\\''" : (char[]){ *s, '\0' }, f);
		putc('\'', f);
	}
	putc('\n', f);
}

/* Words of --mpirun_opts: blanks separate, quotes of both kinds and backslash as a shell has them. */
static int words_split(const char *text, struct restart_words *w, struct cr_err *err)
{
	char *word = malloc(strlen(text) + 1), quote = 0;
	size_t n = 0;
	int open = 0;

	if (!word)
		return cr_err_set(err, ENOMEM, "no memory");
	for (const char *p = text; ; p++) {
		if (*p == '\0' || (!quote && isspace((unsigned char)*p))) {
			if (open) {
				word[n] = '\0';
				restart_words_add(w, word);
			}
			n = 0;
			open = 0;
			if (*p == '\0')
				break;
		} else if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
			quote = quote ? 0 : *p;
			open = 1;
		} else {
			if (*p == '\\' && quote != '\'' && p[1])
				p++;
			word[n++] = *p;
			open = 1;
		}
	}
	free(word);
	return quote ? cr_err_set(err, EINVAL, "--mpirun_opts: a quote is not closed: %s", text) : 0;
}

/* Options that the user gives: which parameters and whether nodes are among them. */
static int user_sets_parameter(const struct snapc_mpirun *user, const char *name)
{
	for (uint32_t i = 0; i < user->noptions; i++) {
		if (user->options[i].class == SNAPC_OPTION_MCA && user->options[i].nwords == 3 && strcmp(user->options[i].words[1], name) == 0)
			return 1;
	}
	return 0;
}

static int user_sets_option(const struct snapc_mpirun *user, const struct snapc_option *o)
{
	for (uint32_t i = 0; i < user->noptions; i++) {
		if (user->options[i].class == SNAPC_OPTION_HOSTS && o->class == SNAPC_OPTION_HOSTS)
			return 1;
		if (o->class == SNAPC_OPTION_KEEP && strcmp(user->options[i].name, o->name) == 0)
			return 1;
	}
	return 0;
}

static int seen_before(const struct snapc_mpirun *saved, uint32_t at)
{
	const struct snapc_option *o = &saved->options[at];

	for (uint32_t i = 0; i < at; i++) {
		const struct snapc_option *p = &saved->options[i];
		uint32_t k = 0;

		if (strcmp(p->name, o->name) != 0 || p->nwords != o->nwords)
			continue;
		while (++k < o->nwords && strcmp(p->words[k], o->words[k]) == 0)
			;
		if (k >= o->nwords)
			return 1;
	}
	return 0;
}

/* Arguments that are names of files were relative to the saved job's working directory. */
static void option_add(const struct snapc_option *o, const char *cwd, struct restart_words *w)
{
	static const char *const files[] = { "hostfile", "machinefile", "default-hostfile", "rankfile", "rf", "output-filename", "xml-file", "tune" };
	char path[PATH_MAX];
	int is_file = 0, is_dir;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		is_file |= strcmp(o->name, files[i]) == 0;
	is_dir = o->nwords == 3 && strcmp(o->words[1], "ompi_cr_snapshot_dir") == 0;
	restart_words_add(w, o->words[0]);
	for (uint32_t i = 1; i < o->nwords; i++) {
		if ((is_file || (is_dir && i == 2)) && o->words[i][0] != '/' && snprintf(path, sizeof(path), "%s/%s", cwd, o->words[i]) < (int)sizeof(path))
			restart_words_add(w, path);
		else
			restart_words_add(w, o->words[i]);
	}
}

static void saved_add(const struct snapc_mpirun *saved, const struct snapc_mpirun *user, int hosts_given, const char *cwd,
		      struct restart_words *w)
{
	for (uint32_t i = 0; i < saved->noptions; i++) {
		const struct snapc_option *o = &saved->options[i];
		int wanted = o->class == SNAPC_OPTION_KEEP || (o->class == SNAPC_OPTION_HOSTS && !hosts_given) ||
			     (o->class == SNAPC_OPTION_MCA && !(o->nwords == 3 && user_sets_parameter(user, o->words[1])));

		if (wanted && !user_sets_option(user, o) && !seen_before(saved, i))
			option_add(o, cwd, w);
	}
}

/* The saved set when it still can be found, else ours. A plain name is looked for by mpirun, but in our directory only when told so. */
static void amca_add(const struct restart_request *r, struct restart_words *w)
{
	const struct snapc_job *job = r->s->job;
	const char *name = r->amca ? r->amca : job->amca;
	char path[PATH_MAX];

	restart_words_add(w, "-am");
	if (!name || !name[0])
		name = AMCA_DEFAULT;
	if (!r->amca && strchr(name, '/') && !strchr(name, ':')) {
		if (snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : job->cwd, name[0] == '/' ? "" : "/", name) < (int)sizeof(path) &&
		    access(path, R_OK) == 0) {
			restart_words_add(w, path);
			return;
		}
		fprintf(stderr, "ompi-restart: the parameter set %s of the saved job cannot be read; using %s\n", name, AMCA_DEFAULT);
		name = AMCA_DEFAULT;
	}
	snprintf(path, sizeof(path), CR_AMCADIR "/%s", name);
	if (!strpbrk(name, "/:") && !getenv("OMPI_MCA_mca_base_param_file_path") && access(path, R_OK) == 0)
		name = path;
	restart_words_add(w, name);
}

static int user_words(const struct restart_request *r, struct restart_words *user, struct cr_err *err)
{
	int rc = 0;

	restart_words_add(user, "mpirun"); /* for the parser, not for the command */
	if (r->hostfile) {
		restart_words_add(user, "--hostfile");
		restart_words_add(user, r->hostfile);
	}
	if (r->mpirun_opts)
		rc = words_split(r->mpirun_opts, user, err);
	for (char *const *e = r->extra; e && *e; e++)
		restart_words_add(user, *e);
	return rc;
}

int restart_launcher_choose(const char *name, const struct snapc_job *saved, bool *ret_srun, struct cr_err *err)
{
	if (!name)
		*ret_srun = snapc_mpirun_is_srun(saved->argv);
	else if (strcmp(name, "srun") == 0 || strcmp(name, "mpirun") == 0)
		*ret_srun = name[0] == 's';
	else
		return cr_err_set(err, EINVAL, "--launcher %s: mpirun or srun", name);
	return 0;
}

/* Options of srun that the user adds, each made one word. */
static int srun_user_add(const struct restart_request *r, struct srun_line *ret_user, struct cr_err *err)
{
	static char *none[] = { NULL };
	struct restart_words words = { 0 };
	int rc = 0;

	if (r->hostfile || r->amca)
		return cr_err_set(err, EINVAL, "--%s is mpirun's: with srun name nodes by -- -w HOSTS", r->hostfile ? "hostfile" : "am");
	if (r->mpirun_opts)
		rc = words_split(r->mpirun_opts, &words, err);
	for (char *const *e = r->extra; e && *e; e++)
		restart_words_add(&words, *e);
	if (rc == 0 && words.failed)
		rc = cr_err_set(err, ENOMEM, "no memory for the command");
	if (rc == 0)
		rc = srun_line_parse(words.words ? words.words : none, ret_user, err);
	if (rc == 0 && ret_user->program[0]) {
		rc = cr_err_set(err, EINVAL, "%s: only options can be given to srun, the program is the saved one", ret_user->program[0]);
		srun_line_free(ret_user);
	}
	ret_user->program = none;
	restart_words_free(&words);
	return rc;
}

/* Output goes on in the files that the saved job has begun. */
static int srun_command_make(const struct restart_request *r, const char *format, struct restart_words *w, struct cr_err *err)
{
	char **saved = snapc_mpirun_is_srun(r->s->job->argv) ? r->s->job->argv + 1 : (char *[]){ NULL };
	struct srun_line user = { NULL, NULL };
	int rc = srun_user_add(r, &user, err);
	char text[32];
	bool file = false, mpi = srun_line_get(&user, "mpi", 0);

	if (rc < 0)
		return rc;
	snprintf(text, sizeof(text), "-n%u", r->s->np);
	restart_words_add(w, CR_BINDIR "/" SNAPC_SRUN);
	for (; *saved && strcmp(*saved, "--") != 0; saved++)
		if (srun_option_kept(*saved)) {
			restart_words_add(w, *saved);
			file |= srun_option_value(*saved, "output", 'o') || srun_option_value(*saved, "error", 'e');
			mpi |= srun_option_value(*saved, "mpi", 0) != NULL;
		}
	if (!mpi)
		restart_words_add(w, "--mpi=pmix");
	if (file)
		restart_words_add(w, "--open-mode=append");
	restart_words_add(w, text);
	for (char **o = user.options; *o; o++)
		restart_words_add(w, *o);
	srun_line_free(&user);
	restart_words_add(w, "--");
	restart_words_add(w, r->restorer);
	restart_words_add(w, "--rank-file");
	restart_words_add(w, format);
	return w->failed ? cr_err_set(err, ENOMEM, "no memory for the command") : 0;
}

int restart_command_make(const struct restart_request *r, struct restart_words *ret_command, struct cr_err *err)
{
	struct restart_words w = { 0 }, user = { 0 };
	struct snapc_mpirun *saved = NULL, *added = NULL;
	char text[32], format[PATH_MAX];
	int rc, hosts = 0;

	if (strstr(r->s->dir, "%"))
		return cr_err_set(err, EINVAL, "%s: a path with %% in it cannot be restarted from; rename the directory", r->s->dir);
	if (snprintf(format, sizeof(format), "%s/%u/" "opal_snapshot_%%d.ckpt/cr_context", r->s->dir, r->s->seq) >= (int)sizeof(format))
		return cr_err_set(err, ENAMETOOLONG, "%s: path too long", r->s->dir);
	if (r->srun) {
		rc = srun_command_make(r, format, &w, err);
		goto out;
	}
	rc = user_words(r, &user, err);
	if (rc < 0)
		goto out;
	rc = user.failed || snapc_mpirun_parse(r->s->job->argv, &saved) < 0 || snapc_mpirun_parse(user.words, &added) < 0 ? -ENOMEM : 0;
	if (rc < 0)
		goto out_nomem;
	if (added->napps > 0) {
		rc = cr_err_set(err, EINVAL, "%s: only options can be given to mpirun, the program is the saved one", added->apps[0].argv[0]);
		goto out;
	}
	for (uint32_t i = 0; i < added->noptions; i++)
		hosts |= added->options[i].class == SNAPC_OPTION_HOSTS;
	restart_words_add(&w, r->mpirun);
	amca_add(r, &w);
	snprintf(text, sizeof(text), "%u", r->s->np);
	restart_words_add(&w, "-np");
	restart_words_add(&w, text);
	saved_add(saved, added, hosts, r->s->job->cwd, &w);
	for (size_t i = 1; i < user.n; i++)
		restart_words_add(&w, user.words[i]);
	restart_words_add(&w, r->restorer);
	restart_words_add(&w, "--rank-file");
	restart_words_add(&w, format);
	rc = w.failed ? -ENOMEM : 0;
out_nomem:
	if (rc == -ENOMEM)
		cr_err_set(err, ENOMEM, "no memory for the command");
out:
	snapc_mpirun_destroy(saved);
	snapc_mpirun_destroy(added);
	restart_words_free(&user);
	if (rc < 0)
		restart_words_free(&w);
	else
		*ret_command = w;
	return rc;
}

int restart_environment_set(const struct snapc_snapshot *s, uint32_t timeout_seconds)
{
	static const char component_path[] = CR_MCADIR ":SYSTEM_DEFAULT:USER_DEFAULT";
	char number[32];
	int rc = 0;

	for (char **e = s->job->env; e && *e && rc == 0; e++) {
		char *name = strdup(*e), *eq = name ? strchr(name, '=') : NULL;

		if (eq && (strncmp(name, "OMPI_MCA_", 9) == 0 || (strncmp(name, SNAPC_ENV_DIR "=/", sizeof(SNAPC_ENV_DIR) + 1) == 0))) {
			*eq = '\0';
			rc = setenv(name, eq + 1, 0);
		}
		free(name);
	}
	if (access(CR_MCADIR "/mca_schizo_ompicr.so", R_OK) == 0)
		rc |= setenv("OMPI_MCA_mca_base_component_path", component_path, 0);
	snprintf(number, sizeof(number), "%u", s->seq);
	rc |= setenv(SNAPC_ENV_RESTARTED_FROM, s->dir, 1);
	rc |= setenv(SNAPC_ENV_RESTARTED_SEQ, number, 1);
	snprintf(number, sizeof(number), "%u", timeout_seconds);
	if (timeout_seconds)
		rc |= setenv("OMPI_CR_TIMEOUT_RESTART", number, 1);
	return rc ? -ENOMEM : 0;
}
