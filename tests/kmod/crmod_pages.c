// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory of a stopped process: what is read, what is left out, what is never touched; a context file made of it. crmod_pages BUILD */
#include "crmod_request.h"
#include "libcr/image/cr_image.h"
#include "libcr/image/cr_vma.h"

#define PAGE 4096ul
#define BASE 0x300000000000ul
#define BUF  (256 * PAGE)

static unsigned char *buf;
static struct cr_ioc_run runs[168];

static bool map_at(uint64_t addr, size_t bytes, int prot, int flags, int fd)
{
	return mmap((void *)addr, bytes, prot, flags | MAP_FIXED_NOREPLACE, fd, 0) == (void *)addr;
}

/* Areas of the child: see the tests. */
#define ANON	BASE
#define ANON_N	300u		 /* pages; every third one written, page 9 with zeros */
#define SPARSE	(BASE + (1ul << 34)) /* 64 GiB, three pages written */
#define NONE	(BASE + (1ul << 38)) /* PROT_NONE over content */
#define HUGE	(NONE + (1ul << 30)) /* THP */
#define FILED	(HUGE + (1ul << 30)) /* private mapping of a file of 8 pages: 2 written, 5 only read, 6 written with zeros */
#define SHARED	(FILED + (1ul << 30))

static void fill(uint64_t addr, unsigned char with)
{
	memset((void *)addr, with, PAGE);
}

static void child(const char *file)
{
	int fd = open(file, O_RDWR);
	bool good = fd >= 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	good = good && map_at(ANON, ANON_N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	good = good && map_at(SPARSE, 1ul << 36, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	good = good && map_at(NONE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	good = good && map_at(HUGE, 1ul << 22, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	good = good && map_at(FILED, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	good = good && map_at(SHARED, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	if (!good)
		_exit(4);
	madvise((void *)ANON, ANON_N * PAGE, MADV_NOHUGEPAGE);
	madvise((void *)SPARSE, 1ul << 36, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < ANON_N; i += 3)
		fill(ANON + i * PAGE, i == 9 ? 0 : (unsigned char)(i % 251 + 1));
	(void)*(volatile char *)(ANON + PAGE); /* read only: the zero page */
	fill(SPARSE, 1);
	fill(SPARSE + (1ul << 35), 2);
	fill(SPARSE + (1ul << 36) - PAGE, 3);
	fill(NONE + PAGE, 7);
	mprotect((void *)NONE, 4 * PAGE, PROT_NONE);
	madvise((void *)HUGE, 1ul << 22, MADV_HUGEPAGE);
	for (unsigned int i = 0; i < 1024; i++)
		*(uint64_t *)(HUGE + i * PAGE + 8) = i == 77 ? 0 : i + 1;
	fill(FILED + 2 * PAGE, 9);
	(void)*(volatile char *)(FILED + 5 * PAGE);
	fill(FILED + 6 * PAGE, 0);
	count_forever(0);
}

static long pages(int fd, pid_t pid, uint64_t start, uint64_t end, struct cr_ioc_pages *a)
{
	*a = (struct cr_ioc_pages){ .pid = pid, .start = start, .end = end, .buf = (uintptr_t)buf, .buf_bytes = BUF, .runs = (uintptr_t)runs, .max_runs = 168 };
	return dev_call(fd, CR_IOC_PAGES, a);
}

/* Resident pages of the child, as the kernel counts them. */
static long resident(pid_t pid)
{
	char name[64];
	long size, rss = -1;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/statm", pid);
	f = fopen(name, "r");
	if (!f || fscanf(f, "%ld %ld", &size, &rss) != 2)
		rss = -1;
	if (f)
		fclose(f);
	return rss;
}

/* Reads [start, end) to its end and checks each page with fn. Returns the number of pages, or a negative errno. */
static long each_page(int fd, pid_t pid, uint64_t start, uint64_t end, bool (*fn)(uint64_t addr, const unsigned char *page))
{
	struct cr_ioc_pages a;
	uint64_t last = 0;
	long n = 0, err;

	for (uint64_t at = start; at < end; at = a.ret_next) {
		const unsigned char *p = buf;

		err = pages(fd, pid, at, end, &a);
		if (err)
			return err;
		for (uint32_t i = 0; i < a.ret_runs; i++) {
			if (runs[i].ret_addr < start || runs[i].ret_addr + runs[i].ret_bytes > end || runs[i].ret_addr < last)
				return -ERANGE;
			last = runs[i].ret_addr + runs[i].ret_bytes;
			for (uint64_t o = 0; o < runs[i].ret_bytes; o += PAGE, p += PAGE, n++) {
				if (!fn(runs[i].ret_addr + o, p))
					return -EILSEQ;
			}
		}
		if (p != buf + a.ret_bytes || a.ret_next <= at)
			return -EPROTO;
	}
	return n;
}

static bool all_are(const unsigned char *p, unsigned char c)
{
	return p[0] == c && !memcmp(p, p + 1, PAGE - 1);
}

static bool anon_page(uint64_t addr, const unsigned char *p)
{
	uint64_t i = (addr - ANON) / PAGE;

	return i % 3 == 0 && i != 9 && all_are(p, (unsigned char)(i % 251 + 1));
}

static bool sparse_page(uint64_t addr, const unsigned char *p)
{
	return all_are(p, addr == SPARSE ? 1 : addr == SPARSE + (1ul << 35) ? 2 : 3);
}

static bool none_page(uint64_t addr, const unsigned char *p)
{
	return addr == NONE + PAGE && all_are(p, 7);
}

static bool huge_page(uint64_t addr, const unsigned char *p)
{
	uint64_t i = (addr - HUGE) / PAGE;

	return i != 77 && *(const uint64_t *)(p + 8) == i + 1;
}

static bool file_page(uint64_t addr, const unsigned char *p)
{
	return addr == FILED + 2 * PAGE ? all_are(p, 9) : addr == FILED + 6 * PAGE && all_are(p, 0);
}

static void test_edges(int fd, pid_t pid)
{
	struct cr_ioc_pages a;

	is(pages(fd, pid, ANON + 1, ANON + PAGE, &a), -EINVAL, "a range that is not whole pages");
	is(pages(fd, pid, ANON, ANON, &a), -EINVAL, "an empty range");
	is(pages(fd, pid, ANON, ~PAGE + 1, &a), -EINVAL, "a range in the kernel");
	is(pages(fd, getpid(), ANON, ANON + PAGE, &a), -ESRCH, "a process that is not in the request");
	a = (struct cr_ioc_pages){ .pid = pid, .start = ANON, .end = ANON + PAGE, .buf = 64, .buf_bytes = BUF, .runs = (uintptr_t)runs, .max_runs = 1 };
	is(dev_call(fd, CR_IOC_PAGES, &a), -EFAULT, "a buffer that is not there");
	a.buf = (uintptr_t)buf;
	a.runs = 64;
	is(dev_call(fd, CR_IOC_PAGES, &a), -EFAULT, "a table that is not there");
	a.buf = 0xffff800000000000ul;
	a.runs = (uintptr_t)runs;
	is(dev_call(fd, CR_IOC_PAGES, &a), -EFAULT, "a buffer in the kernel");
	a.buf = (uintptr_t)buf;
	a.buf_bytes = PAGE - 1;
	is(dev_call(fd, CR_IOC_PAGES, &a), -EINVAL, "a buffer smaller than a page");
	is(pages(fd, pid, SHARED, SHARED + PAGE, &a), -EOPNOTSUPP, "shared memory");
	ok(a.ret_next == SHARED, "is named by its address");
	is(pages(fd, pid, FILED, SHARED + PAGE, &a), 0, "what lies before it comes first");
	ok(a.ret_next == SHARED && a.ret_bytes == 2 * PAGE, "up to it");
	a = (struct cr_ioc_pages){ .pid = pid, .start = ANON, .end = ANON + 12 * PAGE, .buf = (uintptr_t)buf, .buf_bytes = BUF, .runs = (uintptr_t)runs, .max_runs = 2 };
	is(dev_call(fd, CR_IOC_PAGES, &a), 0, "room for two runs");
	ok(a.ret_runs == 2 && a.ret_next == ANON + 6 * PAGE, "ends before the third (%u, %#llx)", a.ret_runs, (unsigned long long)a.ret_next);
	a = (struct cr_ioc_pages){ .pid = pid, .start = HUGE, .end = HUGE + 12 * PAGE, .buf = (uintptr_t)buf, .buf_bytes = 3 * PAGE, .runs = (uintptr_t)runs, .max_runs = 2 };
	is(dev_call(fd, CR_IOC_PAGES, &a), 0, "room for three pages");
	ok(a.ret_runs == 1 && a.ret_bytes == 3 * PAGE && a.ret_next == HUGE + 3 * PAGE, "one run of three");
}

static long areas(int fd, uint64_t start, struct cr_ioc_area *ret, uint32_t max, struct cr_ioc_areas *a)
{
	*a = (struct cr_ioc_areas){ .start = start, .areas = (uintptr_t)ret, .max = max };
	return dev_call(fd, CR_IOC_AREAS, a);
}

/* The letters of smaps, for the flags that AREAS knows. */
static uint64_t letters_to_flags(const char *letters)
{
	uint64_t flags = 0;

#define FLAG(bit, kernel, two) flags |= strstr(letters, " " two " ") ? 1ull << (bit) : 0;
	CR_IOC_AREA_FLAGS(FLAG)
#undef FLAG
	return flags;
}

/* Every area of smaps is there, and has the same flags. Returns how many differ, or are not there. */
static unsigned int areas_differ(const struct cr_ioc_area *area, uint32_t n, unsigned int *ret_compared)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long start = 0, end = 0, from, to;
	unsigned int bad = 0;
	char line[512];

	*ret_compared = 0;
	while (smaps && fgets(line, sizeof(line), smaps)) {
		uint32_t i = 0;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
			start = from;
			end = to;
		}
		if (strncmp(line, "VmFlags:", 8) || start >> 47)
			continue;
		while (i < n && (area[i].ret_start != start || area[i].ret_end != end))
			i++;
		line[strcspn(line, "\n")] = ' ';
		if (i == n || (area[i].ret_flags & ~CR_IOC_AREA_CONTENT) != letters_to_flags(line + 8)) {
			printf("# %lx-%lx:%s (%#llx)\n", start, end, line + 8, i < n ? (unsigned long long)area[i].ret_flags : 0);
			bad++;
		}
		++*ret_compared;
	}
	if (smaps)
		fclose(smaps);
	return bad;
}

static void test_areas(int fd)
{
	static struct cr_ioc_area area[2048], few[3];
	unsigned char *mem = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct cr_ioc_areas a;
	unsigned int compared, differ, same = 0;
	uint64_t at = 0;

	madvise(mem, PAGE, MADV_DONTDUMP);
	madvise(mem + 2 * PAGE, PAGE, MADV_DONTFORK);
	madvise(mem + 4 * PAGE, PAGE, MADV_WIPEONFORK);
	madvise(mem + 6 * PAGE, PAGE, MADV_SEQUENTIAL);
	madvise(mem + 8 * PAGE, PAGE, MADV_NOHUGEPAGE);
	mlock(mem + 10 * PAGE, PAGE);
	fill((uintptr_t)mem + 12 * PAGE, 1);
	fclose(fopen("/proc/self/smaps", "r"));
	is(areas(fd, 0, area, 2048, &a), 0, "the caller's own areas");
	ok(a.ret_n > 10 && a.ret_n < 2048, "all at once (%u)", a.ret_n);
	differ = areas_differ(area, a.ret_n, &compared);
	ok(differ == 0 && compared == a.ret_n, "they are those of smaps, with the same flags (%u)", compared);
	for (uint32_t i = 0, n = a.ret_n; i < n && !areas(fd, at, few, 3, &a) && a.ret_n; i += a.ret_n, at = a.ret_next)
		same += !memcmp(few, area + i, a.ret_n * sizeof(few[0])) * a.ret_n;
	ok(same == compared, "three at a time they are the same (%u)", same);
	is(areas(fd, 1ul << 47, area, 1, &a), 0, "behind the last");
	ok(a.ret_n == 0, "there are none");
	is(areas(fd, 0, (void *)8, 1, &a), -EFAULT, "a table that is not there");
	is(areas(fd, 0, area, 0, &a), -EINVAL, "no room");
	a = (struct cr_ioc_areas){ .areas = (uintptr_t)area, .max = 1, .flags = 1 };
	is(dev_call(fd, CR_IOC_AREAS, &a), -EINVAL, "a flag that is not known");
	munmap(mem, 16 * PAGE);
}

/* A process's own memory needs no request; whoever has inherited the descriptor gets his own. */
static void test_self(int fd)
{
	unsigned char *mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)mem;
	struct cr_ioc_pages a;
	int status = -1;
	pid_t pid;

	fill(at + PAGE, 5);
	fill(at + 2 * PAGE, 0);
	mprotect(mem, 4 * PAGE, PROT_NONE);
	is(pages(fd, 0, at, at + 4 * PAGE, &a), 0, "the caller's own memory, without a request");
	ok(a.ret_runs == 1 && a.ret_bytes == PAGE && runs[0].ret_addr == at + PAGE && all_are(buf, 5) && a.ret_next == at + 4 * PAGE, "the page that is not zero");
	is(pages(fd, -1, at, at + PAGE, &a), -EINVAL, "a negative pid");
	pid = fork();
	if (!pid) {
		mprotect(mem, 4 * PAGE, PROT_READ | PROT_WRITE);
		fill(at + PAGE, 6);
		_exit(pages(fd, 0, at, at + 4 * PAGE, &a) || a.ret_bytes != PAGE || !all_are(buf, 6));
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "a child gets its own by its parent's descriptor (status %#x)", status);
	is(pages(fd, 0, at, at + 4 * PAGE, &a), 0, "the parent's again");
	ok(a.ret_bytes == PAGE && all_are(buf, 5), "is as it was");
	munmap(mem, 4 * PAGE);
}

/* A context file of the anonymous area, written by the module's runs and checked by cr_inspect. */
static void test_context_file(int fd, pid_t pid, const char *build)
{
	struct cr_vma vma = { .start = ANON, .end = ANON + ANON_N * PAGE, .prot = PROT_READ | PROT_WRITE, .kind = CR_VMA_ANON };
	const char *name = "/dev/shm/crmod_pages.ctx";
	struct cr_image_writer *w = NULL;
	struct cr_ioc_pages a = { 0 };
	struct cr_image_totals totals = { 0 };
	char command[1024];
	struct cr_err e;
	long err;
	int out = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	err = cr_image_writer_create(out, &w, &e);
	if (!err)
		err = cr_image_put(w, CR_REC_VMA, &vma, sizeof(vma), &e);
	for (uint64_t at = ANON; at < vma.end && !err; at = a.ret_next) {
		const unsigned char *p = buf;

		err = pages(fd, pid, at, vma.end, &a);
		for (uint32_t i = 0; i < a.ret_runs && !err; i++, p += runs[i - 1].ret_bytes)
			err = cr_image_put_pages(w, runs[i].ret_addr, p, runs[i].ret_bytes, 0, &e);
		if (!err)
			err = cr_image_flush(w, &e);
	}
	if (!err)
		err = cr_image_finish(w, &totals, &e);
	cr_image_writer_destroy(w);
	close(out);
	is(err, 0, "a context file is written from its runs");
	ok(totals.pages == 99, "with 99 pages (%llu)", (unsigned long long)totals.pages);
	snprintf(command, sizeof(command), "%s/cr_inspect --verify %s >/dev/shm/inspect.log 2>&1", build, name);
	ok(system(command) == 0, "cr_inspect finds every checksum right");
	unlink(name);
}

int main(int argc, char **argv)
{
	const char *file = "/dev/shm/crmod_pages.data";
	int fd = dev_open(), data = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct cr_ioc_wait w;
	struct cr_ioc_pages a;
	long before;
	pid_t pid;

	if (data < 0 || ftruncate(data, 8 * (off_t)PAGE) || argc < 2)
		return 2;
	for (unsigned int i = 0; i < 8; i++) {
		char c = (char)('a' + i);

		if (pwrite(data, &c, 1, (off_t)(i * PAGE)) != 1)
			return 2;
	}
	counters_init();
	buf = mmap(NULL, BUF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (!pid)
		child(file);
	ok(counters_run(0, 1), "a process with all kinds of memory");
	is(pages(fd, pid, ANON, ANON + PAGE, &a), -ENOENT, "memory without a request");
	test_self(fd);
	test_areas(fd);
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), 0, "it is stopped");
	before = resident(pid);
	is(each_page(fd, pid, ANON, ANON + ANON_N * PAGE, anon_page), 99, "anonymous memory: written pages that are not zero");
	is(each_page(fd, pid, SPARSE, SPARSE + (1ul << 36), sparse_page), 3, "64 GiB with three pages");
	is(each_page(fd, pid, NONE, NONE + 4 * PAGE, none_page), 1, "memory without permissions");
	is(each_page(fd, pid, HUGE, HUGE + (1ul << 22), huge_page), 1023, "huge pages");
	is(each_page(fd, pid, FILED, FILED + 8 * PAGE, file_page), 2, "a private mapping of a file: what was written to, also with zeros");
	is(each_page(fd, pid, ANON, SPARSE, anon_page), 99, "a range with holes between areas");
	ok(resident(pid) == before && before > 0, "no page was made by reading (%ld, %ld)", before, resident(pid));
	test_edges(fd, pid);
	test_context_file(fd, pid, argv[1]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	is(pages(fd, pid, ANON, ANON + PAGE, &a), -ESRCH, "a process that was killed while it was held");
	dev_call(fd, CR_IOC_RESUME, NULL);
	unlink(file);
	return tap_end();
}
