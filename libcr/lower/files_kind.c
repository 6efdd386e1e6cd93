/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decide how each open file description is saved, or say why it cannot be.
 *
 * Invariant: a description either gets a kind or is reported; nothing is left out without a word.
 */
#include "libcr/lower/files_ops.h"
#include "libcr/lower/set.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STREAM_FLAGS (O_APPEND | O_NONBLOCK)
#define PIDFS_MAGIC 0x50494446

struct classify {
	struct cr_file_set *set;
	const struct cr_stdio *stdio;
	struct cr_file_refusals *refusals;
};

void cr_stdio_record(struct cr_stdio *ret)
{
	struct stat st;
	int i, flags;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < 3; i++) {
		flags = fcntl(i, F_GETFL);
		if (flags < 0 || fstat(i, &st) < 0)
			continue;
		ret->fd[i].present = 1;
		ret->fd[i].dev = st.st_dev;
		ret->fd[i].ino = st.st_ino;
		ret->fd[i].rdev = st.st_rdev;
		ret->fd[i].mode = st.st_mode;
		ret->fd[i].flags = flags;
	}
}

static bool is_stream(const struct cr_stdio *stdio, int i, const struct stat *st)
{
	return stdio && stdio->fd[i].present && stdio->fd[i].dev == st->st_dev && stdio->fd[i].ino == st->st_ino &&
	       stdio->fd[i].rdev == st->st_rdev && (stdio->fd[i].mode & S_IFMT) == (st->st_mode & S_IFMT);
}

/* The stream that a descriptor goes to: its own number first, then equal flags, then the usual direction. -1: none. */
static int stream_of(const struct cr_stdio *stdio, const struct cr_open_file *file, int fd)
{
	static const int in_first[3] = { 0, 1, 2 }, out_first[3] = { 1, 2, 0 };
	const int *order = (file->flags & O_ACCMODE) == O_RDONLY ? in_first : out_first;
	const int shape = O_ACCMODE | STREAM_FLAGS;
	int k;

	if (fd < 3 && is_stream(stdio, fd, &file->st))
		return fd;
	for (k = 0; k < 3; k++) {
		if (is_stream(stdio, order[k], &file->st) && (stdio->fd[order[k]].flags & shape) == (file->flags & shape))
			return order[k];
	}
	for (k = 0; k < 3; k++) {
		if (is_stream(stdio, order[k], &file->st))
			return order[k];
	}
	return -1;
}

static bool make_stream(struct classify *c, struct cr_open_file *file)
{
	unsigned int i;
	int s;

	for (i = 0; i < file->n_fds; i++) {
		s = stream_of(c->stdio, file, file->fds[i].fd);
		if (s < 0)
			return false;
		file->fds[i].stream = (uint32_t)s;
		file->fds[i].stream_flags = (uint32_t)((file->flags ^ c->stdio->fd[s].flags) & STREAM_FLAGS);
	}
	file->kind = CR_FILE_STREAM;
	return true;
}

static void refuse_object(struct classify *c, const struct cr_open_file *file)
{
	char words[400];

	cr_file_describe(file, words, sizeof(words));
	cr_file_refuse(c->refusals, file, "is %s, which a checkpoint cannot save; close it before the checkpoint", words);
}

/* Does the path still lead to this very object? */
static bool path_leads_here(const struct cr_open_file *file)
{
	struct stat st;

	return lstat(file->link, &st) == 0 && st.st_dev == file->st.st_dev && st.st_ino == file->st.st_ino;
}

/* Files of /proc name processes by number; only our own survive a restart, and under another name. */
static bool take_proc_path(struct classify *c, struct cr_open_file *file)
{
	const char *rest;
	char *end;
	size_t bytes;
	long pid;

	if (strncmp(file->link, "/proc/", 6) != 0 || !isdigit((unsigned char)file->link[6])) {
		file->path = strdup(file->link);
		return true;
	}
	pid = strtol(file->link + 6, &end, 10);
	rest = end;
	if (pid != getpid() || strncmp(rest, "/task/", 6) == 0) {
		cr_file_refuse(c->refusals, file, "is %s, which names a process or a thread by a number that a restart does not keep; close it before the checkpoint",
			       file->link);
		return false;
	}
	bytes = strlen("/proc/self") + strlen(rest) + 1;
	file->path = malloc(bytes);
	if (file->path)
		snprintf(file->path, bytes, "/proc/self%s", rest);
	return true;
}

static bool take_path(struct classify *c, struct cr_open_file *file)
{
	struct statfs fs = { 0 };

	if (!(file->flags & O_PATH))
		fstatfs(file->fds[0].fd, &fs);
	switch (fs.f_type) {
	case PROC_SUPER_MAGIC:
		file->attrs |= CR_FILE_PSEUDO;
		return take_proc_path(c, file);
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
		file->attrs |= CR_FILE_PSEUDO;
		break;
	}
	file->path = strdup(file->link);
	return true;
}

static void take_named(struct classify *c, struct cr_open_file *file, uint32_t kind)
{
	if (!path_leads_here(file) && (S_ISDIR(file->st.st_mode) || kind == CR_FILE_FIFO) && file->st.st_nlink == 0) {
		file->path = strndup(file->link, cr_file_name_bytes(file->link));
		file->attrs |= CR_FILE_NAMELESS;
		file->kind = kind;
		return;
	}
	if (!path_leads_here(file) && S_ISREG(file->st.st_mode)) {
		file->path = cr_file_other_name(file->link, &file->st, c->set->floor);
		if (file->path) {
			file->kind = kind;
			return;
		}
	}
	if (!path_leads_here(file)) {
		cr_file_refuse(c->refusals, file, "is a %s that can no longer be reached under its name %s; close it, or put the name back before the checkpoint",
			       S_ISDIR(file->st.st_mode) ? "directory" : S_ISREG(file->st.st_mode) ? "file" : "device or link", file->link);
		return;
	}
	if (take_path(c, file))
		file->kind = kind;
}

/* NFS keeps a file that was unlinked while open under a name of its own, and removes it when the process ends. */
static bool is_nfs_leftover(const struct cr_open_file *file, const struct statfs *fs)
{
	const char *base = strrchr(file->link, '/');

	return fs->f_type == NFS_SUPER_MAGIC && base && strncmp(base, "/.nfs", 5) == 0 && strspn(base + 5, "0123456789abcdef") == strlen(base + 5);
}

static void take_unlinked(struct classify *c, struct cr_open_file *file)
{
	/* A log that somebody removed is still the standard stream that somebody else connects. */
	if (make_stream(c, file))
		return;
	file->path = strndup(file->link, cr_file_name_bytes(file->link));
	file->kind = CR_FILE_UNLINKED;
}

/* Objects of the kernel, by what proc calls them. */
static void take_object(struct classify *c, struct cr_open_file *file)
{
	uint32_t kind;

	for (kind = CR_FILE_REGULAR; kind < CR_FILE_KINDS; kind++) {
		const char *link = cr_file_ops_of(kind)->link;

		if (link && strncmp(file->link, link, strlen(link)) == 0) {
			file->kind = kind;
			return;
		}
	}
	if (strncmp(file->link, "anon_inode:[pidfd]", 18) == 0 || strncmp(file->link, "pidfd:", 6) == 0)
		file->kind = CR_FILE_PIDFD;
	else
		refuse_object(c, file);
}

static void take_regular(struct classify *c, struct cr_open_file *file)
{
	struct statfs fs = { 0 };

	fstatfs(file->fds[0].fd, &fs);
	if (fs.f_type == CR_FILE_MQUEUE_MAGIC && file->link[0] == '/' && !strchr(file->link + 1, '/')) {
		file->kind = CR_FILE_MQUEUE;
		return;
	}
	if (file->link[0] != '/' || fs.f_type == CR_FILE_MQUEUE_MAGIC || fs.f_type == PIDFS_MAGIC || fs.f_type == NSFS_MAGIC ||
	    fs.f_type == SECRETMEM_MAGIC || fs.f_type == DMA_BUF_MAGIC || fs.f_type == ANON_INODE_FS_MAGIC ||
	    (file->st.st_nlink == 0 && strncmp(file->link, "/memfd:", 7) == 0)) {
		take_object(c, file);
		return;
	}
	if (file->st.st_nlink == 0 || is_nfs_leftover(file, &fs))
		take_unlinked(c, file);
	else
		take_named(c, file, CR_FILE_REGULAR);
}

static void take_pipe(struct classify *c, struct cr_open_file *file)
{
	const char *reason;

	if (make_stream(c, file))
		return;
	reason = cr_file_pipe_outside(c->set, file);
	if (reason) {
		cr_file_refuse(c->refusals, file, "is %s, and %s; close it before the checkpoint", file->link, reason);
		return;
	}
	if (file->link[0] == '/')
		take_named(c, file, CR_FILE_FIFO);
	else
		file->kind = CR_FILE_PIPE;
}

static void take_character_device(struct classify *c, struct cr_open_file *file)
{
	static const unsigned int memory_minors[] = { 3, 5, 7, 8, 9 }; /* null zero full random urandom */
	dev_t rdev = file->st.st_rdev;
	size_t i;

	if (isatty(file->fds[0].fd)) {
		if (rdev == makedev(5, 2) || (major(rdev) >= 128 && major(rdev) <= 135))
			refuse_object(c, file); /* the master of a pseudo-terminal */
		else if (!make_stream(c, file))
			take_named(c, file, CR_FILE_TTY);
		return;
	}
	for (i = 0; i < sizeof(memory_minors) / sizeof(memory_minors[0]); i++) {
		if (rdev == makedev(1, memory_minors[i])) {
			take_named(c, file, CR_FILE_DEVICE);
			return;
		}
	}
	refuse_object(c, file);
}

/* Nothing is known of who else uses a standard stream. */
static bool refuse_stream(struct classify *c, const struct cr_open_file *file)
{
	struct f_owner_ex owner = { 0 };
	int fd = file->fds[0].fd;

	if (file->kind != CR_FILE_STREAM)
		return false;
	if (file->n_locks) {
		cr_file_refuse(c->refusals, file, "(%s) holds a file lock or a lease on a standard stream, which a checkpoint cannot save; release it before the checkpoint",
			       file->link);
		return true;
	}
	if (file->flags & O_ASYNC || (fcntl(fd, F_GETOWN_EX, &owner) == 0 && owner.pid != 0) || fcntl(fd, F_GETSIG) > 0) {
		cr_file_refuse(c->refusals, file, "(%s) sends signals about input and output of a standard stream (O_ASYNC, F_SETOWN, F_SETSIG), which a checkpoint cannot save; switch that off before the checkpoint",
			       file->link);
		return true;
	}
	return false;
}

static void take(struct classify *c, struct cr_open_file *file)
{
	if (file->flags & O_PATH) {
		if (file->link[0] == '/' && (S_ISREG(file->st.st_mode) || S_ISDIR(file->st.st_mode) || S_ISLNK(file->st.st_mode)))
			take_named(c, file, CR_FILE_PATH);
		else
			refuse_object(c, file);
		return;
	}
	switch (file->st.st_mode & S_IFMT) {
	case S_IFREG:
		take_regular(c, file);
		break;
	case S_IFDIR:
		take_named(c, file, CR_FILE_DIRECTORY);
		break;
	case S_IFIFO:
		take_pipe(c, file);
		break;
	case S_IFCHR:
		take_character_device(c, file);
		break;
	case S_IFSOCK:
		if (!make_stream(c, file))
			file->kind = CR_FILE_SOCKET;
		break;
	default:
		take_object(c, file);
	}
}

static void classify(struct classify *c, struct cr_open_file *file)
{
	const struct cr_file_ops *ops;
	long shared = cr_set_shared(file->fds[0].fd);

	if (shared >= 0) {
		file->kind = CR_FILE_SHARED;
		file->number = (uint32_t)shared;
		cr_file_lock_keep_own(file);
		return;
	}
	take(c, file);
	if (!file->kind)
		return;
	ops = cr_file_ops_of(file->kind);
	if (refuse_stream(c, file) || (file->kind != CR_FILE_STREAM && !cr_file_lock_check(c->set, file, c->refusals)) ||
	    (ops->check && !ops->check(c->set, file, c->refusals)))
		file->kind = 0;
}

void cr_file_set_classify(struct cr_file_set *set, const struct cr_stdio *stdio, struct cr_file_refusals *refusals)
{
	struct classify c = { .set = set, .stdio = stdio, .refusals = refusals };
	unsigned int i;

	for (i = 0; i < set->n; i++) {
		struct cr_open_file *file = &set->files[i];

		if (file->apart)
			continue;
		classify(&c, file);
		if (file->kind && file->kind <= CR_FILE_PATH && file->kind != CR_FILE_PIPE && file->kind != CR_FILE_STREAM && !file->path) {
			file->kind = 0;
			cr_file_refuse(refusals, file, "(%s): out of memory", file->link);
		}
	}
}
