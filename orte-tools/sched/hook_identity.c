/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming the job's user: see hook.h. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orte-tools/sched/hook.h"

extern char **environ;

static bool number(const char *text, unsigned int *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || n >= UINT_MAX)
		return false;
	*ret = (unsigned int)n;
	return true;
}

int hook_user_find(const char *user, const char *group, struct hook_user *u, struct cr_err *err)
{
	unsigned int id;
	struct passwd *pw = number(user, &id) ? getpwuid(id) : getpwnam(user);
	struct group *gr;

	if (!pw)
		return cr_err_set(err, ENOENT, "there is no user %s on this host", user);
	memset(u, 0, sizeof(*u));
	u->uid = pw->pw_uid;
	u->gid = pw->pw_gid;
	snprintf(u->name, sizeof(u->name), "%s", pw->pw_name);
	snprintf(u->home, sizeof(u->home), "%s", pw->pw_dir);
	snprintf(u->shell, sizeof(u->shell), "%s", pw->pw_shell);
	if (!group)
		return 0;
	gr = number(group, &id) ? getgrgid(id) : getgrnam(group);
	if (!gr)
		return cr_err_set(err, ENOENT, "there is no group %s on this host", group);
	u->gid = gr->gr_gid;
	return 0;
}

/* The daemon's environment is not the user's: nothing of it may steer what runs as the user. */
static int environment_set(const struct hook_user *u)
{
	static const char *const kept[] = { "PATH", "LANG", "TZ", "LD_LIBRARY_PATH" };
	const char *values[sizeof(kept) / sizeof(kept[0])];
	int rc = 0;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		values[i] = getenv(kept[i]);
		values[i] = values[i] ? strdup(values[i]) : NULL;
	}
	environ = NULL;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (values[i])
			rc |= setenv(kept[i], values[i], 1);
	rc |= setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 0);
	rc |= setenv("HOME", u->home, 1);
	rc |= setenv("USER", u->name, 1);
	rc |= setenv("LOGNAME", u->name, 1);
	rc |= setenv("SHELL", u->shell, 1);
	return rc;
}

int hook_user_become(const struct hook_user *u, struct cr_err *err)
{
	if (geteuid() == u->uid && getuid() == u->uid && u->uid != 0)
		return 0;
	if (geteuid() != 0)
		return cr_err_set(err, EPERM, "the job is user %s's, and this runs as another one who is not root", u->name);
	if (environment_set(u) != 0)
		return cr_err_set(err, ENOMEM, "no memory for the environment");
	umask(077);
	if (u->uid == 0) {
		setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
		setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
		return 0;
	}
	if (initgroups(u->name, u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 || setresuid(u->uid, u->uid, u->uid) < 0 || setuid(0) == 0)
		return cr_err_set(err, EPERM, "cannot become user %s: %s", u->name, strerror(errno));
	return 0;
}
