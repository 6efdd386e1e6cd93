/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX shared memory and named semaphores: files of /dev/shm that are mapped shared. They are memory with a name, so their content is the checkpoint's, and a
 * restart makes those that are gone. One that a process maps which is not saved with it stays what it is: a file, whose content is not saved.
 */
#include "libcr/lower/shm_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/image/cr_image.h"
#include "libcr/image/ipc_payload.h"
#include "libcr/image/relocate.h"
#include "libcr/lower/files_set.h"
#include "libcr/lower/process_set.h"
#include "libcr/lower/set.h"

#define DIR_NAME "/dev/shm/"
#define PIECE_BYTES (1UL << 20)

/* --- which are they? --- */

/*
 * A line of maps: the name of its file, when that is one of /dev/shm that is mapped shared: malloc'ed. @window: only by the program, not by its lower half. NULL: another
 * line. sem_open() makes a file under another name than the one that it is to have.
 */
static char *mapped_file(char *line, bool window)
{
	unsigned int dev_major, dev_minor;
	unsigned long start, ino;
	struct stat st;
	char perms[8];
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%lx-%*x %7s %*x %x:%x %lu %n", &start, perms, &dev_major, &dev_minor, &ino, &at) != 5 || !at || perms[3] != 's' ||
	    strncmp(line + at, DIR_NAME, strlen(DIR_NAME)) != 0 || (window && (start < CR_WINDOW_BASE || start >= CR_WINDOW_END)))
		return NULL;
	if (stat(line + at, &st) == 0 && st.st_ino == ino)
		return strdup(line + at);
	st = (struct stat){ .st_ino = ino, .st_dev = makedev(dev_major, dev_minor) };
	return cr_file_other_name(line + at, &st, cr_process_floor());
}

/* Calls @fn with each such file of @pid until it returns another number than 0. */
static int each_mapped(int pid, bool window, int (*fn)(void *arg, const char *path), void *arg)
{
	char name[64], *line = NULL;
	size_t room = 0;
	int rc = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	f = cr_file_fopen_high(name, cr_process_floor());
	while (f && !rc && getline(&line, &room, f) > 0) {
		char *path = mapped_file(line, window);

		if (path)
			rc = fn(arg, path);
		free(path);
	}
	free(line);
	if (f)
		fclose(f);
	return rc;
}

struct names {
	char **name;
	unsigned int n;
};

static int names_add(void *arg, const char *path)
{
	struct names *names = arg;
	char **more;

	for (unsigned int i = 0; i < names->n; i++)
		if (strcmp(names->name[i], path) == 0)
			return 0;
	more = reallocarray(names->name, names->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	names->name = more;
	more[names->n] = strdup(path);
	return more[names->n++] ? 0 : -ENOMEM;
}

static void names_free(struct names *names)
{
	for (unsigned int i = 0; i < names->n; i++)
		free(names->name[i]);
	free(names->name);
	*names = (struct names){ NULL, 0 };
}

static int same_name(void *arg, const char *path)
{
	return strcmp(arg, path) == 0;
}

/* A process that maps the file and is not of the set; 0: none that we may look at. */
static int mapped_outside(const char *path)
{
	DIR *dir = cr_file_opendir_high("/proc", cr_process_floor());
	const struct dirent *e;
	int found = 0;

	while (dir && !found && (e = readdir(dir))) {
		int pid = atoi(e->d_name);

		if (pid > 0 && pid != getpid() && !cr_set_has(pid) && each_mapped(pid, false, same_name, (void *)(uintptr_t)path) > 0)
			found = pid;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* --- save --- */

struct saving {
	struct cr_image_writer *w;
	struct cr_err *err;
	char *piece;
};

static int save_pieces(struct saving *s, int fd, const char *path, uint64_t size)
{
	struct cr_shm_data_payload head = { .reserved = 0 };
	off_t at = 0;
	int rc = 0;

	while (!rc && (uint64_t)at < size) {
		off_t begin = lseek(fd, at, SEEK_DATA), end = begin < 0 ? -1 : lseek(fd, begin, SEEK_HOLE);

		if (begin < 0 || end <= begin)
			break;
		for (at = begin; !rc && at < end; at += (off_t)head.bytes) {
			ssize_t n = pread(fd, s->piece + sizeof(head), (uint64_t)(end - at) < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES, at);

			if (n <= 0)
				return cr_err_set(s->err, n < 0 ? errno : EIO, "%s: cannot be read: %s", path, n < 0 ? strerror(errno) : "it became shorter");
			head.offset = (uint64_t)at;
			head.bytes = (uint64_t)n;
			memcpy(s->piece, &head, sizeof(head));
			rc = cr_image_put(s->w, CR_REC_SHM_DATA, s->piece, sizeof(head) + (size_t)n, s->err);
		}
	}
	return rc;
}

static int save_file(struct saving *s, const char *path)
{
	struct cr_shm_file_payload p = { .reserved = 0 };
	int fd = cr_file_open_high(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, cr_process_floor()), rc;
	struct stat st;

	/* What lost its name, or may not be read, is refused or left to the file by those who map it. */
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return 0;
	}
	p = (struct cr_shm_file_payload){ .mode = st.st_mode & 07777, .uid = st.st_uid, .gid = st.st_gid, .path_bytes = (uint32_t)strlen(path) + 1, .size = (uint64_t)st.st_size };
	memcpy(s->piece, &p, sizeof(p));
	memcpy(s->piece + sizeof(p), path, p.path_bytes);
	rc = cr_image_put(s->w, CR_REC_SHM_FILE, s->piece, sizeof(p) + p.path_bytes, s->err);
	if (!rc)
		rc = save_pieces(s, fd, path, p.size);
	close(fd);
	return rc;
}

int cr_shm_save(struct cr_image_writer *w, struct cr_err *err)
{
	struct saving s = { .w = w, .err = err };
	struct names names = { NULL, 0 };
	int rc = 0;

	if (!cr_set.active)
		rc = each_mapped(getpid(), true, names_add, &names);
	for (uint32_t i = 0; cr_set.active && i < cr_set.n && !rc; i++)
		rc = each_mapped(cr_set.pids[i], true, names_add, &names);
	s.piece = names.n ? malloc(sizeof(struct cr_shm_data_payload) + PIECE_BYTES) : NULL;
	if (rc || (names.n && !s.piece))
		rc = cr_err_set(err, ENOMEM, "out of memory for the files of " DIR_NAME);
	for (unsigned int i = 0; i < names.n && !rc; i++)
		if (!mapped_outside(names.name[i]))
			rc = save_file(&s, names.name[i]);
	free(s.piece);
	names_free(&names);
	return rc;
}

/* --- restart --- */

static struct names made; /* those that the restart makes, or fills */

static int parse(const struct cr_image *img, const struct cr_image_record *rec, struct cr_shm_file_payload *ret, const char **ret_path, struct cr_err *err)
{
	const char *path = (const char *)rec->data + sizeof(*ret);

	if (rec->bytes > sizeof(*ret)) {
		memcpy(ret, rec->data, sizeof(*ret));
		if (ret->path_bytes == rec->bytes - sizeof(*ret) && ret->size <= INT64_MAX && memchr(path, '\0', ret->path_bytes) == path + ret->path_bytes - 1 &&
		    strncmp(path, DIR_NAME, strlen(DIR_NAME)) == 0 && !strstr(path, "/../")) {
			*ret_path = cr_relocate(path);
			return 0;
		}
	}
	return cr_err_set(err, EBADMSG, "%s: a damaged SHM_FILE record", cr_image_name(img));
}

bool cr_shm_makes(const char *path)
{
	for (unsigned int i = 0; i < made.n; i++)
		if (strcmp(made.name[i], path) == 0)
			return true;
	return false;
}

static int check(const char *path, const struct cr_shm_file_payload *p, struct cr_err *err)
{
	struct stat st;
	int other;

	if (lstat(path, &st) < 0 && errno == ENOENT)
		return 0;
	if (lstat(path, &st) < 0)
		return cr_err_set(err, errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_uid != p->uid)
		return cr_err_set(err, EEXIST, "%s, which the program had in its memory, is another one now: it belongs to user %u; if nobody needs it, remove it", path, st.st_uid);
	other = mapped_outside(path);
	return other ? cr_err_set(err, EBUSY, "%s, which the program had in its memory alone, is in that of process %d now; end that one", path, other) : 0;
}

int cr_shm_restore_check(const struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	int rc = 0;

	while (!rc && cr_image_next(img, &rec) > 0) {
		struct cr_shm_file_payload p;
		const char *path;

		if (rec.type != CR_REC_SHM_FILE)
			continue;
		rc = parse(img, &rec, &p, &path, err);
		if (!rc)
			rc = check(path, &p, err);
		if (!rc && names_add(&made, path))
			rc = cr_err_set(err, ENOMEM, "out of memory");
	}
	return rc;
}

/* Empty, of its size: what is not stored is zero. */
static int make(const char *path, const struct cr_shm_file_payload *p, struct cr_err *err)
{
	int fd = cr_file_open_high(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, cr_process_floor()), error;

	if (fd < 0)
		return cr_err_set(err, fd, "%s: cannot be made or opened: %s", path, strerror(-fd));
	if (ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)p->size) == 0 && fchmod(fd, p->mode) == 0 &&
	    ((p->uid == geteuid() && p->gid == getegid()) || fchown(fd, p->uid, p->gid) == 0))
		return fd;
	error = errno;
	close(fd);
	return cr_err_set(err, error, "%s: its size, mode and owner cannot be set as they were: %s", path, strerror(error));
}

static int fill(int fd, const struct cr_image *img, const struct cr_image_record *rec, struct cr_err *err)
{
	struct cr_shm_data_payload head;
	const char *from = (const char *)rec->data + sizeof(head);
	uint64_t done = 0;

	if (rec->bytes < sizeof(head))
		return cr_err_set(err, EBADMSG, "%s: a damaged SHM_DATA record", cr_image_name(img));
	memcpy(&head, rec->data, sizeof(head));
	if (fd < 0 || head.bytes != rec->bytes - sizeof(head) || head.offset > INT64_MAX - head.bytes)
		return cr_err_set(err, EBADMSG, "%s: a damaged SHM_DATA record", cr_image_name(img));
	while (done < head.bytes) {
		ssize_t n = pwrite(fd, from + done, head.bytes - done, (off_t)(head.offset + done));

		if (n <= 0)
			return cr_err_set(err, n < 0 ? errno : EIO, "a file of " DIR_NAME " cannot be written: %s; make room there", n < 0 ? strerror(errno) : "no progress");
		done += (uint64_t)n;
	}
	return 0;
}

int cr_shm_restore(const struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	int fd = -1, rc = 0;

	while (rc >= 0 && cr_image_next(img, &rec) > 0) {
		struct cr_shm_file_payload p;
		const char *path;

		if (rec.type == CR_REC_SHM_DATA) {
			rc = fill(fd, img, &rec, err);
		} else if (rec.type == CR_REC_SHM_FILE) {
			if (fd >= 0)
				close(fd);
			fd = -1;
			rc = parse(img, &rec, &p, &path, err);
			if (!rc)
				rc = fd = make(path, &p, err);
		}
	}
	if (fd >= 0)
		close(fd);
	return rc < 0 ? rc : 0;
}
