/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The component that mpirun loads; see schizo_ompicr.h.
 *
 * Order inside mpirun (4.1): register_params (before the command line has been parsed), parse_env once per application context
 * (parameters are known, the event base runs, nothing has been launched), setup_child for every rank of this node, finalize.
 * Inside orted: setup_fork when the job's ranks of this node are about to be started, setup_child for each of them, finalize.
 */
#include "orte-tools/mca/schizo_ompicr.h"

#include "orte_config.h"
#include "orte/constants.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opal/mca/base/base.h"
#include "opal/mca/event/event.h"
#include "opal/util/argv.h"
#include "opal/util/cmd_line.h"
#include "opal/util/opal_environ.h"
#include "orte/mca/plm/plm.h"
#include "orte/mca/rml/rml.h"
#include "orte/mca/schizo/schizo.h"
#include "orte/runtime/orte_globals.h"
#include "orte/util/name_fns.h"

#include "include/cr_proto.h"
#include "orte-tools/sched/batch_env.h"
#include "snapc/settings.h"
#include "snapc/snapshot.h"

extern char **environ;

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define OMPI_VERSION_TEXT TEXT(ORTE_MAJOR_VERSION) "." TEXT(ORTE_MINOR_VERSION) "." TEXT(ORTE_RELEASE_VERSION)

static int register_params(void);
static int component_query(mca_base_module_t **module, int *priority);
static int parse_env(char *path, opal_cmd_line_t *cmd_line, char **srcenv, char ***dstenv);
static int setup_fork(orte_job_t *jdata, orte_app_context_t *app);
static int setup_child(orte_job_t *jdata, orte_proc_t *child, orte_app_context_t *app, char ***env);
static void finalize(void);

ORTE_MODULE_DECLSPEC extern orte_schizo_base_component_t mca_schizo_ompicr_component;

orte_schizo_base_component_t mca_schizo_ompicr_component = {
	.base_version = {
		MCA_SCHIZO_BASE_VERSION_1_0_0,
		.mca_component_name = "ompicr",
		MCA_BASE_MAKE_VERSION(component, ORTE_MAJOR_VERSION, ORTE_MINOR_VERSION, ORTE_RELEASE_VERSION),
		.mca_query_component = component_query,
		.mca_register_component_params = register_params,
	},
	.base_data = {
		MCA_BASE_METADATA_PARAM_CHECKPOINT
	},
};

static orte_schizo_base_module_t module = {
	.parse_env = parse_env,
	.setup_fork = setup_fork,
	.setup_child = setup_child,
	.finalize = finalize,
};

/* Where Open MPI keeps the parameters. On the heap and never freed: Open MPI looks at them after it has unloaded the component. */
struct params {
	bool enable;
	char *snapshot_dir; /* for ompi_info; read from the environment, where mpirun's command line goes before it */
	char *cr_run;
	char *snapcd;
	char *keep;
	char *auth;
	char *network;
	char *port;
};

/* One struct for what the component holds (mpirun has one job). */
static struct {
	bool mpirun;
	bool orted;
	bool asked;
	bool terminated;
	struct params *params;
	char **env_list;      /* mca_base_env_list of an AMCA file: too late for mpirun to see it by itself */
	struct snapc_settings *settings;
	char job[32];
	char dir[PATH_MAX];
	struct ompicr_coord coord;
	opal_event_t *event;
} state = { .coord.fd = -1 };

static void program_find(void)
{
	char exe[PATH_MAX], *name;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return;
	exe[n] = '\0';
	name = strrchr(exe, '/') + 1;
	state.mpirun = strcmp(name, "orterun") == 0 || strcmp(name, "mpirun") == 0 || strcmp(name, "mpiexec") == 0;
	state.orted = strcmp(name, "orted") == 0;
}

static void var_string(const char *name, const char *text, const char *preset, char **storage)
{
	*storage = (char *)preset;
	mca_base_var_register("ompi", "ompi", "cr", name, text, MCA_BASE_VAR_TYPE_STRING, NULL, 0, 0, OPAL_INFO_LVL_3,
			      MCA_BASE_VAR_SCOPE_READONLY, storage);
}

/*
 * `sbatch --ft-cr`: a plain mpirun in the batch script becomes one under ompi-cr-batch, which starts mpirun again. Nothing has been done yet that would
 * have to be undone.
 */
static void batch_become(void)
{
	static char text[131072], *argv[8192];
	size_t bytes, n = 1;
	FILE *f;

	if (!getenv(BATCH_ENV_AUTO) || getenv(BATCH_ENV_RUNS))
		return;
	f = fopen("/proc/self/cmdline", "re");
	bytes = f ? fread(text, 1, sizeof(text), f) : 0;
	if (f)
		fclose(f);
	argv[0] = (char *)CR_BINDIR "/ompi-cr-batch";
	for (size_t at = 0; at < bytes && bytes < sizeof(text) && n < sizeof(argv) / sizeof(argv[0]) - 1; at += strlen(text + at) + 1)
		argv[n++] = text + at;
	if (n < 3 || !strcmp(argv[2], "--version") || !strcmp(argv[2], "-V") || !strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"))
		return;
	execv(argv[0], argv);
	fprintf(stderr, "ompi-cr: %s: %s; the job runs, and is not saved at its preemption\n", argv[0], strerror(errno));
}

static int register_params(void)
{
	program_find();
	if (state.mpirun)
		batch_become();
	if (state.mpirun) {
		bool before = getenv("OMPI_MCA_mca_base_env_list") != NULL;
		char *list;

		ompicr_amca_apply();
		list = getenv("OMPI_MCA_mca_base_env_list");
		if (list && !before)
			state.env_list = opal_argv_split(list, ';');
	}
	state.params = calloc(1, sizeof(*state.params));
	if (!state.params)
		return ORTE_ERR_OUT_OF_RESOURCE;
	mca_base_var_register("ompi", "ompi", "cr", "enable", "Run the job under checkpoint/restart protection (set by -am ft-enable-cr)",
			      MCA_BASE_VAR_TYPE_BOOL, NULL, 0, 0, OPAL_INFO_LVL_3, MCA_BASE_VAR_SCOPE_READONLY, &state.params->enable);
	var_string("snapshot_dir", "Directory for global snapshots (default: $OMPI_CR_SNAPSHOT_DIR, else $HOME)", NULL, &state.params->snapshot_dir);
	var_string("run", "Program that every rank is started through", CR_BINDIR "/cr_run", &state.params->cr_run);
	var_string("snapcd", "Snapshot coordinator that is started beside mpirun", CR_SNAPCD, &state.params->snapcd);
	var_string("auth", "How other nodes prove that they are the job's: auto, munge or secret", NULL, &state.params->auth);
	var_string("network", "Interfaces or networks that other nodes use to reach the coordinator (default: oob_tcp_if_include, else all)", NULL,
		   &state.params->network);
	var_string("port", "TCP port of the coordinator for other nodes; 0: any", NULL, &state.params->port);
	var_string("keep", "How many newest snapshots of the job stay; 0: all", NULL, &state.params->keep);
	return ORTE_SUCCESS;
}

static int component_query(mca_base_module_t **ret_module, int *priority)
{
	*priority = 1;
	*ret_module = state.mpirun || state.orted ? (mca_base_module_t *)&module : NULL;
	return *ret_module ? ORTE_SUCCESS : ORTE_ERROR;
}

static bool parameter_true(const char *name)
{
	const char *v = getenv(name);

	return v && v[0] && strcmp(v, "0") != 0 && strcasecmp(v, "false") != 0 && strcasecmp(v, "no") != 0 && strcasecmp(v, "disabled") != 0;
}

/* The command line is in the environment by now, and goes before the file that set the variable at registration. */
static bool enabled(void)
{
	if (getenv("OMPI_MCA_ompi_cr_enable"))
		return parameter_true("OMPI_MCA_ompi_cr_enable");
	return state.params->enable || parameter_true("OMPI_MCA_ft_cr_enabled");
}

static const char *parameter(const char *name, const char *preset)
{
	const char *v = getenv(name);

	return v && v[0] ? v : preset;
}

static void coord_event(int fd, short what, void *arg);

static void coord_watch(void)
{
	if (!state.event)
		state.event = opal_event_alloc();
	opal_event_set(orte_event_base, state.event, state.coord.fd, OPAL_EV_READ | OPAL_EV_PERSIST, coord_event, NULL);
	opal_event_add(state.event, NULL);
}

static void coord_lost(const char *why)
{
	fprintf(stderr, "ompi-cr: the coordinator of job %s has ended%s%s (log: %s); the job runs on, without protection\n", state.job, why[0] ? ", " : "",
		why, state.coord.log);
}

/* Its processes are gone, all of them: if that was not meant to be, others take their place. */
static void coord_gone(void)
{
	opal_event_del(state.event);
	if (state.terminated || orte_job_term_ordered || orte_abnormal_term_ordered || orte_finalizing)
		return;
	if (state.coord.leaves) {
		coord_lost("");
		return;
	}
	setenv(SNAPC_ENV_OMPI_VERSION, OMPI_VERSION_TEXT, 1);
	if (ompicr_coord_again(&state.coord) < 0) {
		coord_lost(state.coord.words);
	} else {
		fprintf(stderr, "ompi-cr: the coordinator of job %s on %s has died, with its supervisor: another one is started (log: %s)\n", state.job,
			orte_process_info.nodename, state.coord.log);
		coord_watch();
	}
	unsetenv(SNAPC_ENV_OMPI_VERSION);
}

static void coord_event(int fd, short what, void *arg)
{
	char text[1024], *words;
	ssize_t n = read(fd, text, sizeof(text) - 1);

	(void)what;
	(void)arg;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		coord_gone();
		return;
	}
	text[n] = '\0';
	if (!ompicr_coord_heard(&state.coord, text))
		fprintf(stderr, "ompi-cr: the coordinator of job %s cannot be replaced: %s\n", state.job, state.coord.words);
	words = strstr(text, "abort: ");
	if (words) {
		fprintf(stderr, "ompi-cr: %.*s\n", (int)strcspn(words + 7, "\n"), words + 7);
		ORTE_UPDATE_EXIT_STATUS(1);
	}
	if (strstr(text, "terminate\n")) {
		/* Nobody is left to be told how the ranks ended, and PMIx 4.2 complains about the way in which ORTE tells. */
		state.terminated = true;
		orte_rml.recv_cancel(ORTE_NAME_WILDCARD, ORTE_RML_TAG_NOTIFICATION);
		orte_plm.terminate_job(ORTE_CONSTRUCT_LOCAL_JOBID(ORTE_PROC_MY_NAME->jobid, 1));
	}
}

/* Every rank through cr_run. A fork agent that the user has set is run through it as well. */
static void fork_agent_set(const char *cr_run)
{
	char **agent = NULL, *line;

	opal_argv_append_nosize(&agent, cr_run);
	for (char **w = orte_fork_agent; w && *w; w++)
		opal_argv_append_nosize(&agent, *w);
	orte_fork_agent = agent;
	line = opal_argv_join(agent, ' ');
	setenv("OMPI_MCA_orte_fork_agent", line, 1);
	/* plm/rsh hands the environment's parameters on, those of schedulers (plm/slurm) hand on what was here when mpirun began. */
	opal_setenv("OMPI_MCA_orte_fork_agent", line, true, &orte_launch_environ);
	free(line);
}

/* Better said now than at the first checkpoint. The directory itself may be made then, its parent not. */
static void snapshot_dir_check(const char *dir)
{
	char parent[PATH_MAX], *slash;

	snprintf(parent, sizeof(parent), "%s", dir);
	slash = strrchr(parent, '/');
	if (access(dir, F_OK) < 0 && errno == ENOENT && slash && slash != parent)
		*slash = '\0';
	if (access(parent, W_OK | X_OK) < 0)
		fprintf(stderr, "ompi-cr: snapshot directory %s: %s: %s; checkpoints of this job will fail (set ompi_cr_snapshot_dir)\n", dir, parent,
			strerror(errno));
}

/* From a parameter file of Open MPI when it is there, else from what ompi-cr-info shows. */
static const char *setting(enum snapc_setting_id id, const char *from_file)
{
	return from_file && from_file[0] ? from_file : state.settings->all[id].value;
}

static int settings_read(void)
{
	struct cr_err err = { "" };

	if (snapc_settings_load(&state.settings, &err) == 0 && snapc_settings_export(state.settings) == 0)
		return ORTE_SUCCESS;
	fprintf(stderr, "ompi-cr: %s\nompi-cr: no rank was started\n", err.text[0] ? err.text : "out of memory");
	return ORTE_ERR_SILENT;
}

/* The deadlines that processes keep themselves come from files as well. */
static void settings_hand_on(char ***env)
{
	char name[128];

	for (int i = 0; i < SNAPC_SETTINGS; i++) {
		if (state.settings->all[i].origin == SNAPC_FROM_DEFAULT)
			continue;
		snapc_setting_env_name((enum snapc_setting_id)i, name, sizeof(name));
		opal_setenv(name, state.settings->all[i].value, true, env);
	}
}

static int job_protect(opal_cmd_line_t *cmd_line)
{
	const char *cr_run = parameter("OMPI_MCA_ompi_cr_run", state.params->cr_run), *from = getenv(SNAPC_ENV_RESTARTED_FROM);
	struct ompicr_coord *c = &state.coord;

	if (settings_read() != ORTE_SUCCESS)
		return ORTE_ERR_SILENT;
	snprintf(state.job, sizeof(state.job), "%u.1", (unsigned int)ORTE_JOB_FAMILY(ORTE_PROC_MY_NAME->jobid));
	if (ompicr_snapshot_dir(state.dir, sizeof(state.dir)) < 0) {
		fprintf(stderr, "ompi-cr: the path of the snapshot directory is too long; set ompi_cr_snapshot_dir\n");
		return ORTE_ERR_SILENT;
	}
	if (strchr(cr_run, ' ') || access(cr_run, X_OK) < 0) {
		fprintf(stderr, "ompi-cr: %s: %s; set ompi_cr_run to the path of cr_run\n", cr_run,
			strchr(cr_run, ' ') ? "a path with blanks cannot be used" : strerror(errno));
		return ORTE_ERR_SILENT;
	}
	snapshot_dir_check(state.dir);
	c->mpirun_pid = getpid();
	c->keep = setting(SNAPC_SETTING_KEEP, state.params->keep);
	c->job = state.job;
	c->snapshot_dir = state.dir;
	c->snapcd = parameter("OMPI_MCA_ompi_cr_snapcd", state.params->snapcd);
	c->auth = setting(SNAPC_SETTING_AUTH, state.params->auth);
	c->network = setting(SNAPC_SETTING_NETWORK, state.params->network);
	if (!c->network[0])
		c->network = getenv("OMPI_MCA_oob_tcp_if_include");
	c->port = setting(SNAPC_SETTING_PORT, state.params->port);
	c->restarted_from = from && from[0] ? from : NULL;
	c->restarted_seq = getenv(SNAPC_ENV_RESTARTED_SEQ);
	setenv(SNAPC_ENV_OMPI_VERSION, OMPI_VERSION_TEXT, 1);
	if (ompicr_coord_start(c) < 0) {
		fprintf(stderr, "ompi-cr: the coordinator cannot be started: %s\n"
				"ompi-cr: no rank was started; run without -am ft-enable-cr to go without protection\n", c->words);
		return ORTE_ERR_SILENT;
	}
	unsetenv(SNAPC_ENV_OMPI_VERSION);
	coord_watch();
	/* A job that is brought back starts the restorer itself: it is not a program to protect but what protection is made of. */
	if (!c->restarted_from)
		fork_agent_set(cr_run);
	if (!opal_cmd_line_is_taken(cmd_line, "q") && !opal_cmd_line_is_taken(cmd_line, "quiet"))
		fprintf(stderr, "ompi-cr: job %s (mpirun pid %d), snapshots in %s\n", state.job, (int)getpid(), state.dir);
	return ORTE_SUCCESS;
}

/* What concerns this mpirun alone must not reach the ranks. */
static void env_clean(char ***env)
{
	static const char *const names[] = { "OMPI_MCA_orte_fork_agent", "OMPI_MCA_mca_base_param_file_prefix", SNAPC_ENV_RESTARTED_FROM,
					     SNAPC_ENV_RESTARTED_SEQ, SNAPC_ENV_OMPI_VERSION, CR_ENV_COORDINATOR };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		opal_unsetenv(names[i], env);
}

/* "NAME=value" or "NAME" (as in mpirun's environment). */
static void env_list_apply(char ***env)
{
	for (char **e = state.env_list; e && *e; e++) {
		char *name = strdup(*e), *eq = name ? strchr(name, '=') : NULL;
		const char *value = NULL;

		if (eq) {
			*eq = '\0';
			value = eq + 1;
		} else if (name) {
			value = getenv(name);
		}
		if (name && name[0] && value)
			opal_setenv(name, value, true, env);
		free(name);
	}
}

static int parse_env(char *path, opal_cmd_line_t *cmd_line, char **srcenv, char ***dstenv)
{
	int rc = ORTE_SUCCESS;

	(void)path;
	(void)srcenv;
	ompicr_amca_forget();
	env_list_apply(dstenv);
	if (!state.asked) {
		state.asked = true;
		if (enabled())
			rc = job_protect(cmd_line);
	}
	if (rc == ORTE_SUCCESS && state.coord.fd >= 0)
		opal_setenv(CR_ENV_SNAPC_SOCKET, state.coord.socket, true, dstenv);
	if (rc == ORTE_SUCCESS && state.coord.coordinator[0]) {
		opal_setenv(CR_ENV_COORDINATOR, state.coord.coordinator, true, dstenv);
		settings_hand_on(dstenv);
		opal_setenv("OMPI_MCA_ompi_cr_snapcd", state.coord.snapcd, true, dstenv);
	}
	return rc;
}

static const char *env_find(char **env, const char *name)
{
	size_t length = strlen(name);

	for (char **e = env; e && *e; e++)
		if (strncmp(*e, name, length) == 0 && (*e)[length] == '=')
			return *e + length + 1;
	return NULL;
}

/* In orted: this node's part of a protected job is about to be started. */
static int setup_fork(orte_job_t *jdata, orte_app_context_t *app)
{
	const char *socket = env_find(app->env, CR_ENV_SNAPC_SOCKET), *snapcd = env_find(app->env, "OMPI_MCA_ompi_cr_snapcd");
	struct ompicr_coord *c = &state.coord;

	if (!state.orted || state.asked || !socket || !env_find(app->env, CR_ENV_COORDINATOR))
		return ORTE_SUCCESS;
	state.asked = true;
	snprintf(state.job, sizeof(state.job), "%u.%u", (unsigned int)ORTE_JOB_FAMILY(jdata->jobid), (unsigned int)ORTE_LOCAL_JOBID(jdata->jobid));
	snprintf(c->socket, sizeof(c->socket), "%s", socket);
	c->node = true;
	c->mpirun_pid = getpid();
	c->job = state.job;
	c->snapcd = snapcd ? snapcd : state.params->snapcd;
	c->env = opal_environ_merge(app->env, environ);
	if (ompicr_coord_start(c) < 0)
		fprintf(stderr, "ompi-cr: node %s: the coordinator of this node cannot be started: %s\n"
				"ompi-cr: the job runs, and cannot be checkpointed\n", orte_process_info.nodename, c->words);
	else
		coord_watch();
	return ORTE_SUCCESS;
}

static int setup_child(orte_job_t *jdata, orte_proc_t *child, orte_app_context_t *app, char ***env)
{
	(void)jdata;
	(void)child;
	if (state.coord.fd < 0 && !state.coord.node)
		return ORTE_SUCCESS;
	env_clean(env);
	/* cr_run is told the name alone. A fork agent of the user's is found as every program is. */
	if (orte_fork_agent && !orte_fork_agent[1] && app->app && app->app[0] == '/' && app->argv && app->argv[0] && !strchr(app->argv[0], '/'))
		opal_setenv(CR_ENV_PROGRAM, app->app, true, env);
	return ORTE_SUCCESS;
}

static void finalize(void)
{
	if (state.event) {
		opal_event_del(state.event);
		free(state.event);
		state.event = NULL;
	}
	if (state.coord.fd >= 0)
		close(state.coord.fd);
	state.coord.fd = -1;
	opal_argv_free(state.coord.env);
	state.coord.env = NULL;
	free(state.settings);
	state.settings = NULL;
}
