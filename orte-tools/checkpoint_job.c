/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/checkpoint_job.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcr/tools/process_stat.h"
#include "orte-tools/tool_job.h"
#include "orte-tools/tool_json.h"
#include "orte-tools/tool_remote.h"
#include "snapc/log.h"

struct finder {
	const struct checkpoint_options *options;
	struct snapc_registry_entry entry;
};

/* @list: the names that Slurm has for a job, separated by commas */
static bool job_is_slurm(const char *job, const char *list)
{
	size_t n = strlen(job);

	for (const char *at = list; (at = strstr(at, job)); at++)
		if ((at == list || at[-1] == ',') && (!at[n] || at[n] == ','))
			return true;
	return false;
}

static int job_match(void *arg, const struct snapc_registry_entry *e)
{
	struct finder *f = arg;
	const struct checkpoint_options *o = f->options;
	const char *pid = o->pid ? o->pid : o->name, *job = o->job ? o->job : o->name;
	char text[32];

	if (o->latest) {
		if (e->uid != geteuid())
			return 0; /* root names the job of somebody else by its pid */
		if (!f->entry.mpirun_pid || e->mpirun_start > f->entry.mpirun_start ||
		    (e->mpirun_start == f->entry.mpirun_start && e->mpirun_pid > f->entry.mpirun_pid))
			f->entry = *e;
		return 0;
	}
	snprintf(text, sizeof(text), "%d", (int)e->mpirun_pid);
	if (pid && !strcmp(pid, text)) {
		f->entry = *e;
		return 1; /* a pid goes before a job id that looks like it */
	}
	if (job && *job && (!strcmp(job, e->job) || job_is_slurm(job, e->slurm_job)))
		f->entry = *e;
	return 0;
}

/* A job that is about to be there: ompi-restart at its checks, or an mpirun under protection that has not registered yet. */
static bool job_starting(long pid)
{
	char path[64], line[4096];
	size_t bytes, at;
	FILE *f;
	bool mpirun = false, restart = false, protected = false;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	bytes = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[bytes] = '\0';
	for (at = 0; at < bytes; at += strlen(line + at) + 1) {
		const char *word = line + at, *base = strrchr(word, '/') ? strrchr(word, '/') + 1 : word;

		if (at == 0) {
			restart = !strcmp(base, "ompi-restart");
			mpirun = !strncmp(base, "mpirun", 6) || !strncmp(base, "mpiexec", 7) || !strncmp(base, "orterun", 7);
			protected = !strcmp(base, "ompi-cr-srun");
			mpirun |= protected;
		}
		protected |= !strcmp(base, "ft-enable-cr");
	}
	return restart || (mpirun && protected);
}

/* The pid of srun stands for ompi-cr-srun, which has started it. Return: its pid in words, or "". */
static void job_srun_parent(long pid, char *ret, size_t room)
{
	struct cr_process_stat st;

	ret[0] = '\0';
	if (cr_process_stat((pid_t)pid, &st) && !strcmp(st.name, "srun"))
		snprintf(ret, room, "%d", (int)st.parent);
}

/* What the words say, or the parent of the srun that they name. */
static void job_scan(struct finder *f)
{
	const struct checkpoint_options *o = f->options;
	struct checkpoint_options srun = *o;
	const char *pid = o->pid ? o->pid : o->name;
	char parent[24];
	long number;

	snapc_registry_scan(job_match, f);
	if (f->entry.mpirun_pid || o->latest || o->job || !pid || !checkpoint_number(pid, 1, &number))
		return;
	job_srun_parent(number, parent, sizeof(parent));
	if (!parent[0])
		return;
	srun.pid = parent;
	f->options = &srun;
	snapc_registry_scan(job_match, f);
	f->options = o;
}

/* The coordinator has ended before its job, as its log says in its last lines. */
static bool job_unprotected(long pid, char *ret_log)
{
	char text[2048];
	size_t bytes = 0;
	FILE *f;

	snapc_registry_log((pid_t)pid, ret_log);
	f = fopen(ret_log, "re");
	if (!f)
		return false;
	if (fseek(f, -(long)(sizeof(text) - 1), SEEK_END) < 0)
		rewind(f); /* it is shorter than that */
	bytes = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[bytes] = '\0';
	return strstr(text, SNAPC_WORDS_UNPROTECTED) != NULL;
}

/* Says why there is no job; returns the exit status. */
static int job_missing(const struct checkpoint_options *o, FILE *words, bool *ret_gone)
{
	const char *what = o->pid ? o->pid : o->job ? o->job : o->name;
	char log[PATH_MAX];
	bool numeric;
	long pid = 0;

	*ret_gone = false;
	numeric = !o->latest && !o->job && checkpoint_number(what, 1, &pid);
	if (numeric && job_starting(pid) && job_unprotected(pid, log)) {
		*ret_gone = true;
		fprintf(words, "ompi-checkpoint: the coordinator of mpirun %s has ended, why is in %s: the job runs without protection\n", what, log);
		return TOOL_FAILED;
	}
	if (numeric && job_starting(pid)) {
		fprintf(words, "ompi-checkpoint: the job of process %s is still starting: try again\n", what);
		return TOOL_AGAIN;
	}
	if (o->latest) {
		fprintf(words, "ompi-checkpoint: no job of yours runs under protection on this host: start it with `mpirun -am ft-enable-cr ...`\n");
	} else if (numeric && (kill((pid_t)pid, 0) == 0 || errno == EPERM)) {
		fprintf(words,
			"ompi-checkpoint: process %s is not an mpirun that can be checkpointed by you: start the job with `mpirun -am ft-enable-cr ...`, "
			"and run this command as the same user on the same host, or with --host\n",
			what);
	} else {
		*ret_gone = o->pid != NULL; /* a bare number may be a job id */
		fprintf(words, "ompi-checkpoint: there is no job %s on this host: give the pid of mpirun, or --latest; --list shows them\n", what);
	}
	return TOOL_FAILED;
}

int checkpoint_job_find(const struct checkpoint_options *o, FILE *words, struct snapc_registry_entry *ret_entry, bool *ret_gone)
{
	static struct finder f;

	memset(&f, 0, sizeof(f));
	f.options = o;
	job_scan(&f);
	if (!f.entry.mpirun_pid)
		return job_missing(o, words, ret_gone);
	*ret_entry = f.entry;
	return TOOL_OK;
}

int checkpoint_job_find_far(const struct checkpoint_options *o, FILE *words, struct snapc_registry_entry *ret_entry)
{
	const char *what = o->latest ? "of yours" : o->pid ? o->pid : o->job ? o->job : o->name;
	static struct finder f;
	char dir[PATH_MAX] = "";
	struct cr_err err = { "" };

	memset(&f, 0, sizeof(f));
	f.options = o;
	if (tool_remote_find(o->host, job_match, &f, dir, &err) < 0)
		fprintf(words, "ompi-checkpoint: no job on %s can be found from here: %s. The setting contact_dir must be a directory that both nodes share, with "
			"the same path\n", o->host, err.text);
	else if (!f.entry.mpirun_pid)
		fprintf(words, "ompi-checkpoint: there is no job %s of %s in %s: either both nodes do not share this directory (setting contact_dir), or the job has "
			"ended, or it runs on that node alone (setting remote_tools = 2 makes it known)\n", what, o->host, dir);
	else
		*ret_entry = f.entry;
	return f.entry.mpirun_pid ? TOOL_OK : TOOL_FAILED;
}

struct lister {
	bool json, any;
};

static void job_print_json(const struct snapc_registry_entry *e, const struct snapc_words *words, bool first)
{
	static const char *const numbers[] = { "np", "present", "running", "checkpoints", "interval", "next_s" };

	printf("%s{\"job\":", first ? "" : ",");
	tool_json_string(stdout, e->job);
	printf(",\"mpirun_pid\":%d,\"uid\":%u,\"started\":%" PRId64 ",\"answers\":%s", (int)e->mpirun_pid, (unsigned int)e->uid, e->started, words ? "true" : "false");
	for (size_t i = 0; words && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (snapc_words_get(words, numbers[i], NULL))
			printf(",\"%s\":%lld", numbers[i], snapc_words_number(words, numbers[i], INT64_MAX, 0));
	fputs(",\"slurm_job\":", stdout);
	tool_json_string(stdout, e->slurm_job);
	fputs(",\"snapshot_dir\":", stdout);
	tool_json_string(stdout, e->snapshot_dir);
	fputs(",\"command\":", stdout);
	tool_json_string(stdout, e->command);
	putchar('}');
}

static void job_print(const struct snapc_registry_entry *e, const struct snapc_words *words)
{
	long long interval;

	printf("Job: %s, pid %d, ", e->job, (int)e->mpirun_pid);
	if (!words) {
		printf("its coordinator does not answer: %s\n", e->command);
		return;
	}
	printf("%s of %s ranks, %s checkpoints%s", snapc_words_get(words, "present", "?"), snapc_words_get(words, "np", "?"),
	       snapc_words_get(words, "checkpoints", "?"), snapc_words_number(words, "running", 1, 0) ? ", one is running" : "");
	interval = snapc_words_number(words, "interval", INT32_MAX, 0);
	if (interval)
		printf(", every %lld s", interval);
	printf(": %s\n", e->command);
}

static int job_list(void *arg, const struct snapc_registry_entry *e)
{
	static char text[SNAPC_LINE_BYTES];
	struct lister *l = arg;
	struct snapc_words words;
	bool answers = tool_job_ask(e, "status version=1\n", text, sizeof(text), &words) == 0;

	if (l->json)
		job_print_json(e, answers ? &words : NULL, !l->any);
	else
		job_print(e, answers ? &words : NULL);
	l->any = true;
	return 0;
}

void checkpoint_job_list(bool json)
{
	struct lister l = { .json = json };

	snapc_registry_scan(job_list, &l);
}
