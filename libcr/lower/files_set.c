/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Take stock of the descriptors below the floor and group them by open file description.
 *
 * Invariant: looking changes nothing that the program can see, except for a status flag that is put back at once where kcmp is forbidden.
 */
#include "libcr/cr_layout.h"
#include "libcr/lower/fd_limit.h"
#include "libcr/lower/files_queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not /proc/self: the first thread of a program may have ended before the others. */
#define SELF "/proc/thread-self"
#define FD_DIR SELF "/fd"

int cr_file_dup_high(int fd, int floor)
{
	int high = cr_fd_dup_at(fd, floor);

	return high < 0 ? -errno : high;
}

int cr_file_move_high(int fd, int floor)
{
	int high;

	if (fd < 0 || fd >= floor)
		return fd;
	high = cr_file_dup_high(fd, floor);
	close(fd);
	return high;
}

int cr_file_open_high(const char *path, int flags, mode_t mode, int floor)
{
	int fd = open(path, flags | O_CLOEXEC, mode);

	return fd < 0 ? -errno : cr_file_move_high(fd, floor);
}

FILE *cr_file_fopen_high(const char *path, int floor)
{
	int fd = cr_file_open_high(path, O_RDONLY, 0, floor);
	FILE *f;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	f = fdopen(fd, "r");
	if (!f)
		close(fd);
	return f;
}

DIR *cr_file_opendir_high(const char *path, int floor)
{
	int fd = cr_file_open_high(path, O_RDONLY | O_DIRECTORY, 0, floor);
	DIR *dir;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

bool cr_file_same_description(int fd_a, int fd_b, bool stopped)
{
	pid_t tid = gettid(); /* its table may be its own */
	long order = syscall(SYS_kcmp, tid, tid, KCMP_FILE, fd_a, fd_b);
	int flags_a, flags_b, seen;

	if (order >= 0)
		return order == 0;
	flags_a = fcntl(fd_a, F_GETFL);
	flags_b = fcntl(fd_b, F_GETFL);
	if (flags_a != flags_b)
		return false;
	/* O_PATH descriptors have no position and no flags to share. */
	if (!stopped || flags_a & O_PATH)
		return true;
	/* Nobody reads or writes while the program is stopped, so a changed O_NONBLOCK is seen by nobody but us. */
	if (fcntl(fd_a, F_SETFL, flags_a ^ O_NONBLOCK) < 0)
		return true;
	seen = fcntl(fd_b, F_GETFL);
	fcntl(fd_a, F_SETFL, flags_a);
	return seen != flags_b;
}

/* Position and locks from fdinfo: lseek would do for the position, but not for O_PATH and directories of every file system. */
static int read_fdinfo(const char *table, int fd, int floor, struct cr_open_file *file)
{
	char path[96], line[512];
	int r = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/fdinfo/%d", table, fd);
	f = cr_file_fopen_high(path, floor);
	if (!f)
		return -errno;
	while (r == 0 && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "pos:", 4) == 0)
			file->pos = strtoll(line + 4, NULL, 10);
		else if (strncmp(line, "lock:", 5) == 0)
			r = cr_file_lock_parse(line + 5, file);
		else if (strncmp(line, "scm_fds:", 8) == 0)
			file->n_under_way = (unsigned int)strtoul(line + 8, NULL, 10);
	}
	fclose(f);
	return r;
}

static int read_link(int fd, char **ret_link)
{
	char path[64], text[PATH_MAX + 16];
	ssize_t n;

	snprintf(path, sizeof(path), FD_DIR "/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	*ret_link = strdup(text);
	return *ret_link ? 0 : -ENOMEM;
}

static void open_file_fini(struct cr_open_file *file)
{
	free(file->fds);
	free(file->link);
	free(file->path);
	free(file->locks);
	free(file->socket);
	cr_file_queue_destroy(file->queue);
}

static int add_fd(struct cr_open_file *file, int fd, int fd_flags)
{
	struct cr_file_fd *fds = realloc(file->fds, (file->n_fds + 1) * sizeof(*fds));

	if (!fds)
		return -ENOMEM;
	file->fds = fds;
	fds[file->n_fds++] = (struct cr_file_fd){ .fd = fd, .fd_flags = (uint32_t)fd_flags };
	return 0;
}

static bool same_object(const struct cr_open_file *a, const struct cr_open_file *b)
{
	return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino && (a->st.st_mode & S_IFMT) == (b->st.st_mode & S_IFMT);
}

static int reserve_one(struct cr_file_set *set)
{
	unsigned int capacity = set->capacity ? 2 * set->capacity : 32;
	struct cr_open_file *files;

	if (set->n < set->capacity)
		return 0;
	files = realloc(set->files, capacity * sizeof(*files));
	if (!files)
		return -ENOMEM;
	set->files = files;
	set->capacity = capacity;
	return 0;
}

/* The index of its description. A descriptor that a running program has closed meanwhile is none: -EBADF. */
static int take_fd(struct cr_file_set *set, int fd, bool passed)
{
	struct cr_open_file file = { .object = set->n, .passed = passed };
	int fd_flags = fcntl(fd, F_GETFD);
	unsigned int i;
	bool alone;
	int r;

	file.flags = fcntl(fd, F_GETFL);
	if (fd_flags < 0 || file.flags < 0 || fstat(fd, &file.st) < 0)
		return -errno;
	r = read_link(fd, &file.link);
	/* Open for a moment only, until the MPI layer has mapped it and moved or closed the descriptor. */
	if (r == 0 && !set->stopped && strcmp(file.link, "/memfd:" CR_SHARED_OBJECT " (deleted)") == 0)
		r = -EBADF;
	if (r == 0)
		r = read_fdinfo(passed ? SELF : set->table, fd, set->floor, &file);
	if (r < 0)
		goto fini;
	/* Objects of the kernel that have no inode of their own share one. */
	alone = strncmp(file.link, "anon_inode:", 11) == 0;
	for (i = 0; i < set->n; i++) {
		struct cr_open_file *other = &set->files[i];

		if (!same_object(other, &file))
			continue;
		if (other->flags == file.flags && other->pos == file.pos && cr_file_same_description(other->fds[0].fd, fd, set->stopped)) {
			r = passed ? 0 : add_fd(other, fd, fd_flags);
			if (r == 0)
				r = (int)i;
			goto fini;
		}
		if (!alone)
			file.object = other->object;
	}
	r = reserve_one(set);
	if (r == 0)
		r = add_fd(&file, fd, fd_flags);
	if (r < 0)
		goto fini;
	set->files[set->n++] = file;
	return (int)set->n - 1;

fini:
	open_file_fini(&file);
	return r == -ENOENT ? -EBADF : r;
}

static int take_all(struct cr_file_set *set, DIR *dir, struct cr_err *err)
{
	struct dirent *entry;
	char *end;
	long fd;
	int r;

	while (errno = 0, (entry = readdir(dir))) {
		fd = strtol(entry->d_name, &end, 10);
		if (*end || end == entry->d_name || fd >= set->floor)
			continue;
		r = take_fd(set, (int)fd, false);
		if (r < 0 && r != -EBADF)
			return cr_err_set(err, r, "descriptor %ld: cannot find out what it is: %s", fd, strerror(-r));
	}
	if (errno)
		return cr_err_set(err, errno, FD_DIR ": cannot be listed: %s", strerror(errno));
	return 0;
}

static int create(const char *table, int floor, bool stopped, struct cr_file_set **ret, struct cr_err *err)
{
	struct cr_file_set *set;
	DIR *dir;
	int r;

	dir = cr_file_opendir_high(FD_DIR, floor);
	if (!dir)
		return cr_err_set(err, errno, FD_DIR ": cannot be opened: %s; is proc mounted and the process dumpable (prctl PR_SET_DUMPABLE), and is a descriptor at or above %d free?",
				  strerror(errno), floor);
	set = calloc(1, sizeof(*set));
	if (!set) {
		r = cr_err_set(err, ENOMEM, "out of memory while listing descriptors");
		goto close_dir;
	}
	set->floor = floor;
	set->stopped = stopped;
	set->table = table;
	r = take_all(set, dir, err);
	if (r < 0)
		goto destroy_set;
	closedir(dir);
	*ret = set;
	return 0;

destroy_set:
	cr_file_set_destroy(set);
close_dir:
	closedir(dir);
	return r;
}

int cr_file_set_create(int floor, bool stopped, struct cr_file_set **ret, struct cr_err *err)
{
	return create(SELF, floor, stopped, ret, err);
}

int cr_file_set_create_in(const char *table, int floor, struct cr_file_set **ret, struct cr_err *err)
{
	return create(table, floor, true, ret, err);
}

int cr_file_set_add_passed(struct cr_file_set *set, int fd, unsigned int carrier)
{
	unsigned int before = set->n;
	int r = take_fd(set, fd, true);

	if (r >= 0 && set->n > before)
		set->files[r].carrier_fd = set->files[carrier].passed ? set->files[carrier].carrier_fd : set->files[carrier].fds[0].fd;
	else
		close(fd);
	return r;
}

int cr_file_set_create_shared(const int *fds, unsigned int n, int floor, bool stopped, struct cr_file_set **ret, struct cr_err *err)
{
	struct cr_file_set *set = calloc(1, sizeof(*set));

	if (!set)
		return cr_err_set(err, ENOMEM, "out of memory while listing descriptors");
	set->floor = floor;
	set->stopped = stopped;
	set->shared = true;
	set->table = SELF;
	for (unsigned int i = 0; i < n; i++) {
		int r = take_fd(set, fds[i], false);

		if (r < 0) {
			cr_file_set_destroy(set);
			return cr_err_set(err, r, "a descriptor of a process: cannot find out what it is: %s", strerror(-r));
		}
	}
	*ret = set;
	return 0;
}

void cr_file_set_destroy(struct cr_file_set *set)
{
	unsigned int i;

	if (!set)
		return;
	for (i = 0; i < set->n; i++)
		open_file_fini(&set->files[i]);
	free(set->files);
	free(set);
}
