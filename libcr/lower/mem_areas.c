/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes stock of the program's memory areas from smaps, or from maps and what the engine knows, and decides how each is saved.
 *
 * Invariant: an area that has no reason against it (nocr) has a kind, and that kind brings back all of its content.
 */
#include "libcr/lower/cr_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/lower/engine.h"
#include "libcr/lower/mem_private.h"

/* The ranges that belong to the program: sorted, and merged where they touch. */
struct area_ranges {
	struct cr_mem_range *range;
	unsigned int n;
};

/* One entry of smaps. */
struct smaps_entry {
	uint64_t start, end, offset;
	uint64_t present_bytes, swap_bytes;
	uint64_t page_bytes, huge_bytes;
	uint64_t pkey;
	uint64_t ino;
	unsigned int dev_major, dev_minor;
	char perms[5];
	char flags[256]; /* " rd wr mr ..." */
	char *name;      /* "" when there is none */
};

static int range_compare(const void *a, const void *b)
{
	const struct cr_mem_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int ranges_init(struct area_ranges *ranges, const struct cr_mem_range *extra, unsigned int n_extra)
{
	unsigned int n = 0;

	ranges->range = calloc((size_t)n_extra + 1, sizeof(*ranges->range));
	if (!ranges->range)
		return -ENOMEM;
	ranges->range[0] = (struct cr_mem_range){ CR_WINDOW_BASE, CR_WINDOW_END };
	if (n_extra)
		memcpy(ranges->range + 1, extra, n_extra * sizeof(*extra));
	qsort(ranges->range, (size_t)n_extra + 1, sizeof(*ranges->range), range_compare);
	for (unsigned int i = 1; i <= n_extra; i++) {
		struct cr_mem_range *last = &ranges->range[n], *next = &ranges->range[i];

		if (next->start >= next->end)
			continue;
		if (next->start > last->end)
			ranges->range[++n] = *next;
		else if (next->end > last->end)
			last->end = next->end;
	}
	ranges->n = n + 1;
	return 0;
}

#define ANON_HUGE "/anon_hugepage"

static bool has_flag(const struct smaps_entry *e, const char *letters)
{
	char word[8];

	snprintf(word, sizeof(word), " %s ", letters);
	return letters[0] && strstr(e->flags, word);
}

static bool begins_with(const char *text, const char *begin)
{
	return strncmp(text, begin, strlen(begin)) == 0;
}

/* The kernel writes a line feed in a name as \012. */
static void unescape(char *name)
{
	char *to = name;

	for (const char *at = name; *at; at++, to++) {
		if (begins_with(at, "\\012")) {
			*to = '\n';
			at += 3;
		} else {
			*to = *at;
		}
	}
	*to = '\0';
}

/* Is the file under this name the one that is mapped? On btrfs and overlayfs stat and the list of areas have different device numbers, one of
 * them without a real device. */
static bool same_file(const struct smaps_entry *e, const struct stat *st)
{
	if (st->st_ino != e->ino)
		return false;
	return (major(st->st_dev) == e->dev_major && minor(st->st_dev) == e->dev_minor) || major(st->st_dev) == 0 || e->dev_major == 0;
}

/* Takes the kernel's mark off the name of a file that is gone. A file may also be called so. */
static bool strip_deleted(struct smaps_entry *e)
{
	static const char suffix[] = " (deleted)";
	size_t n = strlen(e->name);
	struct stat st;

	if (n < sizeof(suffix) || strcmp(e->name + n - (sizeof(suffix) - 1), suffix) != 0)
		return false;
	if (stat(e->name, &st) == 0 && same_file(e, &st))
		return false;
	e->name[n - (sizeof(suffix) - 1)] = '\0';
	return true;
}

static const char *own_dir;

void cr_mem_own_dir_set(const char *dir)
{
	own_dir = dir;
}

static bool is_own(const char *path)
{
	return own_dir && begins_with(path, own_dir) && path[strlen(own_dir)] == '/';
}

static void area_set_file(struct cr_mem_area *area, const struct stat *st)
{
	area->vma.file_bytes = (uint64_t)st->st_size;
	area->vma.mtime_s = st->st_mtim.tv_sec;
	area->vma.mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
}

static const char *flags_nocr(const struct smaps_entry *e)
{
	if (has_flag(e, "ht") && strcmp(e->name, ANON_HUGE) != 0 && (e->perms[3] != 's' || strncmp(e->name, "/SYSV", 5) == 0 || strncmp(e->name, "/memfd:", 7) == 0))
		return "huge TLB pages of a segment, a memfd or a private mapping of a file cannot be saved; use those of mmap with MAP_HUGETLB (transparent huge pages are fine)";
	if (has_flag(e, "ss"))
		return "a shadow stack cannot be saved; start the program with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off";
	if (has_flag(e, "um") || has_flag(e, "ui"))
		return "memory under userfaultfd cannot be saved";
	if (e->pkey != 0)
		return "memory with a protection key cannot be saved";
	return NULL;
}

static void area_set_huge(struct cr_mem_area *area, const struct smaps_entry *e)
{
	area->vma.flags |= CR_VMA_F_HUGETLB;
	area->vma.file_bytes = e->page_bytes;
	area->present_bytes = e->huge_bytes;
}

static void classify_shared(struct cr_mem_area *area, const struct smaps_entry *e, bool deleted)
{
	struct stat st;

	area->vma.kind = CR_VMA_FILE_SHARED;
	if (deleted && strcmp(e->name, ANON_HUGE) == 0) {
		area->vma.kind = CR_VMA_ANON_SHARED;
		area_set_huge(area, e);
	} else if (begins_with(e->name, "[anon_shmem:") || (deleted && strcmp(e->name, "/dev/zero") == 0)) {
		area->vma.kind = CR_VMA_ANON_SHARED;
		area->vma.flags |= e->name[0] == '[' ? CR_VMA_F_NAMED : 0;
	} else if (deleted && strcmp(e->name, "/memfd:" CR_SHARED_OBJECT) == 0) {
		area->vma.kind = CR_VMA_ANON_SHARED;
		area->in_parts = true;
	} else if (deleted && begins_with(e->name, "/memfd:")) {
		area->vma.kind = CR_VMA_ANON_SHARED;
		area->vma.flags |= CR_VMA_F_OBJECT | (has_flag(e, "mw") ? CR_VMA_F_MAYWRITE : 0);
	} else if (begins_with(e->name, "/SYSV") && deleted) {
		area->vma.kind = CR_VMA_ANON_SHARED;
		area->vma.flags |= CR_VMA_F_SYSV;
	} else if (begins_with(e->name, "/[aio]")) {
		area->nocr = "asynchronous I/O of the kernel (io_setup) cannot be saved; end it with io_destroy before the checkpoint, or run the program without it";
	} else if (e->name[0] != '/') {
		area->nocr = strstr(e->name, "io_uring") ? "an io_uring cannot be saved; close it before the checkpoint, or run the program without it" : "memory of a kernel object cannot be saved";
	} else if (begins_with(e->name, "/dev/") && stat(e->name, &st) == 0 && !S_ISREG(st.st_mode)) {
		area->nocr = "device memory cannot be saved";
	} else if (deleted) {
		area->vma.kind = CR_VMA_ANON_SHARED;
		area->vma.flags |= CR_VMA_F_OBJECT | CR_VMA_F_WAS_FILE | (has_flag(e, "mw") ? CR_VMA_F_MAYWRITE : 0);
	} else if (stat(e->name, &st) < 0 || !same_file(e, &st)) {
		area->nocr = "a shared mapping of a file that is no longer found under its name cannot be saved";
	} else if (!S_ISREG(st.st_mode)) {
		area->nocr = "device memory cannot be saved";
	} else {
		area_set_file(area, &st);
		if (has_flag(e, "mw"))
			area->vma.flags |= CR_VMA_F_MAYWRITE;
	}
}

static void classify_private(struct cr_mem_area *area, const struct smaps_entry *e, bool deleted)
{
	struct stat st;

	area->vma.kind = CR_VMA_ANON;
	if (begins_with(e->name, "[anon:")) {
		area->vma.flags |= CR_VMA_F_NAMED;
	} else if (deleted && strcmp(e->name, ANON_HUGE) == 0) {
		area_set_huge(area, e);
	} else if (e->name[0] == '\0' || strcmp(e->name, "[heap]") == 0 || begins_with(e->name, "[stack") ||
		   strcmp(e->name, "/dev/zero") == 0) {
		/* nothing more to say */
	} else if (e->name[0] == '[') {
		area->nocr = "a special area of the kernel cannot be saved";
	} else if (e->name[0] != '/') {
		area->nocr = "memory of a kernel object cannot be saved";
	} else if (!deleted && !is_own(e->name) && stat(e->name, &st) == 0 && same_file(e, &st)) {
		if (!S_ISREG(st.st_mode)) {
			area->nocr = "device memory cannot be saved";
			return;
		}
		area->vma.kind = CR_VMA_FILE_PRIVATE;
		area_set_file(area, &st);
	} else {
		area->vma.flags |= CR_VMA_F_WAS_FILE;
	}
}

/* Is the name worth keeping? */
static bool name_matters(const struct cr_mem_area *area)
{
	return area->nocr || area->vma.kind == CR_VMA_FILE_PRIVATE || area->vma.kind == CR_VMA_FILE_SHARED ||
	       (area->vma.flags & (CR_VMA_F_WAS_FILE | CR_VMA_F_NAMED | CR_VMA_F_OBJECT));
}

static void area_classify(struct cr_mem_area *area, const struct smaps_entry *e, bool deleted)
{
	area->nocr = flags_nocr(e);
	if (area->nocr)
		return;
	if (e->perms[3] == 's')
		classify_shared(area, e, deleted);
	else
		classify_private(area, e, deleted);
	if (area->vma.flags & CR_VMA_F_HUGETLB && (area->vma.start | area->vma.end) % (e->page_bytes ? e->page_bytes : 1))
		area->nocr = "huge TLB pages that begin outside of the program's memory cannot be saved";
	if (!area->nocr && (has_flag(e, "io") || has_flag(e, "pf")))
		area->nocr = "device memory cannot be saved";
}

static uint64_t entry_flags(const struct smaps_entry *e)
{
	uint64_t flags = 0;

#define CR_VMA_FLAG(bit, flag_name, letters)                         \
	if (CR_VMA_F_##flag_name != CR_VMA_F_MAYWRITE && has_flag(e, letters)) \
		flags |= CR_VMA_F_##flag_name;
	CR_VMA_FLAGS(CR_VMA_FLAG)
#undef CR_VMA_FLAG
	return flags;
}

static int areas_add(struct cr_mem_areas *areas, const struct smaps_entry *e, uint64_t start, uint64_t end, bool deleted)
{
	struct cr_mem_area *area;

	if (areas->n == areas->max) {
		size_t max = areas->max ? 2 * areas->max : 64;

		area = reallocarray(areas->area, max, sizeof(*area));
		if (!area)
			return -ENOMEM;
		areas->area = area;
		areas->max = max;
	}
	area = &areas->area[areas->n];
	memset(area, 0, sizeof(*area));
	area->vma.start = start;
	area->vma.end = end;
	area->vma.prot = (e->perms[0] == 'r' ? PROT_READ : 0u) | (e->perms[1] == 'w' ? PROT_WRITE : 0u) | (e->perms[2] == 'x' ? PROT_EXEC : 0u);
	area->vma.flags = entry_flags(e);
	area->vma.dev_major = e->dev_major;
	area->vma.dev_minor = e->dev_minor;
	area->vma.ino = e->ino;
	area->present_bytes = e->present_bytes;
	area->swap_bytes = e->swap_bytes;
	area_classify(area, e, deleted);
	if (area->vma.kind != CR_VMA_ANON)
		area->vma.offset = e->offset + (start - e->start);
	if (name_matters(area) && e->name[0]) {
		area->name = strdup(e->name);
		if (!area->name)
			return -ENOMEM;
		area->vma.name_bytes = (uint32_t)strlen(e->name) + 1;
	}
	areas->n++;
	return 0;
}

/* The parts of the entry that lie in the program's ranges: the kernel merges neighbours without asking whose they are. */
static int areas_add_entry(struct cr_mem_areas *areas, const struct area_ranges *ranges, struct smaps_entry *e)
{
	char *was = e->name, *other = NULL;
	bool deleted;
	int rc = 0;

	unescape(e->name);
	deleted = strip_deleted(e);
	/* sem_open() makes a file under another name than the one that it is to have. */
	if (deleted && e->perms[3] == 's' && begins_with(e->name, "/dev/shm/") && cr_mem_set.other_name)
		other = cr_mem_set.other_name(e->name, e->dev_major, e->dev_minor, e->ino);
	if (other) {
		e->name = other;
		deleted = false;
	}
	for (unsigned int i = 0; i < ranges->n && !rc; i++) {
		uint64_t start = e->start > ranges->range[i].start ? e->start : ranges->range[i].start;
		uint64_t end = e->end < ranges->range[i].end ? e->end : ranges->range[i].end;

		if (start < end)
			rc = areas_add(areas, e, start, end, deleted);
	}
	free(other);
	e->name = was;
	return rc < 0 ? rc : 0;
}

/* "START-END PERMS OFFSET MAJOR:MINOR INODE   NAME" */
static bool parse_head(char *line, struct smaps_entry *e)
{
	unsigned long long start, end, offset, ino;
	int name_at = 0;
	char *name = e->name;

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu%n", &start, &end, e->perms, &offset, &e->dev_major, &e->dev_minor, &ino, &name_at) != 7)
		return false;
	line += name_at;
	line += strspn(line, " ");
	line[strcspn(line, "\n")] = '\0';
	memset(e, 0, offsetof(struct smaps_entry, dev_major));
	e->flags[0] = '\0';
	e->start = start;
	e->end = end;
	e->offset = offset;
	e->ino = ino;
	e->name = name;
	strcpy(e->name, line);
	return true;
}

/* The number behind @name, which the line begins with. Not sscanf: there are two dozen lines for each area, and the program stands still. */
static bool detail(const char *line, const char *name, uint64_t *ret)
{
	if (!begins_with(line, name))
		return false;
	*ret = strtoull(line + strlen(name), NULL, 10);
	return true;
}

static void parse_detail(const char *line, struct smaps_entry *e)
{
	uint64_t n;

	if (detail(line, "Rss:", &n))
		e->present_bytes = n * 1024;
	else if (detail(line, "Swap:", &n))
		e->swap_bytes = n * 1024;
	else if (detail(line, "KernelPageSize:", &n))
		e->page_bytes = n * 1024;
	else if (detail(line, "Private_Hugetlb:", &n) || detail(line, "Shared_Hugetlb:", &n))
		e->huge_bytes += n * 1024;
	else if (detail(line, "ProtectionKey:", &n))
		e->pkey = n;
	else if (begins_with(line, "VmFlags:"))
		snprintf(e->flags, sizeof(e->flags), "%s", line + strlen("VmFlags:"));
}

/* What smaps tells that the engine does not: sizes of huge pages, what of shared memory is in swap. */
static bool needs_smaps(const struct smaps_entry *e)
{
	return has_flag(e, "ht") || (e->perms[3] == 's' && e->name[0] != '/') || begins_with(e->name, "/memfd:") || begins_with(e->name, "/SYSV") ||
	       begins_with(e->name, "/dev/") || strstr(e->name, " (deleted)");
}

/* -EAGAIN: this list does not do. */
static int entry_complete(struct smaps_entry *e, struct cr_mem_flags *flags)
{
	const struct cr_ioc_area *area = cr_mem_flags_find(flags, e->start, e->end);

	if (!area)
		return -EAGAIN;
	cr_mem_flags_text(area->ret_flags, e->flags, sizeof(e->flags));
	if (e->perms[3] == 's' || has_flag(e, "ht")) {
		if (needs_smaps(e))
			return -EAGAIN;
	} else {
		e->present_bytes = area->ret_flags & CR_IOC_AREA_CONTENT ? CR_PAGE_BYTES : 0;
	}
	e->pkey = area->ret_pkey;
	return 0;
}

static bool entry_in(const struct smaps_entry *e, const struct area_ranges *ranges)
{
	for (unsigned int i = 0; i < ranges->n; i++)
		if (e->start < ranges->range[i].end && e->end > ranges->range[i].start)
			return true;
	return false;
}

/* @flags: NULL when @smaps is the one, else it is maps. */
static int areas_parse(FILE *smaps, const struct area_ranges *ranges, struct cr_mem_flags *flags, struct cr_mem_areas *areas)
{
	uint64_t stop = ranges->range[ranges->n - 1].end;
	struct smaps_entry e = { .name = NULL };
	size_t line_max = 0;
	bool have = false;
	char *line = NULL;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = getline(&line, &line_max, smaps)) > 0) {
		bool head = line[0] <= 'Z' ? line[0] >= '0' && line[0] <= '9' : line[0] >= 'a' && line[0] <= 'f';

		if (!head) {
			parse_detail(line, &e);
			continue;
		}
		if (have)
			rc = areas_add_entry(areas, ranges, &e);
		have = false;
		free(e.name);
		e.name = malloc((size_t)n + 1);
		if (!e.name)
			rc = -ENOMEM;
		else if (!parse_head(line, &e))
			rc = -EIO;
		else if (e.start >= stop)
			break;
		else
			have = entry_in(&e, ranges);
		if (have && flags)
			rc = entry_complete(&e, flags);
	}
	if (rc == 0 && have)
		rc = areas_add_entry(areas, ranges, &e);
	if (rc == 0 && ferror(smaps))
		rc = -EIO;
	free(e.name);
	free(line);
	return rc;
}

/* The ring of io_setup(2) lies where the kernel likes: outside of the window. */
static int areas_add_aio(struct cr_mem_areas *areas)
{
	FILE *maps = cr_mem_proc_open(CR_MEM_PROC "/maps");
	struct smaps_entry e = { .name = NULL };
	char *line = NULL, name[] = "/[aio]";
	size_t line_max = 0;
	int rc = 0;

	if (!maps)
		return -errno;
	while (rc == 0 && getline(&line, &line_max, maps) > 0) {
		unsigned long long start, end;

		if (!strstr(line, " /[aio]") || sscanf(line, "%llx-%llx", &start, &end) != 2 || (start >= CR_WINDOW_BASE && start < CR_WINDOW_END))
			continue;
		e.perms[3] = 's';
		e.name = name;
		rc = areas_add(areas, &e, start, end, true);
	}
	free(line);
	fclose(maps);
	return rc;
}

FILE *cr_mem_proc_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	FILE *file;

	if (fd < 0)
		return NULL;
	file = fdopen(fd, "r");
	if (!file) {
		error = errno;
		close(fd);
		errno = error;
	}
	return file;
}

static void areas_clear(struct cr_mem_areas *areas)
{
	for (size_t i = 0; i < areas->n; i++)
		free(areas->area[i].name);
	areas->n = 0;
}

static int areas_read(const char *path, const struct area_ranges *ranges, struct cr_mem_flags *flags, struct cr_mem_areas *areas, struct cr_err *err)
{
	FILE *list = cr_mem_proc_open(path);
	int rc;

	if (!list)
		return cr_err_set(err, errno, "%s cannot be opened: %s; the kernel needs CONFIG_PROC_PAGE_MONITOR and /proc must be mounted", path, strerror(errno));
	rc = areas_parse(list, ranges, flags, areas);
	fclose(list);
	if (rc < 0 && rc != -EAGAIN)
		return cr_err_set(err, rc, "the list of memory areas cannot be read from %s: %s", path, strerror(-rc));
	return rc;
}

/* With an engine that knows the areas, unless the program has some that need more, or is making some just now. */
static int areas_take(const struct area_ranges *ranges, struct cr_mem_areas *areas, struct cr_err *err)
{
	struct cr_mem_flags *flags;
	int rc = -EAGAIN;

	if (cr_engine->areas && cr_mem_flags_create(&flags) == 0) {
		rc = areas_read(CR_MEM_PROC "/maps", ranges, flags, areas, err);
		cr_mem_flags_destroy(flags);
	}
	if (rc != -EAGAIN)
		return rc;
	areas_clear(areas);
	return areas_read(CR_MEM_PROC "/smaps", ranges, NULL, areas, err);
}

int cr_mem_areas_create(const struct cr_mem_range *extra, unsigned int n_extra, struct cr_mem_areas **ret, struct cr_err *err)
{
	struct area_ranges ranges = { .range = NULL };
	struct cr_mem_areas *areas;
	int rc;

	areas = calloc(1, sizeof(*areas));
	if (!areas || ranges_init(&ranges, extra, n_extra)) {
		free(areas);
		return cr_err_set(err, ENOMEM, "no memory for the list of memory areas");
	}
	rc = areas_take(&ranges, areas, err);
	free(ranges.range);
	if (rc == 0) {
		rc = areas_add_aio(areas);
		if (rc == 0)
			rc = cr_mem_objects_find(areas);
		if (rc < 0)
			rc = cr_err_set(err, rc, "the list of memory areas cannot be read from " CR_MEM_PROC ": %s", strerror(-rc));
	}
	if (rc < 0) {
		cr_mem_areas_destroy(areas);
		return rc;
	}
	*ret = areas;
	return 0;
}

void cr_mem_areas_destroy(struct cr_mem_areas *areas)
{
	if (!areas)
		return;
	areas_clear(areas);
	free(areas->area);
	free(areas);
}
