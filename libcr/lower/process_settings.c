/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program may have asked the kernel for about the whole of its memory and about its end.
 *
 * Invariant: reading changes nothing; what a restart may not set stays as whoever restarts has it, except where the program relies on it.
 */
#include "libcr/lower/process_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "libcr/lower/files_set.h"

#define OOM_SCORE_ADJ "/proc/self/oom_score_adj"
#define COREDUMP_FILTER "/proc/self/coredump_filter"
#define SET_MDWE 65 /* PR_SET_MDWE, Linux 6.3 */
#define GET_MDWE 66
#define SET_MEMORY_MERGE 67 /* Linux 6.4 */
#define GET_MEMORY_MERGE 68

static bool read_number(const char *path, int base, long *ret)
{
	int fd = cr_file_open_high(path, O_RDONLY, 0, cr_process_floor());
	char text[32], *end;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	*ret = strtol(text, &end, base);
	return end > text;
}

static void write_number(const char *path, const char *format, long value)
{
	int fd = cr_file_open_high(path, O_WRONLY, 0, cr_process_floor());
	char text[32];
	int n = snprintf(text, sizeof(text), format, value);

	if (fd < 0)
		return;
	(void)!write(fd, text, (size_t)n);
	close(fd);
}

/* The kernel does not tell what mlockall(MCL_FUTURE) has set, but does it to a new page: which then cannot be dropped, and is there at once unless ONFAULT. */
static uint32_t read_mlock_future(void)
{
	long bytes = sysconf(_SC_PAGESIZE);
	unsigned char there = 0;
	uint32_t flags = 0;
	void *page;

	page = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return errno == EAGAIN ? CR_SETTINGS_MLOCK_FUTURE : 0; /* no more may be locked */
	if (madvise(page, (size_t)bytes, MADV_DONTNEED) < 0 && errno == EINVAL)
		flags = CR_SETTINGS_MLOCK_FUTURE | (mincore(page, (size_t)bytes, &there) == 0 && !(there & 1) ? CR_SETTINGS_MLOCK_ONFAULT : 0);
	munmap(page, (size_t)bytes);
	return flags;
}

int cr_process_settings_save(struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_settings_payload p = { .flags = read_mlock_future() };
	long value;
	int mdwe = prctl(GET_MDWE, 0, 0, 0, 0);

	if (read_number(OOM_SCORE_ADJ, 10, &value)) {
		p.oom_score_adj = (int32_t)value;
		p.flags |= CR_SETTINGS_OOM_SCORE_ADJ;
	}
	if (read_number(COREDUMP_FILTER, 16, &value)) {
		p.coredump_filter = (uint32_t)value;
		p.flags |= CR_SETTINGS_COREDUMP_FILTER;
	}
	if (mdwe > 0)
		p.mdwe = (uint32_t)mdwe;
	if (prctl(GET_MEMORY_MERGE, 0, 0, 0, 0) == 1)
		p.flags |= CR_SETTINGS_MEMORY_MERGE;
	return cr_image_put(w, CR_REC_SETTINGS, &p, sizeof(p), err);
}

static int find_settings(const struct cr_image *img, struct cr_settings_payload *ret, struct cr_err *err)
{
	struct cr_image_record rec = { 0 };

	memset(ret, 0, sizeof(*ret));
	if (cr_image_find(img, CR_REC_SETTINGS, &rec) < 0)
		return 0; /* of an older version */
	if (rec.bytes != sizeof(*ret))
		return cr_err_set(err, EBADMSG, "SETTINGS record: %llu bytes", (unsigned long long)rec.bytes);
	memcpy(ret, rec.data, sizeof(*ret));
	if (ret->flags & ~CR_SETTINGS_ALL || ret->oom_score_adj < -1000 || ret->oom_score_adj > 1000)
		return cr_err_set(err, EBADMSG, "SETTINGS record: makes no sense");
	return 0;
}

int cr_process_settings_check(const struct cr_image *img, struct cr_err *err)
{
	struct cr_settings_payload p;

	return find_settings(img, &p, err);
}

int cr_process_settings_restore(const struct cr_image *img, struct cr_err *err)
{
	struct cr_settings_payload p;
	long now;
	int r = find_settings(img, &p, err);

	if (r < 0)
		return r;
	if (p.flags & CR_SETTINGS_OOM_SCORE_ADJ && (!read_number(OOM_SCORE_ADJ, 10, &now) || now != p.oom_score_adj))
		write_number(OOM_SCORE_ADJ, "%ld", p.oom_score_adj);
	if (p.flags & CR_SETTINGS_COREDUMP_FILTER)
		write_number(COREDUMP_FILTER, "%#lx", (long)p.coredump_filter);
	if (p.flags & CR_SETTINGS_MEMORY_MERGE)
		prctl(SET_MEMORY_MERGE, 1, 0, 0, 0);
	if (p.flags & CR_SETTINGS_MLOCK_FUTURE && mlockall(MCL_FUTURE | (p.flags & CR_SETTINGS_MLOCK_ONFAULT ? MCL_ONFAULT : 0)) < 0)
		return cr_err_set(err, errno, "mlockall(MCL_FUTURE), which the program had asked for: %s; raise the limit on locked memory (ulimit -l)", strerror(errno));
	if (p.mdwe && prctl(SET_MDWE, (unsigned long)p.mdwe, 0, 0, 0) < 0)
		return cr_err_set(err, errno, "PR_SET_MDWE %u, which the program had asked for, cannot be set: %s", p.mdwe, strerror(errno));
	return 0;
}
