/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The context file under its name: written beside it, put in place in one step.
 *
 * Invariant: at each moment the name leads to the old file, or to the complete new one; with a backup the old one has a name at each moment.
 */
#include "libcr/tools/checkpoint_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcr/tools/progress.h"

static char guarded[1024];

/* The process removes what it has not finished when we are gone; what it has finished is ours to remove. */
static void interrupted(int sig)
{
	unlink(guarded);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void guard(const char *path)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	snprintf(guarded, sizeof(guarded), "%s", path);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signal(signals[i], interrupted) == SIG_IGN)
			signal(signals[i], SIG_IGN);
}

static int absolute(const char *dir, const char *name, char *path, size_t bytes, struct cr_err *err)
{
	char cwd[1024] = "";
	int n;

	if (name[0] != '/' && !(dir && dir[0] == '/') && !getcwd(cwd, sizeof(cwd)))
		return cr_err_set(err, errno, "working directory: %s", strerror(errno));
	if (name[0] == '/')
		n = snprintf(path, bytes, "%s", name);
	else if (dir)
		n = snprintf(path, bytes, "%s%s%s/%s", cwd, cwd[0] ? "/" : "", dir, name);
	else
		n = snprintf(path, bytes, "%s/%s", cwd, name);
	return n < 0 || (size_t)n + 24 >= bytes ? cr_err_set(err, ENAMETOOLONG, "%s: name too long", name) : 0;
}

int checkpoint_file_init(struct checkpoint_file *f, int pid, struct cr_err *err)
{
	char name[64];
	int rc;

	snprintf(name, sizeof(name), f->fd >= 0 ? "cr_checkpoint.%d" : "context.%d", pid);
	if (f->fd >= 0 && (fcntl(f->fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return cr_err_set(err, EBADF, "descriptor %d is not open for writing", f->fd);
	if (f->fd >= 0)
		rc = absolute(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", name, f->path, sizeof(f->path), err);
	else
		rc = absolute(f->dir, f->name ? f->name : name, f->path, sizeof(f->path), err);
	if (rc)
		return rc;
	if (f->fd < 0 && f->replace == CHECKPOINT_NOCLOBBER && !access(f->path, F_OK))
		return cr_err_set(err, EEXIST, "%s exists", f->path);
	snprintf(f->temporary, sizeof(f->temporary), "%.1000s.tmp.%d", f->path, (int)getpid());
	guard(f->temporary);
	return 0;
}

void checkpoint_file_abandon(const struct checkpoint_file *f)
{
	unlink(f->temporary);
}

/* A second name for the file that is to be replaced. None is there: nothing to keep. */
static int keep_old(const struct checkpoint_file *f, struct cr_err *err)
{
	char to[1100];

	if (access(f->path, F_OK))
		return 0;
	if (f->backup_name) {
		int rc = absolute(NULL, f->backup_name, to, sizeof(to), err);

		if (rc)
			return rc;
		unlink(to);
		if (!link(f->path, to) || !rename(f->path, to))
			return 0;
		return cr_err_set(err, errno, "%s cannot be kept as %s: %s", f->path, to, strerror(errno));
	}
	for (int i = 1; i < 100000; i++) {
		snprintf(to, sizeof(to), "%s.~%d~", f->path, i);
		if (!link(f->path, to))
			return 0;
		/* Not every file system has links. */
		if (errno != EEXIST && !renameat2(AT_FDCWD, f->path, AT_FDCWD, to, RENAME_NOREPLACE))
			return 0;
		if (errno != EEXIST)
			break;
	}
	return cr_err_set(err, errno, "%s cannot be kept as %s: %s", f->path, to, strerror(errno));
}

/* What comes to be at the path meanwhile is not lost with --noclobber. File systems that cannot rename so can link. */
static int put_in_place(const struct checkpoint_file *f, struct cr_err *err)
{
	if (f->replace != CHECKPOINT_NOCLOBBER) {
		if (!rename(f->temporary, f->path))
			return 0;
	} else if (!renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->path, RENAME_NOREPLACE)) {
		return 0;
	} else if (errno == EINVAL || errno == ENOSYS) {
		if (!link(f->temporary, f->path)) {
			unlink(f->temporary);
			return 0;
		}
	}
	if (errno == EEXIST)
		return cr_err_set(err, EEXIST, "%s exists", f->path);
	return cr_err_set(err, errno, "cannot rename %s to %s: %s", f->temporary, f->path, strerror(errno));
}

static void sync_dir(const char *path)
{
	char dir[1024];
	int fd;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

static int copy_to_fd(const struct checkpoint_file *f, struct cr_err *err)
{
	int in = open(f->temporary, O_RDONLY | O_CLOEXEC);
	struct cr_progress bar;
	char buf[65536];
	ssize_t n = in < 0 ? -1 : 1;
	struct stat st = { .st_size = 0 };
	int failed;

	if (in >= 0 && fstat(in, &st) < 0)
		n = -1;
	cr_progress_begin(&bar, "copy", (uint64_t)st.st_size, f->quiet);
	while (n > 0 && (n = read(in, buf, sizeof(buf))) > 0) {
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(f->fd, buf + done, (size_t)(n - done));
			if (w < 0 && errno != EINTR) {
				n = -1;
				break;
			}
			w = w < 0 ? 0 : w;
			cr_progress_add(&bar, (uint64_t)w);
		}
	}
	failed = errno;
	cr_progress_end(&bar);
	if (n < 0)
		cr_err_set(err, failed, "the context file cannot be copied to descriptor %d: %s", f->fd, strerror(errno));
	if (in >= 0)
		close(in);
	if (n == 0 && !f->nosync)
		fsync(f->fd);
	unlink(f->temporary);
	return n < 0 ? -EIO : 0;
}

int checkpoint_file_commit(struct checkpoint_file *f, struct cr_err *err)
{
	int rc;

	if (f->fd >= 0)
		return copy_to_fd(f, err);
	rc = f->replace == CHECKPOINT_BACKUP ? keep_old(f, err) : 0;
	if (!rc)
		rc = put_in_place(f, err);
	if (rc)
		checkpoint_file_abandon(f);
	else if (!f->nosync)
		sync_dir(f->path);
	return rc;
}
