/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The description of a job, taken from the running mpirun. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapc/meta.h"
#include "snapc/snapshot_mpirun.h"

#define PROC_MAX_BYTES (4u << 20)

/* Variables of mpirun's environment that a snapshot keeps; a name that ends in '*' stands for all that begin so. Never secrets. */
static const char *const env_allowed[] = {
	"PATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "TMPDIR", "OMP_*", "OMPI_MCA_*",
	"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OPAL_PREFIX", "UCX_*", "PYTHONPATH", "LOADEDMODULES", "MODULEPATH",
	"SLURM_JOB_ID", "SLURM_JOB_NUM_NODES", "PBS_JOBID", "JOB_ID", "LSB_JOBID", "OMPI_CR_SNAPSHOT_DIR",
};

static int env_is_allowed(const char *entry)
{
	const char *eq = strchr(entry, '=');

	for (size_t i = 0; eq && i < sizeof(env_allowed) / sizeof(env_allowed[0]); i++) {
		size_t n = strlen(env_allowed[i]);

		if (env_allowed[i][n - 1] == '*' ? strncmp(entry, env_allowed[i], n - 1) == 0
						 : (size_t)(eq - entry) == n && strncmp(entry, env_allowed[i], n) == 0)
			return 1;
	}
	return 0;
}

static int proc_slurp(pid_t pid, const char *name, char **ret_text, size_t *ret_bytes, struct cr_err *err)
{
	char path[64], *text = malloc(PROC_MAX_BYTES + 1), *small;
	size_t have = 0;
	ssize_t n = 1;
	int fd;

	if (!text)
		return cr_err_set(err, ENOMEM, "no memory to read /proc/%d/%s", (int)pid, name);
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && n > 0 && have < PROC_MAX_BYTES) {
		n = read(fd, text + have, PROC_MAX_BYTES - have);
		if (n > 0)
			have += (size_t)n;
	}
	if (fd < 0 || n < 0) {
		int code = errno == ENOENT ? ESRCH : errno;

		if (fd >= 0)
			close(fd);
		free(text);
		errno = code;
		return cr_err_set(err, code, "%s: %m", path);
	}
	close(fd);
	text[have] = '\0';
	small = realloc(text, have + 1);
	*ret_text = small ? small : text;
	*ret_bytes = have;
	return 0;
}

/* Words that are separated by NUL; @want NULL: all. */
static char **words_split(const char *text, size_t bytes, int (*want)(const char *))
{
	size_t n = 0, i = 0;
	char **words;

	for (size_t at = 0; at < bytes; at += strlen(text + at) + 1)
		n++;
	words = calloc(n + 1, sizeof(*words));
	for (size_t at = 0; words && at < bytes; at += strlen(text + at) + 1) {
		if (want && !want(text + at))
			continue;
		words[i] = strdup(text + at);
		if (!words[i++])
			words = NULL;
	}
	return words;
}

static int proc_words(pid_t pid, const char *name, int (*want)(const char *), char ***ret_words, struct cr_err *err)
{
	size_t bytes;
	char *text;
	int rc = proc_slurp(pid, name, &text, &bytes, err);

	if (rc < 0)
		return rc;
	*ret_words = words_split(text, bytes, want);
	free(text);
	return *ret_words ? 0 : cr_err_set(err, ENOMEM, "no memory for /proc/%d/%s", (int)pid, name);
}

/* Field 22 of /proc/PID/stat and the owner of the process. */
static int proc_identity(pid_t pid, struct snapc_job *job, struct cr_err *err)
{
	char *text, *p, path[64];
	struct stat st;
	size_t bytes;
	int rc = proc_slurp(pid, "stat", &text, &bytes, err);

	if (rc < 0)
		return rc;
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		job->mpirun_start = strtoull(p + 1, NULL, 10);
	free(text);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (!p || stat(path, &st) < 0)
		return cr_err_set(err, ESRCH, "%s: the process has ended", path);
	job->uid = st.st_uid;
	job->mpirun_pid = pid;
	return 0;
}

static int list_add(char ***list, size_t *n, const char *name, const char *value)
{
	char **grown = realloc(*list, (*n + 2) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*list = grown;
	if (asprintf(&grown[*n], "%s=%s", name, value) < 0)
		return -ENOMEM;
	grown[++*n] = NULL;
	return 0;
}

/* Parameters: command line first (it wins), then the environment. */
static int mca_collect(struct snapc_job *job, const struct snapc_mpirun *m)
{
	size_t n = 0;
	int rc = 0;

	job->mca = calloc(1, sizeof(*job->mca));
	if (!job->mca)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->noptions && rc == 0; i++) {
		if (m->options[i].class == SNAPC_OPTION_MCA && m->options[i].nwords == 3)
			rc = list_add(&job->mca, &n, m->options[i].words[1], m->options[i].words[2]);
	}
	for (char **e = job->env; *e && rc == 0; e++) {
		const char *name = *e + 9, *eq = strchr(*e, '=');
		size_t length = eq ? (size_t)(eq - name) : 0;
		int known = 0;

		if (strncmp(*e, "OMPI_MCA_", 9) != 0 || !eq)
			continue;
		for (size_t i = 0; i < n; i++)
			known |= strncmp(job->mca[i], name, length + 1) == 0;
		if (!known) {
			char *copy = strndup(name, length);

			rc = copy ? list_add(&job->mca, &n, copy, eq + 1) : -ENOMEM;
			free(copy);
		}
	}
	return rc;
}

static char **words_copy(char **words)
{
	size_t n = 0;
	char **copy;

	while (words[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(words[i]);
		if (!copy[i])
			return NULL;
	}
	return copy;
}

static int apps_copy(struct snapc_job *job, const struct snapc_app *apps, uint32_t n)
{
	job->apps = calloc(n + 1, sizeof(*job->apps));
	if (!job->apps)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		job->apps[i].np = apps[i].np;
		job->apps[i].argv = words_copy(apps[i].argv);
		if (!job->apps[i].argv)
			return -ENOMEM;
		job->napps++;
	}
	return 0;
}

/* A restarted job runs the program of the job that it brings back, not the restorer that mpirun was told to start. */
static int apps_inherit(struct snapc_job *job, const char *from)
{
	struct snapc_meta *meta;
	struct snapc_job *old;
	int rc;

	if (snapc_meta_open(from, &meta, NULL) < 0)
		return -ENOENT;
	rc = snapc_meta_job(meta, &old, NULL);
	if (rc == 0) {
		rc = apps_copy(job, old->apps, old->napps);
		snapc_job_destroy(old);
	}
	snapc_meta_close(meta);
	return rc;
}

static int job_strings(struct snapc_job *job, const char *restarted_from, const struct snapc_mpirun *m)
{
	const char *version = getenv(SNAPC_ENV_OMPI_VERSION), *amca = "";
	char host[256] = "", path[64], cwd[PATH_MAX];
	ssize_t n;

	gethostname(host, sizeof(host) - 1);
	snprintf(path, sizeof(path), "/proc/%lld/cwd", (long long)job->mpirun_pid);
	n = readlink(path, cwd, sizeof(cwd) - 1);
	cwd[n > 0 ? n : 0] = '\0';
	for (uint32_t i = 0; i < m->noptions; i++) {
		if (strcmp(m->options[i].name, "am") == 0 && m->options[i].nwords == 2)
			amca = m->options[i].words[1];
	}
	job->host = strdup(host);
	job->cwd = strdup(cwd);
	job->ompi_version = strdup(version ? version : "");
	job->amca = strdup(amca);
	job->restarted_from = strdup(restarted_from ? restarted_from : "");
	if (asprintf(&job->id, "%s-%lld-%llu", host, (long long)job->mpirun_pid, (unsigned long long)job->mpirun_start) < 0)
		job->id = NULL;
	return job->host && job->cwd && job->ompi_version && job->amca && job->restarted_from && job->id ? 0 : -ENOMEM;
}

int snapc_job_load(pid_t mpirun_pid, const char *restarted_from, int64_t restarted_seq, struct snapc_job **ret_job, struct cr_err *err)
{
	struct snapc_job *job = calloc(1, sizeof(*job));
	struct snapc_mpirun *m = NULL;
	int rc;

	if (!job)
		return cr_err_set(err, ENOMEM, "no memory for the description of the job");
	job->restarted_seq = restarted_from ? restarted_seq : -1;
	rc = proc_identity(mpirun_pid, job, err);
	if (rc == 0)
		rc = proc_words(mpirun_pid, "cmdline", NULL, &job->argv, err);
	if (rc == 0)
		rc = proc_words(mpirun_pid, "environ", env_is_allowed, &job->env, err);
	if (rc < 0)
		goto out;
	rc = snapc_mpirun_parse(job->argv, &m);
	if (rc == 0)
		rc = job_strings(job, restarted_from, m);
	if (rc == 0)
		rc = mca_collect(job, m);
	if (rc == 0 && (!restarted_from || apps_inherit(job, restarted_from) < 0))
		rc = apps_copy(job, m->apps, m->napps);
	snapc_mpirun_destroy(m);
	if (rc < 0)
		rc = cr_err_set(err, rc, "no memory for the description of the job");
out:
	if (rc < 0) {
		snapc_job_destroy(job);
		return rc;
	}
	*ret_job = job;
	return 0;
}

static void words_free(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

void snapc_job_destroy(struct snapc_job *job)
{
	if (!job)
		return;
	for (uint32_t i = 0; job->apps && i < job->napps; i++)
		words_free(job->apps[i].argv);
	free(job->apps);
	words_free(job->argv);
	words_free(job->env);
	words_free(job->mca);
	free(job->id);
	free(job->host);
	free(job->cwd);
	free(job->ompi_version);
	free(job->amca);
	free(job->restarted_from);
	free(job);
}
