/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/info_probe.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "libcr/arch/x86_64/fs.h"
#include "snapc/auth.h"
#include "snapc/settings.h"


static void found_file(struct info_probe *p, const char *path, int how)
{
	p->good = access(path, how) == 0;
	snprintf(p->found, sizeof(p->found), "%s%s%s", path, p->good ? "" : ": ", p->good ? "" : strerror(errno));
}

static void probe_kernel(struct info_probe *p)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	p->good = sscanf(u.release, "%d.%d", &major, &minor) == 2 && (major > 5 || (major == 5 && minor >= 9)) && !strcmp(u.machine, "x86_64");
	snprintf(p->found, sizeof(p->found), "%s %s %s", u.sysname, u.release, u.machine);
	p->remedy = "Linux 5.9 or newer on x86-64 is needed";
}

static void probe_fsgsbase(struct info_probe *p)
{
	p->good = getauxval(AT_HWCAP2) & CR_HWCAP2_FSGSBASE;
	snprintf(p->found, sizeof(p->found), "instructions rdfsbase and wrfsbase for programs");
	p->remedy = "every MPI call costs two system calls more; a processor with FSGSBASE, and no kernel parameter nofsgsbase, avoid them";
}

static void probe_seccomp(struct info_probe *p)
{
	unsigned int action = SECCOMP_RET_TRAP;

	p->good = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
	snprintf(p->found, sizeof(p->found), "filters of system calls that send SIGSYS%s%s", p->good ? "" : ": ", p->good ? "" : strerror(errno));
	p->remedy = "a kernel with CONFIG_SECCOMP_FILTER is needed; in a container its profile must allow seccomp()";
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
static void probe_snapshots(const struct snapc_settings *settings, struct info_probe *p)
{
	const char *set = settings->all[SNAPC_SETTING_SNAPSHOT_DIR].value, *home = getenv("HOME");
	char dir[PATH_MAX], *slash;
	struct statvfs fs;

	snprintf(dir, sizeof(dir), "%s", *set ? set : home && *home ? home : "/tmp");
	slash = strrchr(dir, '/');
	if (access(dir, F_OK) < 0 && errno == ENOENT && slash && slash != dir)
		*slash = 0;
	p->good = access(dir, W_OK | X_OK) == 0 && statvfs(dir, &fs) == 0;
	if (p->good)
		snprintf(p->found, sizeof(p->found), "%s: %llu MiB are free", dir, (unsigned long long)fs.f_bavail * fs.f_frsize >> 20);
	else
		snprintf(p->found, sizeof(p->found), "%s: %s", dir, strerror(errno));
	p->remedy = "set snapshot_dir to a directory of yours on a file system that all nodes share";
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
		{ "kernel", probe_kernel, true },
		{ "fsgsbase", probe_fsgsbase, false },
		{ "seccomp", probe_seccomp, true },
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
	return n;
}
