/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/info_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "orte-tools/info_machine.h"
#include "snapc/auth.h"
#include "snapc/settings.h"

static void found_file(struct info_probe *p, const char *path, int how)
{
	p->good = access(path, how) == 0;
	snprintf(p->found, sizeof(p->found), "%s%s%s", path, p->good ? "" : ": ", p->good ? "" : strerror(errno));
}

/* A list of directories as Open MPI has it. */
static bool listed(const char *list, const char *dir)
{
	size_t length = strlen(dir);

	for (; list && *list; list += strcspn(list, ":"), list += *list == ':')
		if (strcspn(list, ":") == length && !strncmp(list, dir, length))
			return true;
	return false;
}

static void probe_component(struct info_probe *p)
{
	const char *path = getenv("OMPI_MCA_mca_base_component_path");

	found_file(p, CR_MCADIR "/mca_schizo_ompicr.so", R_OK);
	p->remedy = "install ompi-cr on this node, at the same path as on the others";
	if (!p->good)
		return;
	p->good = listed(path, CR_MCADIR) || !strcmp(CR_MCADIR, CR_OMPI_COMPONENTDIR);
	if (!p->good)
		snprintf(p->found, sizeof(p->found), CR_MCADIR " is not in OMPI_MCA_mca_base_component_path%s%s", path ? ": " : "", path ? path : "");
	p->remedy = "set the environment: eval \"$(ompi-cr-env)\"";
}

static void probe_parameters(struct info_probe *p)
{
	const char *path = getenv("OMPI_MCA_mca_base_param_file_path");

	found_file(p, CR_AMCADIR "/ft-enable-cr", R_OK);
	p->remedy = "install ompi-cr on this node, at the same path as on the others";
	if (!p->good)
		return;
	p->good = listed(path, CR_AMCADIR) || access("/usr/share/openmpi/amca-param-sets/ft-enable-cr", R_OK) == 0;
	if (!p->good)
		snprintf(p->found, sizeof(p->found), CR_AMCADIR " is not in OMPI_MCA_mca_base_param_file_path%s%s", path ? ": " : "", path ? path : "");
	p->remedy = "set the environment: eval \"$(ompi-cr-env)\"";
}

static void probe_mpirun(struct info_probe *p)
{
	char line[256] = "";
	FILE *f = popen("mpirun --version 2>/dev/null", "re");

	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		pclose(f);
	line[strcspn(line, "\n")] = 0;
	p->good = strstr(line, "Open MPI) 4.1") != NULL;
	snprintf(p->found, sizeof(p->found), "%s", line[0] ? line : "no mpirun in PATH");
	p->remedy = "Open MPI 4.1 is needed (Debian: openmpi-bin), and its mpirun first in PATH";
}

/* Where snapshots will go; it is made at the first checkpoint when its parent is there. */
static int snapshots_where(const struct snapc_settings *settings, char *dir, struct statfs *ret_fs)
{
	const char *set = settings->all[SNAPC_SETTING_SNAPSHOT_DIR].value, *home = getenv("HOME");
	char *slash;

	snprintf(dir, PATH_MAX, "%s", *set ? set : home && *home ? home : "/tmp");
	slash = strrchr(dir, '/');
	if (access(dir, F_OK) < 0 && errno == ENOENT && slash && slash != dir)
		*slash = 0;
	return statfs(dir, ret_fs) < 0 ? -errno : 0;
}

static void probe_snapshots(const struct snapc_settings *settings, struct info_probe *p)
{
	struct statfs fs;
	char dir[PATH_MAX];

	p->good = snapshots_where(settings, dir, &fs) == 0 && access(dir, W_OK | X_OK) == 0;
	snprintf(p->found, sizeof(p->found), "%s%s%s", dir, p->good ? " can be written" : ": ", p->good ? "" : strerror(errno));
	p->remedy = "set snapshot_dir to a directory of yours on a file system that all nodes share";
}

/* kB of a line of /proc/meminfo. */
static unsigned long long memory_kib(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			kib = strtoull(line + strlen(name) + 1, NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static void probe_space(const struct snapc_settings *settings, struct info_probe *p)
{
	unsigned long long memory = memory_kib("MemTotal") >> 10, left = 0;
	struct statfs fs;
	char dir[PATH_MAX];

	if (snapshots_where(settings, dir, &fs) == 0)
		left = (unsigned long long)fs.f_bavail * (unsigned long long)fs.f_bsize >> 20;
	p->good = left >= memory;
	snprintf(p->found, sizeof(p->found), "%s: %llu MiB are free; this node has %llu MiB of memory", dir, left, memory);
	p->remedy = "a job that uses all memory of a node would not fit: free some space, set keep (old snapshots go by themselves), or set another snapshot_dir";
}

static void probe_munge(struct info_probe *p)
{
	struct cr_err err = { "" };

	p->good = snapc_auth_munge_probe(&err) == 0;
	snprintf(p->found, sizeof(p->found), "%s", p->good ? "munged answers" : err.text);
	p->remedy = "install and start munge on all nodes with one key; until then jobs use a secret in the snapshot directory";
}

int info_probe(const struct snapc_settings *settings, struct info_probe *probes)
{
	static const struct {
		const char *name;
		const char *path;
	} programs[] = {
		{ "cr_run", CR_BINDIR "/cr_run" },
		{ "cr_restart", CR_BINDIR "/cr_restart" },
		{ "coordinator", CR_PKGLIBEXECDIR "/snapcd" },
	};
	static const struct {
		const char *name;
		void (*ask)(struct info_probe *p);
		bool needed;
	} questions[] = {
		{ "kernel", info_ask_kernel, true },
		{ "fsgsbase", info_ask_fsgsbase, false },
		{ "seccomp", info_ask_seccomp, true },
		{ "memory map", info_ask_pagemap, true },
		{ "memory scan", info_ask_pagemap_scan, false },
		{ "kernel module", info_ask_module, false },
		{ "open files", info_ask_nofile, false },
		{ "address space", info_ask_memory_limit, true },
		{ "locked memory", info_ask_locked_memory, false },
		{ "processes", info_ask_processes, false },
		{ "file size", info_ask_file_size, false },
		{ "core files", info_ask_core, false },
		{ "Open MPI", probe_mpirun, true },
		{ "component", probe_component, true },
		{ "parameter set", probe_parameters, true },
		{ "munge", probe_munge, false },
	};
	int n = 0;

	memset(probes, 0, INFO_PROBES_MOST * sizeof(*probes));
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++, n++) {
		probes[n].name = questions[i].name;
		probes[n].needed = questions[i].needed;
		questions[i].ask(&probes[n]);
	}
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++, n++) {
		probes[n].name = programs[i].name;
		probes[n].needed = true;
		probes[n].remedy = "install ompi-cr on this node, at the same path as on the others";
		found_file(&probes[n], programs[i].path, X_OK);
	}
	probes[n].name = "snapshot directory";
	probes[n].needed = true;
	probe_snapshots(settings, &probes[n++]);
	probes[n].name = "snapshot space";
	probe_space(settings, &probes[n++]);
	return n;
}
