/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registry of protected jobs on this host. */
#include "snapc/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcr/tools/process_stat.h"
#include "snapc/line.h"

#define REGISTRY_SUFFIX ".job"

uint64_t snapc_process_start(pid_t pid)
{
	struct cr_process_stat st;

	return cr_process_stat(pid, &st) ? st.start : 0;
}

/* Opens the directory when it is @uid's alone. */
static int registry_open(const char *path, uid_t uid)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_uid != uid || (st.st_mode & 077)) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

static void registry_home(char *ret_path, size_t bytes)
{
	const char *set = getenv(SNAPC_REGISTRY_ENV), *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (set && *set)
		snprintf(ret_path, bytes, "%s", set);
	else if (runtime && runtime[0] == '/' && stat(runtime, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		snprintf(ret_path, bytes, "%s/ompi-cr", runtime);
	else
		snprintf(ret_path, bytes, "/tmp/ompi-cr-%u", (unsigned)geteuid());
}

void snapc_registry_log(pid_t mpirun_pid, char *ret_path)
{
	char home[PATH_MAX - 64];

	registry_home(home, sizeof(home));
	snprintf(ret_path, PATH_MAX, "%s/snapcd-%d.log", home, (int)mpirun_pid);
}

static int registry_text(const struct snapc_registry_entry *e, char *text, size_t room)
{
	const struct {
		const char *key;
		const char *value;
	} words[] = {
		{ "job", e->job },
		{ "slurm_job", e->slurm_job },
		{ "host", e->host },
		{ "snapc_socket", e->snapc_socket },
		{ "tool_socket", e->tool_socket },
		{ "snapshot_dir", e->snapshot_dir },
		{ "ref", e->ref },
		{ "command", e->command },
		{ "coordinator", e->coordinator },
	};
	int used = snprintf(text, room, "version=1\nmpirun_pid=%d\nmpirun_start=%" PRIu64 "\nsnapcd_pid=%d\nuid=%u\nstarted=%" PRId64 "\n",
			    (int)e->mpirun_pid, e->mpirun_start, (int)e->snapcd_pid, (unsigned)e->uid, e->started);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t left = room - (size_t)used;
		int n;

		if (!words[i].value[0])
			continue;
		n = snprintf(text + used, left, "%s=", words[i].key);

		if (n < 0 || (size_t)n + 2 > left ||
		    snapc_value_encode(words[i].value, strlen(words[i].value), text + used + n, left - (size_t)n - 2) < 0)
			return -ENAMETOOLONG;
		used += (int)strlen(text + used);
		text[used++] = '\n';
	}
	return used;
}

static void registry_text_field(char *to, size_t room, const char *value)
{
	snprintf(to, room, "%s", value);
}

/* Return: 0 or -EINVAL. */
static int registry_parse(char *text, struct snapc_registry_entry *e)
{
	char *rest, *value;

	memset(e, 0, sizeof(*e));
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		value = strchr(line, '=');
		if (!value)
			return -EINVAL;
		*value++ = 0;
		if (snapc_value_decode(value) < 0)
			return -EINVAL;
		if (!strcmp(line, "version") && strcmp(value, "1"))
			return -EINVAL;
		else if (!strcmp(line, "mpirun_pid"))
			e->mpirun_pid = (pid_t)strtol(value, NULL, 10);
		else if (!strcmp(line, "mpirun_start"))
			e->mpirun_start = strtoull(value, NULL, 10);
		else if (!strcmp(line, "snapcd_pid"))
			e->snapcd_pid = (pid_t)strtol(value, NULL, 10);
		else if (!strcmp(line, "started"))
			e->started = strtoll(value, NULL, 10);
		else if (!strcmp(line, "job"))
			registry_text_field(e->job, sizeof(e->job), value);
		else if (!strcmp(line, "slurm_job"))
			registry_text_field(e->slurm_job, sizeof(e->slurm_job), value);
		else if (!strcmp(line, "host"))
			registry_text_field(e->host, sizeof(e->host), value);
		else if (!strcmp(line, "snapc_socket"))
			registry_text_field(e->snapc_socket, sizeof(e->snapc_socket), value);
		else if (!strcmp(line, "tool_socket"))
			registry_text_field(e->tool_socket, sizeof(e->tool_socket), value);
		else if (!strcmp(line, "snapshot_dir"))
			registry_text_field(e->snapshot_dir, sizeof(e->snapshot_dir), value);
		else if (!strcmp(line, "ref"))
			registry_text_field(e->ref, sizeof(e->ref), value);
		else if (!strcmp(line, "coordinator"))
			registry_text_field(e->coordinator, sizeof(e->coordinator), value);
		else if (!strcmp(line, "command"))
			registry_text_field(e->command, sizeof(e->command), value);
	}
	return e->mpirun_pid > 0 && e->mpirun_start && e->tool_socket[0] ? 0 : -EINVAL;
}

static int registry_read(int dir, const char *name, uid_t uid, struct snapc_registry_entry *e)
{
	static char text[65536];
	struct stat st;
	size_t used = 0;
	ssize_t n = 0;
	int fd;

	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != uid) {
		close(fd);
		return -EPERM;
	}
	while (used < sizeof(text) - 1 && (n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	close(fd);
	text[used] = 0;
	if (n < 0 || registry_parse(text, e) < 0)
		return -EINVAL;
	e->uid = uid;
	return 0;
}

static bool registry_is_entry(const char *name)
{
	size_t length = strlen(name), suffix = strlen(REGISTRY_SUFFIX);

	return name[0] != '.' && length > suffix && !strcmp(name + length - suffix, REGISTRY_SUFFIX);
}

typedef int (*registry_visit_fn)(void *arg, const struct snapc_registry_entry *entry);

/* Can this node know that the job has ended, and has it? */
static bool registry_stale(const struct snapc_registry_entry *e, bool far)
{
	char host[sizeof(e->host)] = "";

	if (far && (gethostname(host, sizeof(host) - 1) < 0 || strcmp(host, e->host) != 0))
		return false;
	return snapc_process_start(e->mpirun_pid) != e->mpirun_start;
}

/* @sweep: remove stale entries. @far: entries may be of other nodes. */
static int registry_scan_dir(const char *path, uid_t uid, bool sweep, bool far, registry_visit_fn visit, void *arg)
{
	struct snapc_registry_entry *e;
	struct dirent *d;
	int fd, rc = 0;
	DIR *dir;

	fd = registry_open(path, uid);
	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	e = malloc(sizeof(*e));
	if (!dir || !e) {
		free(e);
		if (dir)
			closedir(dir);
		else
			close(fd);
		return 0;
	}
	while (rc == 0 && (d = readdir(dir))) {
		if (!registry_is_entry(d->d_name) || registry_read(dirfd(dir), d->d_name, uid, e) < 0)
			continue;
		if (registry_stale(e, far)) {
			if (sweep)
				unlinkat(dirfd(dir), d->d_name, 0);
			continue;
		}
		if (visit)
			rc = visit(arg, e);
	}
	free(e);
	closedir(dir);
	return rc;
}

/* @name: of the file, in the directory @home */
static int registry_write(const char *home, const char *name, bool far, const struct snapc_registry_entry *entry, char *ret_path, struct cr_err *err)
{
	static char text[65536];
	char temporary[PATH_MAX];
	int fd, used, rc;

	if (mkdir(home, 0700) < 0 && errno != EEXIST)
		return cr_err_set(err, errno, "cannot make the directory %s: %s", home, strerror(errno));
	fd = registry_open(home, geteuid());
	if (fd < 0)
		return cr_err_set(err, fd, "%s is not a directory of user %u with mode 0700: remove it, or set %s to another one", home, (unsigned)geteuid(),
				  far ? SNAPC_CONTACT_ENV : SNAPC_REGISTRY_ENV);
	close(fd);
	registry_scan_dir(home, geteuid(), true, far, NULL, NULL);
	used = registry_text(entry, text, sizeof(text));
	if (used < 0)
		return cr_err_set(err, used, "the entry of the job in %s would be too long", home);
	if (snprintf(ret_path, PATH_MAX, "%s/%s" REGISTRY_SUFFIX, home, name) >= PATH_MAX ||
	    snprintf(temporary, sizeof(temporary), "%s/.%s.%d", home, name, (int)getpid()) >= (int)sizeof(temporary))
		return cr_err_set(err, ENAMETOOLONG, "the path of %s is too long", home);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cr_err_set(err, errno, "cannot write %s: %s", temporary, strerror(errno));
	rc = write(fd, text, (size_t)used) == used ? 0 : -EIO;
	if (close(fd) < 0 || rc < 0 || rename(temporary, ret_path) < 0) {
		rc = cr_err_set(err, errno ? errno : EIO, "cannot write %s: %s", ret_path, strerror(errno));
		unlink(temporary);
		return rc;
	}
	return 0;
}

int snapc_registry_add(const struct snapc_registry_entry *entry, char *ret_path, struct cr_err *err)
{
	char home[PATH_MAX - 64], name[32];

	registry_home(home, sizeof(home));
	snprintf(name, sizeof(name), "%d", (int)entry->mpirun_pid);
	return registry_write(home, name, false, entry, ret_path, err);
}

/* Return: 0, or -ENOENT: there is no home directory. */
static int contact_home(char *ret_path, size_t bytes, struct cr_err *err)
{
	const char *set = getenv(SNAPC_CONTACT_ENV), *home = getenv("HOME");

	if (set && *set)
		snprintf(ret_path, bytes, "%s", set);
	else if (home && home[0] == '/')
		snprintf(ret_path, bytes, "%s/.ompi-cr", home);
	else
		return cr_err_set(err, ENOENT, "there is no home directory: set " SNAPC_CONTACT_ENV);
	return 0;
}

int snapc_registry_add_far(const struct snapc_registry_entry *entry, char *ret_path, struct cr_err *err)
{
	char home[PATH_MAX - 320], name[sizeof(entry->host) + 16];
	int rc = contact_home(home, sizeof(home), err);

	snprintf(name, sizeof(name), "%s-%d", entry->host, (int)entry->mpirun_pid);
	return rc < 0 ? rc : registry_write(home, name, true, entry, ret_path, err);
}

int snapc_registry_scan_far(registry_visit_fn visit, void *arg, char *ret_dir, struct cr_err *err)
{
	int rc = contact_home(ret_dir, PATH_MAX, err), fd;

	if (rc < 0)
		return rc;
	fd = registry_open(ret_dir, geteuid());
	if (fd < 0)
		return cr_err_set(err, fd, "%s: %s", ret_dir, fd == -EPERM ? "not a directory of yours with mode 0700" : strerror(-fd));
	close(fd);
	return registry_scan_dir(ret_dir, geteuid(), false, true, visit, arg);
}

void snapc_registry_remove(const char *path)
{
	unlink(path);
}

/* Every user's directories, for root. */
static int registry_scan_everybody(const char *parent, const char *fmt_inside, registry_visit_fn visit, void *arg)
{
	char path[PATH_MAX];
	struct dirent *d;
	struct stat st;
	int rc = 0;
	DIR *dir = opendir(parent);

	while (dir && rc == 0 && (d = readdir(dir))) {
		if (d->d_name[0] == '.' || (!*fmt_inside && strncmp(d->d_name, "ompi-cr-", 8)))
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", parent, d->d_name, fmt_inside);
		if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
			rc = registry_scan_dir(path, st.st_uid, false, false, visit, arg);
	}
	if (dir)
		closedir(dir);
	return rc;
}

int snapc_registry_scan(registry_visit_fn visit, void *arg)
{
	const char *set = getenv(SNAPC_REGISTRY_ENV);
	char home[PATH_MAX], path[PATH_MAX];
	int rc;

	registry_home(home, sizeof(home));
	rc = registry_scan_dir(home, geteuid(), false, false, visit, arg);
	if (rc || (set && *set))
		return rc;
	if (geteuid() == 0) {
		rc = registry_scan_everybody("/tmp", "", visit, arg);
		return rc ? rc : registry_scan_everybody("/run/user", "/ompi-cr", visit, arg);
	}
	/* The job may have been started with or without XDG_RUNTIME_DIR (batch, ssh). */
	snprintf(path, sizeof(path), "/run/user/%u/ompi-cr", (unsigned)geteuid());
	if (strcmp(path, home))
		rc = registry_scan_dir(path, geteuid(), false, false, visit, arg);
	snprintf(path, sizeof(path), "/tmp/ompi-cr-%u", (unsigned)geteuid());
	if (!rc && strcmp(path, home))
		rc = registry_scan_dir(path, geteuid(), false, false, visit, arg);
	return rc;
}
