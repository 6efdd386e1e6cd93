/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a mapped file the one that it was? Its size, and a checksum of its content; the times only save the work of reading it.
 *
 * The time of change (ctime) cannot be set by anybody: as long as inode, size and ctime are the same, so is the content. A ctime of this very second says
 * nothing yet, because a second change may come with the same one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "libcr/lower/cr_mem.h"
#include "libcr/lower/mem_private.h"

#define READ_BYTES (1u << 20)
#define SUMMED_MAX_BYTES (256ll << 20) /* larger files are told apart by size and time of modification */
#define NS_PER_S 1000000000ll

struct known_file {
	dev_t dev;
	ino_t ino;
	int64_t bytes, ctime_ns;
	uint64_t sum;
	bool settled; /* the ctime was old enough when the file was read */
};

static struct {
	struct known_file *file;
	size_t n, max;
} known;

static int64_t ctime_ns(const struct stat *st)
{
	return (int64_t)st->st_ctim.tv_sec * NS_PER_S + st->st_ctim.tv_nsec;
}

static bool is_settled(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ctime_ns(st) + NS_PER_S < (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static const struct known_file *find(const struct stat *st)
{
	for (size_t i = 0; i < known.n; i++) {
		const struct known_file *f = &known.file[i];

		if (f->ino == st->st_ino && f->dev == st->st_dev && f->bytes == st->st_size && f->ctime_ns == ctime_ns(st))
			return f;
	}
	return NULL;
}

static void keep(const struct known_file *file)
{
	if (known.n == known.max) {
		size_t max = known.max ? 2 * known.max : 64;
		struct known_file *more = reallocarray(known.file, max, sizeof(*more));

		if (!more)
			return; /* it is read again the next time */
		known.file = more;
		known.max = max;
	}
	known.file[known.n++] = *file;
}

static void forget_unsettled(void)
{
	size_t n = 0;

	for (size_t i = 0; i < known.n; i++)
		if (known.file[i].settled)
			known.file[n++] = known.file[i];
	known.n = n;
}

static int sum_content(int fd, uint64_t *ret)
{
	XXH3_state_t *state = XXH3_createState();
	char *buffer = malloc(READ_BYTES);
	ssize_t n = -1;

	errno = ENOMEM;
	if (state && buffer && XXH3_64bits_reset(state) == XXH_OK) {
		while ((n = read(fd, buffer, READ_BYTES)) != 0) {
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				break;
			XXH3_64bits_update(state, buffer, (size_t)n);
		}
		*ret = XXH3_64bits_digest(state);
	}
	n = n < 0 ? -errno : 0;
	free(buffer);
	XXH3_freeState(state);
	return (int)n;
}

/* 0 and the sum, never 0; -EFBIG: not one that is summed; another negative errno: it cannot be read. */
static int sum_of(const char *path, const struct stat *st, uint64_t *ret)
{
	struct known_file file = { .dev = st->st_dev, .ino = st->st_ino, .bytes = st->st_size, .ctime_ns = ctime_ns(st), .settled = is_settled(st) };
	const struct known_file *old = find(st);
	struct stat now;
	int fd, rc;

	if (old) {
		*ret = old->sum;
		return 0;
	}
	if (st->st_size > SUMMED_MAX_BYTES)
		return -EFBIG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fstat(fd, &now) < 0 ? -errno : now.st_ino != st->st_ino ? -ESTALE : sum_content(fd, &file.sum);
	close(fd);
	if (rc < 0)
		return rc;
	file.sum += file.sum == 0;
	keep(&file);
	*ret = file.sum;
	return 0;
}

/* Stores through a shared mapping change the content and tell nobody: its times say whether it is the same, as far as anything does. */
static bool is_written_through(const struct cr_mem_areas *areas, const struct cr_vma *vma)
{
	for (size_t i = 0; i < areas->n; i++) {
		const struct cr_vma *other = &areas->area[i].vma;

		if (other->kind == CR_VMA_FILE_SHARED && other->ino == vma->ino && other->dev_major == vma->dev_major && other->dev_minor == vma->dev_minor)
			return true;
	}
	return false;
}

void cr_mem_areas_identify(struct cr_mem_areas *areas)
{
	struct stat st;

	forget_unsettled();
	for (size_t i = 0; i < areas->n; i++) {
		struct cr_mem_area *area = &areas->area[i];
		uint64_t sum;

		if (area->nocr || area->vma.kind != CR_VMA_FILE_PRIVATE || stat(area->name, &st) < 0 || (uint64_t)st.st_size != area->vma.file_bytes ||
		    is_written_through(areas, &area->vma) || sum_of(area->name, &st, &sum) < 0)
			continue;
		area->vma.content_sum = sum;
		area->vma.ctime_ns = is_settled(&st) ? ctime_ns(&st) : 0;
	}
}

int cr_mem_same_content(const struct cr_vma *vma, const char *path, const struct stat *st)
{
	uint64_t sum;
	int rc;

	if (vma->ctime_ns && vma->ctime_ns == ctime_ns(st) && vma->ino == st->st_ino)
		return 1;
	rc = sum_of(path, st, &sum);
	return rc < 0 ? rc : sum == vma->content_sum;
}

void cr_mem_areas_store(struct cr_mem_areas *areas, unsigned int what, const char *exe)
{
	for (size_t i = 0; i < areas->n; i++) {
		struct cr_mem_area *area = &areas->area[i];

		if (area->nocr)
			continue;
		if (area->vma.kind == CR_VMA_FILE_PRIVATE && what & (strcmp(area->name, exe) == 0 ? CR_MEM_STORE_EXE : CR_MEM_STORE_PRIVATE))
			area->vma.kind = CR_VMA_ANON;
		else if (area->vma.kind == CR_VMA_FILE_SHARED && what & CR_MEM_STORE_SHARED)
			area->vma.kind = CR_VMA_ANON_SHARED;
		else
			continue;
		area->vma.flags = (area->vma.flags | CR_VMA_F_WAS_FILE) & ~(uint64_t)CR_VMA_F_MAYWRITE;
		if (area->vma.kind == CR_VMA_ANON)
			area->vma.offset = 0;
	}
}
