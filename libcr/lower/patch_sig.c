/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Patched system-call sites: where libc issues one of the calls that ompi-cr answers as "mov $nr,%eax; syscall", these seven bytes become a
 * jump to a stub that enters cr_blob_site. This saves the trap of the seccomp net (about 0.6 us) on every such call.
 *
 * libc's syscall(), which has the number from an argument, goes through a stub that notes it in the red zone: there the number of a call that
 * a checkpoint cut short is found again (syscall_before).
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

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A call that ompi-cr answers. */
static void stub_answered(uint8_t *s, uint32_t nr, uint64_t back, uint64_t blob_site)
{
	s[0] = 0x48; /* movabs $back,%rcx */
	s[1] = 0xb9;
	put64(s + 2, back);
	s[10] = 0xb8; /* mov $nr,%eax */
	put32(s + 11, nr);
	s[15] = 0x49; /* movabs $cr_blob_site,%r11 */
	s[16] = 0xbb;
	put64(s + 17, blob_site);
	s[25] = 0x41; /* jmp *%r11 */
	s[26] = 0xff;
	s[27] = 0xe3;
}

/* "mov 8(%rsp),%r9; syscall": the end of syscall() */
static int is_syscall_function(const uint8_t *p)
{
	return p[0] == 0x4c && p[1] == 0x8b && p[2] == 0x4c && p[3] == 0x24 && p[4] == 0x08;
}

/* The same with the number in the red zone, which syscall() does not use. */
static void stub_noted(uint8_t *s, uint64_t back)
{
	static const uint8_t code[] = {
		0x4c, 0x8b, 0x4c, 0x24, 0x08, /* mov 8(%rsp),%r9 */
		0x48, 0x89, 0x44, 0x24, 0xf0, /* mov %rax,-16(%rsp) */
		0x0f, 0x05,                   /* syscall */
		0xe9,                         /* jmp back */
	};

	for (unsigned int i = 0; i < sizeof(code); i++)
		s[i] = code[i];
	put32(s + sizeof(code), (uint32_t)(back - ((uint64_t)s + sizeof(code) + 4)));
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
	for (uint64_t i = 1; i + SITE_BYTES <= end - start && n < STUBS_MAX; i++) {
		uint8_t *s = stubs + n * STUB_BYTES;

		if (text[i + 5] != 0x0f || text[i + 6] != 0x05)
			continue;
		if (text[i] == 0xb8 && text[i - 1] != 0x41 /* another register */ && wanted(get32(text + i + 1)))
			stub_answered(s, get32(text + i + 1), start + i + SITE_BYTES, blob_site);
		else if (is_syscall_function(text + i))
			stub_noted(s, start + i + SITE_BYTES);
		else
			continue;
		n++;
		text[i] = 0xe9;
		put32(text + i + 1, (uint32_t)((uint64_t)s - (start + i + 5)));
		text[i + 5] = 0x66;
		text[i + 6] = 0x90;
	}
	cr_sys3(SYS_mprotect, start, end - start, (uint64_t)prot);
	cr_sys3(SYS_mprotect, r, STUB_BYTES * STUBS_MAX, PROT_READ | PROT_EXEC);
}
