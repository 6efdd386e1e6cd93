/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does a process that this one descends from hold the same object? What came from a launcher is not the program's alone.
 */
#include "libcr/lower/files_ops.h"
#include "libcr/lower/set.h"

#include <dirent.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_ANCESTORS 64

static pid_t parent_of(pid_t pid, int floor)
{
	char path[64], line[128];
	pid_t parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = cr_file_fopen_high(path, floor);
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "PPid:", 5) == 0) {
			parent = (pid_t)strtol(line + 5, NULL, 10);
			break;
		}
	}
	fclose(f);
	return parent;
}

/* Kernel objects without an inode of their own all have one name: those are compared. */
static bool same_object(const struct cr_open_file *file, pid_t pid, const char *their_fd)
{
	struct stat st;
	char path[64];

	/* Different ones may have the same name. */
	if (strncmp(file->link, "/memfd:", 7) == 0) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", (int)pid, their_fd);
		return stat(path, &st) == 0 && st.st_dev == file->st.st_dev && st.st_ino == file->st.st_ino;
	}
	if (strncmp(file->link, "anon_inode:", 11) != 0)
		return true;
	return syscall(SYS_kcmp, gettid(), pid, KCMP_FILE, file->fds[0].fd, strtol(their_fd, NULL, 10)) == 0;
}

static bool process_holds(pid_t pid, const struct cr_open_file *file, int floor)
{
	char path[64], text[128];
	struct dirent *entry;
	bool found = false;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = cr_file_opendir_high(path, floor);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		n = readlinkat(dirfd(dir), entry->d_name, text, sizeof(text) - 1);
		if (n > 0) {
			text[n] = '\0';
			found = strcmp(text, file->link) == 0 && same_object(file, pid, entry->d_name);
		}
	}
	closedir(dir);
	return found;
}

bool cr_file_ancestor_holds(const struct cr_file_set *set, const struct cr_open_file *file)
{
	pid_t pid = getppid();
	int depth;

	for (depth = 0; pid > 0 && depth < MAX_ANCESTORS; depth++) {
		if (!cr_set_has(pid) && process_holds(pid, file, set->floor))
			return true;
		pid = parent_of(pid, set->floor);
	}
	return false;
}
