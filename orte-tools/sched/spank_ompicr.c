/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SPANK plugin: sbatch, salloc and srun --ft-cr[=OPTION,...].
 *
 *   sbatch --ft-cr   asks for the warning and the requeue when the user has not, and puts settings into the batch script's environment, by which a plain
 *                    `mpirun ./program` becomes `ompi-cr-batch mpirun ./program` (the component in mpirun does that) and a plain `srun --mpi=pmix` too
 *   salloc --ft-cr   the settings in the environment of the command
 *   srun --ft-cr     srun becomes ompi-cr-srun, before it has asked Slurm for anything
 *
 * It does nothing without the option, and nothing as root: in slurmstepd it sets environment variables.
 */
#include <stdint.h>

#include <slurm/slurm.h>
#include <slurm/spank.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/cr_proto.h"
#include "orte-tools/sched/batch_env.h"

SPANK_PLUGIN(ompicr, 1);

#define OPTION "--ft-cr"
#define GRACE_DEFAULT 50
#define GRACE_ROOM 10 /* seconds of the warning that are left when the grace time is over */
#define COMPONENT_PATH "OMPI_MCA_mca_base_component_path"

static int option_take(int value, const char *text, int remote);

/* Registered, not exported as spank_options: sbatch and salloc do not look at that table. */
static struct spank_option ft_cr = {
	(char *)"ft-cr", (char *)"[interval=SEC,keep=N,grace=SEC,dir=DIR]",
	(char *)"save the job at preemption and time limit, requeue it, go on from the snapshot (ompi-cr)", 2, 0, option_take
};

enum { INTERVAL, KEEP, GRACE, DIR_, WORDS };

static const struct {
	const char *name, *variable;
	long most; /* 0: a text */
} words[WORDS] = {
	[INTERVAL] = { "interval", "OMPI_CR_INTERVAL", 100000000 },
	[KEEP] = { "keep", "OMPI_CR_KEEP", 1000000 },
	[GRACE] = { "grace", BATCH_ENV_GRACE, 86400 },
	[DIR_] = { "dir", "OMPI_CR_SNAPSHOT_DIR", 0 },
};

static struct {
	bool asked;
	char value[WORDS][PATH_MAX];
} option;

static int word_take(const char *word, size_t length)
{
	const char *equal = memchr(word, '=', length), *value = equal ? equal + 1 : NULL;
	size_t name = equal ? (size_t)(equal - word) : length, bytes = equal ? length - name - 1 : 0;
	char *end;

	for (int i = 0; i < WORDS; i++) {
		if (strlen(words[i].name) != name || strncmp(words[i].name, word, name))
			continue;
		if (!bytes || bytes >= PATH_MAX) {
			slurm_error(OPTION ": %s needs a value", words[i].name);
			return -1;
		}
		snprintf(option.value[i], PATH_MAX, "%.*s", (int)bytes, value);
		if (words[i].most) {
			long n = strtol(option.value[i], &end, 10);

			if (*end || n < (i == GRACE) || n > words[i].most) {
				slurm_error(OPTION ": %s=%s: a number up to %ld", words[i].name, option.value[i], words[i].most);
				return -1;
			}
		}
		return 0;
	}
	slurm_error(OPTION ": %.*s: not known; there are interval=SEC, keep=N, grace=SEC and dir=DIR", (int)length, word);
	return -1;
}

static int option_take(int value, const char *text, int remote)
{
	(void)value;
	(void)remote;
	option.asked = true;
	while (text && *text) {
		size_t n = strcspn(text, ",");

		if (word_take(text, n) < 0)
			return -1;
		text += n + (text[n] == ',');
	}
	return 0;
}

/* --- sbatch: what has to be known before its own options are read --- */

/* Does a line "#SBATCH ... --ft-cr" stand in the file? */
static bool script_asks(const char *path, char *ret_text, size_t room)
{
	char line[1024], *at;
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f || !fgets(line, sizeof(line), f) || strncmp(line, "#!", 2)) {
		if (f)
			fclose(f);
		return false;
	}
	while (!found && fgets(line, sizeof(line), f)) {
		at = strncmp(line, "#SBATCH", 7) ? NULL : strstr(line, OPTION);
		if (at && strchr("= \t\n", at[sizeof(OPTION) - 1])) {
			found = true;
			snprintf(ret_text, room, "%.*s", (int)strcspn(at, " \t\n"), at);
		}
	}
	fclose(f);
	return found;
}

/* Words of our own command line, and the bytes in @ret_text. Return: number; -errno. */
static int command_line(char *text, size_t room, char **ret_words, int most)
{
	FILE *f = fopen("/proc/self/cmdline", "re");
	size_t bytes;
	int n = 0;

	if (!f)
		return -errno;
	bytes = fread(text, 1, room, f);
	fclose(f);
	if (bytes == room)
		return -E2BIG;
	text[bytes] = '\0';
	for (size_t at = 0; at < bytes && n < most - 1; at += strlen(text + at) + 1)
		ret_words[n++] = text + at;
	ret_words[n] = NULL;
	return n;
}

static bool is_option(const char *word)
{
	return !strncmp(word, OPTION, sizeof(OPTION) - 1) && (!word[sizeof(OPTION) - 1] || word[sizeof(OPTION) - 1] == '=');
}

/* sbatch takes both from the environment, where the user's own options go first. */
static void warning_ask(void)
{
	static char text[131072], *argv[4096];
	char script[1024], signal[64];
	const char *grace = NULL;
	bool asked = false;
	int n = command_line(text, sizeof(text), argv, (int)(sizeof(argv) / sizeof(argv[0])));

	for (int i = 1; i < n; i++)
		if (is_option(argv[i]) || script_asks(argv[i], script, sizeof(script))) {
			asked = true;
			grace = strstr(is_option(argv[i]) ? argv[i] : script, "grace=");
		}
	if (!asked)
		return;
	snprintf(signal, sizeof(signal), "B:USR1@%ld", (grace ? strtol(grace + 6, NULL, 10) : GRACE_DEFAULT) + GRACE_ROOM);
	setenv("SBATCH_SIGNAL", signal, 0);
	setenv("SBATCH_REQUEUE", "1", 0);
}

/* --- srun --- */

static bool pmix_asked(char **argv)
{
	const char *type = getenv("SLURM_MPI_TYPE");

	for (char **a = argv + 1; *a; a++) {
		if (!strncmp(*a, "--mpi=", 6))
			return !strncmp(*a + 6, "pmix", 4);
		if (!strcmp(*a, "--mpi") && a[1])
			return !strncmp(a[1], "pmix", 4);
	}
	return type && !strncmp(type, "pmix", 4);
}

/*
 * By an option of its own: ompi-cr-srun. By the option of the job that it runs in: when it starts MPI ranks, for mpirun uses srun as well; in a batch script
 * as the script's ompi-cr-batch.
 */
static int srun_become(void)
{
	static char text[131072], *old[4096], *argv[4098];
	int n = command_line(text, sizeof(text), old, (int)(sizeof(old) / sizeof(old[0]))), k = 0;
	bool own = false, batch = getenv(BATCH_ENV_AUTO) && !getenv(BATCH_ENV_RUNS);

	if (n < 1) {
		slurm_error(OPTION ": the command line cannot be read: %s", strerror(n < 0 ? -n : EINVAL));
		return -1;
	}
	for (int i = 1; i < n; i++)
		own |= is_option(old[i]);
	if (!own && !pmix_asked(old))
		return 0;
	if (batch) {
		argv[k++] = (char *)CR_BINDIR "/ompi-cr-batch";
		argv[k++] = (char *)"srun";
	} else {
		argv[k++] = (char *)CR_BINDIR "/ompi-cr-srun";
	}
	for (int i = 1; i < n; i++)
		if (!is_option(old[i]))
			argv[k++] = old[i];
	execv(argv[0], argv);
	slurm_error(OPTION ": %s: %s", argv[0], strerror(errno));
	return -1;
}

/* --- where Slurm calls us --- */

typedef int (*set_variable)(spank_t spank, const char *name, const char *value, int overwrite);

static int set_here(spank_t spank, const char *name, const char *value, int overwrite)
{
	(void)spank;
	return setenv(name, value, overwrite);
}

static int set_in_job(spank_t spank, const char *name, const char *value, int overwrite)
{
	spank_err_t rc = spank_setenv(spank, name, value, overwrite);

	return rc == ESPANK_SUCCESS || rc == ESPANK_ENV_EXISTS ? 0 : -1;
}

static int settings_set(spank_t spank, set_variable set)
{
	int rc = 0;

	for (int i = 0; i < WORDS; i++)
		if (option.value[i][0])
			rc |= set(spank, words[i].variable, option.value[i], 1);
	return rc;
}

/* The component has to be found by a plain mpirun. */
static int component_path_set(spank_t spank)
{
	char old[PATH_MAX], path[2 * PATH_MAX];

	if (spank_getenv(spank, COMPONENT_PATH, old, sizeof(old)) != ESPANK_SUCCESS || !old[0])
		snprintf(old, sizeof(old), "SYSTEM_DEFAULT:USER_DEFAULT");
	if (strstr(old, CR_MCADIR))
		return 0;
	snprintf(path, sizeof(path), CR_MCADIR ":%s", old);
	return set_in_job(spank, COMPONENT_PATH, path, 1);
}

int slurm_spank_init(spank_t spank, int argc, char **argv);
int slurm_spank_init_post_opt(spank_t spank, int argc, char **argv);
int slurm_spank_user_init(spank_t spank, int argc, char **argv);

int slurm_spank_init(spank_t spank, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (spank_option_register(spank, &ft_cr) != ESPANK_SUCCESS)
		return -1;
	if (spank_context() == S_CTX_ALLOCATOR)
		warning_ask();
	return 0;
}

int slurm_spank_init_post_opt(spank_t spank, int argc, char **argv)
{
	spank_context_t context = spank_context();

	(void)argc;
	(void)argv;
	if (!option.asked || (context != S_CTX_LOCAL && context != S_CTX_ALLOCATOR))
		return 0;
	if (getenv(CR_ENV_SNAPC_SOCKET)) /* ompi-cr-srun's own srun */
		return 0;
	if (settings_set(spank, set_here) != 0)
		return -1;
	return context == S_CTX_LOCAL ? srun_become() : 0;
}

/* In slurmstepd, for the batch script. */
int slurm_spank_user_init(spank_t spank, int argc, char **argv)
{
	uint32_t step = 0;

	(void)argc;
	(void)argv;
	if (!option.asked || !spank_remote(spank) || spank_get_item(spank, S_JOB_STEPID, &step) != ESPANK_SUCCESS || step != SLURM_BATCH_SCRIPT)
		return 0;
	if (settings_set(spank, set_in_job) != 0 || set_in_job(spank, BATCH_ENV_AUTO, "1", 1) != 0 || component_path_set(spank) != 0) {
		slurm_error(OPTION ": the environment of the batch script cannot be set");
		return -1;
	}
	return 0;
}
