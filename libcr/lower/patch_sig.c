/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patched system-call sites: where libc issues one of the calls that ompi-cr answers as "mov $nr,%eax; syscall", these seven bytes become a
 * jump to a stub that enters cr_blob_site. This saves the trap of the seccomp net (about 0.6 us) on every such call.
 *
 * Only the C library is patched, when its text is mapped and before it runs: there the pattern is code.
 * Context: upper %fs, inside SIGSYS.
 */
#include "libcr/lower/lower.h"

#include <sys/mman.h>

#include "libcr/arch/x86_64/raw.h"

#define SITE_BYTES 7
#define STUB_BYTES 32
#define STUBS_MAX 128

static int wanted(uint32_t nr)
{
	switch (nr) {
	case SYS_mmap: case SYS_mremap: case SYS_brk: case SYS_rt_sigaction: case SYS_rt_sigprocmask:
	case SYS_getpid: case SYS_gettid: case SYS_getppid: case SYS_kill: case SYS_tgkill:
		return 1;
	default:
		return 0;
	}
}

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static int is_libc(int fd)
{
	static const char name[] = "/libc.so.6";
	char link[32] = "/proc/self/fd/", path[512];
	int n = 14, digits = 1, v = fd;
	long len;

	while (v >= 10) {
		v /= 10;
		digits++;
	}
	v = fd;
	for (int i = digits - 1; i >= 0; i--, v /= 10)
		link[n + i] = (char)('0' + v % 10);
	link[n + digits] = '\0';
	len = cr_sys3(SYS_readlink, link, path, sizeof(path));
	if (len < (long)sizeof(name) - 1)
		return 0;
	for (unsigned int i = 0; i < sizeof(name) - 1; i++)
		if (path[len - (long)sizeof(name) + 1 + (long)i] != name[i])
			return 0;
	return 1;
}

/* [start, end): freshly mapped executable pages of @fd, private. On any trouble the text is left as it is: the net catches the calls. */
void cr_patch_text(uint64_t start, uint64_t end, int fd, int prot)
{
	static uint64_t blob_site;
	uint8_t *stubs, *text = (uint8_t *)start;
	unsigned int n = 0;
	long r;

	if (!is_libc(fd))
		return;
	if (!blob_site)
		blob_site = cr_blob_symbol("cr_blob_site");
	r = cr_emul_mmap(0, STUB_BYTES * STUBS_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0);
	if (r < 0)
		return;
	stubs = (uint8_t *)r;
	if ((uint64_t)r - end > 0x70000000UL || cr_sys3(SYS_mprotect, start, end - start, PROT_READ | PROT_WRITE) < 0) {
		cr_sys2(SYS_munmap, r, STUB_BYTES * STUBS_MAX);
		return;
	}
	for (uint64_t i = 0; i + SITE_BYTES <= end - start && n < STUBS_MAX; i++) {
		uint32_t nr;
		uint8_t *s;

		if (text[i] != 0xb8 || text[i + 5] != 0x0f || text[i + 6] != 0x05)
			continue;
		nr = (uint32_t)text[i + 1] | (uint32_t)text[i + 2] << 8 | (uint32_t)text[i + 3] << 16 | (uint32_t)text[i + 4] << 24;
		if (!wanted(nr))
			continue;
		s = stubs + n++ * STUB_BYTES;
		s[0] = 0x48; /* movabs $return,%rcx */
		s[1] = 0xb9;
		put64(s + 2, start + i + SITE_BYTES);
		s[10] = 0xb8; /* mov $nr,%eax */
		put32(s + 11, nr);
		s[15] = 0x49; /* movabs $cr_blob_site,%r11 */
		s[16] = 0xbb;
		put64(s + 17, blob_site);
		s[25] = 0x41; /* jmp *%r11 */
		s[26] = 0xff;
		s[27] = 0xe3;
		text[i] = 0xe9;
		put32(text + i + 1, (uint32_t)((uint64_t)s - (start + i + 5)));
		text[i + 5] = 0x66;
		text[i + 6] = 0x90;
	}
	cr_sys3(SYS_mprotect, start, end - start, (uint64_t)prot);
	cr_sys3(SYS_mprotect, r, STUB_BYTES * STUBS_MAX, PROT_READ | PROT_EXEC);
}
