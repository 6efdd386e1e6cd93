/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The window's fixed furniture: the gate, libcr's private area and the blob.
 *
 * Invariant: after cr_window_fill() every slot that window code may jump through holds an address of this process's lower half.
 */
#include "libcr/lower/lower.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "libcr/arch/x86_64/raw.h"
#include "libcr/lower/message.h"

extern const char cr_blob_image[], cr_blob_image_end[];

/* Number of dynamic symbols that a GNU hash table reaches. Recent kernels' vdso has no other. */
static uint32_t gnu_hash_symbols(const uint32_t *h)
{
	uint32_t n_buckets = h[0], first = h[1], bloom_words = h[2], last = 0;
	const uint32_t *buckets = h + 4 + bloom_words * 2, *chain = buckets + n_buckets;

	for (uint32_t i = 0; i < n_buckets; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < first)
		return first;
	while (!(chain[last - first] & 1))
		last++;
	return last + 1;
}

/* Value of a dynamic symbol of an ELF image that is mapped as its file is laid out; 0 when absent. */
static uint64_t elf_image_symbol(const char *image, const char *name)
{
	const Elf64_Ehdr *eh = (const void *)image;
	const Elf64_Phdr *ph = (const void *)(image + eh->e_phoff);
	const Elf64_Dyn *dyn = NULL;
	const Elf64_Sym *sym = NULL;
	const char *str = NULL;
	uint32_t n = 0;
	uint64_t load = 0;

	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (const void *)(image + (ph[i].p_vaddr - load));
		if (ph[i].p_type == PT_LOAD && ph[i].p_offset == 0)
			load = ph[i].p_vaddr;
	}
	for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
		const char *p = image + (dyn->d_un.d_ptr - load);

		if (dyn->d_tag == DT_SYMTAB)
			sym = (const void *)p;
		else if (dyn->d_tag == DT_STRTAB)
			str = p;
		else if (dyn->d_tag == DT_HASH)
			n = ((const uint32_t *)(const void *)p)[1];
		else if (dyn->d_tag == DT_GNU_HASH && !n)
			n = gnu_hash_symbols((const void *)p);
	}
	if (!sym || !str)
		return 0;
	for (uint32_t i = 1; i < n; i++)
		if (sym[i].st_shndx != SHN_UNDEF && !strcmp(str + sym[i].st_name, name))
			return sym[i].st_value - load;
	return 0;
}

uint64_t cr_blob_symbol(const char *name)
{
	uint64_t v = elf_image_symbol((const char *)CR_BLOB_ADDR, name);

	return v ? CR_BLOB_ADDR + v : 0;
}

static int blob_map(struct cr_err *err)
{
	const Elf64_Ehdr *eh = (const void *)cr_blob_image;
	const Elf64_Phdr *ph = (const void *)(cr_blob_image + eh->e_phoff);
	char *p = mmap((void *)CR_BLOB_ADDR, CR_BLOB_MAX_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return cr_err_set(err, errno, "cannot map the window's code at %#lx: %s", CR_BLOB_ADDR, strerror(errno));
	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD)
			memcpy(p + ph[i].p_vaddr, cr_blob_image + ph[i].p_offset, ph[i].p_filesz);
	if (mprotect(p, CR_BLOB_MAX_BYTES, PROT_READ | PROT_EXEC))
		return cr_err_set(err, errno, "cannot make the window's code executable: %s", strerror(errno));
	return 0;
}

static void *lower_open(const char *path, char *err, size_t err_bytes)
{
	void *h = dlopen(path, RTLD_NOW | RTLD_GLOBAL);

	if (!h && err && err_bytes) {
		strncpy(err, dlerror(), err_bytes - 1);
		err[err_bytes - 1] = '\0';
	}
	return h;
}

static void *lower_sym(void *handle, const char *name)
{
	return dlsym(handle, name);
}

/* getenv of glibc touches no TLS. */
static const char *lower_getenv(const char *name)
{
	return getenv(name);
}

/* Inside the lower half a thread cannot be frozen: what is compared here stays true until it returns. */
static int helper_end(int fd, uint64_t epoch)
{
	return epoch == CR_GATE->epoch ? close(fd) : -ESTALE;
}

static int ask_send(int pid, uint64_t epoch, uint32_t type, const void *payload, uint64_t bytes)
{
	int fd = epoch == CR_GATE->epoch ? cr_ask_send(pid ? pid : getpid(), type, payload, bytes) : -ESTALE;

	return fd < 0 ? fd : cr_fd_raise(fd);
}

static int ask_receive(int fd, uint64_t epoch, uint32_t type, char *buf, uint64_t bytes)
{
	return epoch == CR_GATE->epoch ? cr_ask_receive(fd, type, buf, bytes) : -ESTALE;
}

static uint64_t vdso_slot(const char *name)
{
	const char *image = (const char *)cr_lower.real_ehdr;
	uint64_t v = image ? elf_image_symbol(image, name) : 0;

	return v ? (uint64_t)image + v : 0;
}

static long fallback_clock_gettime(int clk, void *ts)
{
	return cr_sys2(SYS_clock_gettime, clk, ts);
}

static long fallback_clock_getres(int clk, void *ts)
{
	return cr_sys2(SYS_clock_getres, clk, ts);
}

static long fallback_gettimeofday(void *tv, void *tz)
{
	return cr_sys2(SYS_gettimeofday, tv, tz);
}

static long fallback_time(void *t)
{
	return cr_sys1(SYS_time, t);
}

static long fallback_getcpu(void *cpu, void *node)
{
	return cr_sys3(SYS_getcpu, cpu, node, 0);
}

#define SLOT(field, symbol, fallback)                      \
	do {                                               \
		p->field = vdso_slot(symbol);              \
		if (!p->field)                             \
			p->field = (uint64_t)(fallback);   \
	} while (0)

int cr_window_fill(struct cr_err *err)
{
	struct cr_private *p = CR_PRIVATE;
	struct cr_gate *g = CR_GATE;

	cr_lower.real_ehdr = getauxval(AT_SYSINFO_EHDR);
	SLOT(clock_gettime, "__vdso_clock_gettime", fallback_clock_gettime);
	SLOT(gettimeofday, "__vdso_gettimeofday", fallback_gettimeofday);
	SLOT(time, "__vdso_time", fallback_time);
	SLOT(getcpu, "__vdso_getcpu", fallback_getcpu);
	SLOT(clock_getres, "__vdso_clock_getres", fallback_clock_getres);
	p->stop_entry = (uint64_t)cr_stop_entry;
	p->syscall_entry = (uint64_t)cr_site_syscall;
	p->lower_tp_offset = (char *)&cr_self - (char *)__builtin_thread_pointer();
	p->forward_signal = (uint64_t)cr_forward_signal;
	p->at_syscall = (uint64_t)cr_signal_at_syscall;
	p->over_enter = (uint64_t)cr_over_enter;
	p->over_leave = (uint64_t)cr_over_leave;
	p->fs_by_kernel = cr_lower.fs_by_kernel;
	p->wait_done = (uint64_t)cr_wait_done;

	if (g->magic != CR_GATE_MAGIC || g->version != CR_GATE_VERSION || g->bytes != sizeof(*g))
		return cr_err_set(err, EPROTO, "the program's gate has version %u, this ompi-cr has %u: restart it with the version that saved it",
				  g->version, CR_GATE_VERSION);
	g->thread_attach = cr_thread_attach;
	g->lower_open = lower_open;
	g->lower_sym = lower_sym;
	g->thunk_create = cr_thunk_create;
	g->thunk_destroy = cr_thunk_destroy;
	g->board_notify = cr_board_notify;
	g->nocr_set = cr_nocr_set_reason;
	g->nocr_clear = cr_nocr_clear_reason;
	g->lower_getenv = lower_getenv;
	g->helper_start = cr_helper_start;
	g->helper_end = helper_end;
	g->ask_send = ask_send;
	g->ask_receive = ask_receive;
	g->kernel_pid = getpid();
	return 0;
}

int cr_window_create(struct cr_err *err)
{
	struct cr_gate *g = mmap((void *)CR_GATE_ADDR, CR_GATE_BYTES, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	int rc;

	if (g == MAP_FAILED)
		return cr_err_set(err, errno, "cannot map the gate at %#lx: %s", CR_GATE_ADDR, strerror(errno));
	g->magic = CR_GATE_MAGIC;
	g->version = CR_GATE_VERSION;
	g->bytes = sizeof(*g);
	g->epoch = 1;
	rc = blob_map(err);
	if (rc)
		return rc;
	CR_PRIVATE->mmap_next = CR_MMAP_ADDR;
	CR_PRIVATE->brk_current = CR_BRK_ADDR;
	return cr_window_fill(err);
}
