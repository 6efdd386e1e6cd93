/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel does at execve, done inside the window: map the program and its interpreter, build the initial stack.
 *
 * A program at fixed addresses (not PIE) is mapped where it wants to be and noted as an extra range.
 */
#include "libcr/lower/lower.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_DOWN(v) ((v) & ~(CR_PAGE_BYTES - 1))
#define PAGE_UP(v) PAGE_DOWN((v) + CR_PAGE_BYTES - 1)
#define STACK_FIRST_BYTES (136UL << 10)

struct elf_file {
	const char *path;
	int fd;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[64];
	uint64_t bias;
};

static int elf_read(const char *path, struct elf_file *f, struct cr_err *err)
{
	f->path = path;
	f->fd = cr_fd_raise(open(path, O_RDONLY | O_CLOEXEC));
	if (f->fd < 0)
		return cr_err_set(err, errno, "cannot open %s: %s", path, strerror(errno));
	if (pread(f->fd, &f->eh, sizeof(f->eh), 0) != sizeof(f->eh) || memcmp(f->eh.e_ident, ELFMAG, SELFMAG)) {
		close(f->fd);
		return cr_err_set(err, ENOEXEC, "%s is not an ELF program", path);
	}
	if (f->eh.e_ident[EI_CLASS] != ELFCLASS64 || f->eh.e_machine != EM_X86_64 || f->eh.e_phentsize != sizeof(Elf64_Phdr) ||
	    f->eh.e_phnum == 0 || f->eh.e_phnum > 64) {
		close(f->fd);
		return cr_err_set(err, ENOEXEC, "%s is not a 64-bit x86-64 program", path);
	}
	if (pread(f->fd, f->ph, f->eh.e_phnum * sizeof(Elf64_Phdr), (off_t)f->eh.e_phoff) != (ssize_t)(f->eh.e_phnum * sizeof(Elf64_Phdr))) {
		close(f->fd);
		return cr_err_set(err, ENOEXEC, "%s: truncated program headers", path);
	}
	return 0;
}

static int prot_of(const Elf64_Phdr *ph)
{
	return (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) | (ph->p_flags & PF_X ? PROT_EXEC : 0);
}

static int segment_map(const struct elf_file *f, const Elf64_Phdr *ph, struct cr_err *err)
{
	uint64_t start = PAGE_DOWN(ph->p_vaddr) + f->bias, off = PAGE_DOWN(ph->p_offset);
	uint64_t file_end = ph->p_vaddr + ph->p_filesz + f->bias, mem_end = PAGE_UP(ph->p_vaddr + ph->p_memsz + f->bias);
	uint64_t mapped_end = PAGE_UP(file_end);

	if (ph->p_filesz) {
		if (mmap((void *)start, mapped_end - start, prot_of(ph), MAP_PRIVATE | MAP_FIXED, f->fd, (off_t)off) == MAP_FAILED)
			return cr_err_set(err, errno, "cannot map %s at %#lx: %s", f->path, start, strerror(errno));
		if (ph->p_memsz > ph->p_filesz && (ph->p_flags & PF_W))
			memset((void *)file_end, 0, mapped_end - file_end);
	} else {
		mapped_end = start;
	}
	if (mem_end > mapped_end && mmap((void *)mapped_end, mem_end - mapped_end, prot_of(ph),
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return cr_err_set(err, errno, "cannot map the zero-filled part of %s: %s", f->path, strerror(errno));
	return 0;
}

static int elf_map(struct elf_file *f, struct cr_err *err)
{
	uint64_t lo = UINT64_MAX, hi = 0, align = CR_PAGE_BYTES, at;
	long r;

	for (int i = 0; i < f->eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &f->ph[i];

		if (ph->p_type != PT_LOAD)
			continue;
		if (ph->p_vaddr + ph->p_memsz < ph->p_vaddr || ph->p_filesz > ph->p_memsz)
			return cr_err_set(err, ENOEXEC, "%s: segment %d has impossible sizes", f->path, i);
		if (PAGE_DOWN(ph->p_vaddr) < lo)
			lo = PAGE_DOWN(ph->p_vaddr);
		if (PAGE_UP(ph->p_vaddr + ph->p_memsz) > hi)
			hi = PAGE_UP(ph->p_vaddr + ph->p_memsz);
		if (ph->p_align > align && !(ph->p_align & (ph->p_align - 1)))
			align = ph->p_align;
	}
	if (lo >= hi)
		return cr_err_set(err, ENOEXEC, "%s: no segment to load", f->path);
	if (f->eh.e_type == ET_EXEC) {
		f->bias = 0;
		if (mmap((void *)lo, hi - lo, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
			return cr_err_set(err, errno, "the fixed addresses %#lx-%#lx of %s are taken: %s", lo, hi, f->path, strerror(errno));
		if (cr_extra_add(lo, hi))
			return cr_err_set(err, ENOMEM, "too many ranges outside of the window");
	} else {
		r = cr_emul_mmap(0, hi - lo + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, (uint64_t)-1, 0);
		if (r < 0)
			return cr_err_set(err, (int)r, "no address range for %s: %s", f->path, strerror((int)-r));
		at = ((uint64_t)r + align - 1) & ~(align - 1);
		f->bias = at - lo;
		if (at > (uint64_t)r)
			munmap((void *)r, at - (uint64_t)r);
		if ((uint64_t)r + align > at)
			munmap((void *)(at + hi - lo), (uint64_t)r + align - at);
	}
	for (int i = 0; i < f->eh.e_phnum; i++)
		if (f->ph[i].p_type == PT_LOAD) {
			int rc = segment_map(f, &f->ph[i], err);

			if (rc)
				return rc;
		}
	return 0;
}

static int interp_path(const struct elf_file *f, char *path, size_t bytes)
{
	for (int i = 0; i < f->eh.e_phnum; i++)
		if (f->ph[i].p_type == PT_INTERP) {
			size_t n = f->ph[i].p_filesz;

			if (n == 0 || n > bytes || pread(f->fd, path, n, (off_t)f->ph[i].p_offset) != (ssize_t)n || path[n - 1])
				return -ENOEXEC;
			return 0;
		}
	return -ENOENT;
}

int cr_exec_load(const char *path, struct cr_exec *ret, struct cr_err *err)
{
	struct elf_file prog, interp;
	char ipath[1024];
	int rc = elf_read(path, &prog, err);

	if (rc)
		return rc;
	rc = interp_path(&prog, ipath, sizeof(ipath));
	if (rc) {
		close(prog.fd);
		return cr_err_set(err, ENOEXEC, rc == -ENOENT ? "%s is statically linked: it cannot be checkpointed; link it dynamically" :
				  "%s: bad interpreter path", path);
	}
	rc = elf_map(&prog, err);
	if (rc)
		goto out_prog;
	rc = elf_read(ipath, &interp, err);
	if (rc)
		goto out_prog;
	rc = elf_map(&interp, err);
	close(interp.fd);
	if (rc)
		goto out_prog;
	memset(ret, 0, sizeof(*ret));
	ret->entry = prog.eh.e_entry + prog.bias;
	ret->base = interp.bias;
	ret->start_ip = interp.eh.e_entry + interp.bias;
	ret->phnum = prog.eh.e_phnum;
	for (int i = 0; i < prog.eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &prog.ph[i];

		if (ph->p_type == PT_PHDR)
			ret->phdr = ph->p_vaddr + prog.bias;
		if (ph->p_type == PT_LOAD && !ret->phdr && prog.eh.e_phoff >= ph->p_offset && prog.eh.e_phoff < ph->p_offset + ph->p_filesz)
			ret->phdr = prog.eh.e_phoff - ph->p_offset + ph->p_vaddr + prog.bias;
		if (ph->p_type == PT_GNU_STACK)
			ret->exec_stack = ph->p_flags & PF_X;
	}
out_prog:
	close(prog.fd);
	return rc;
}

static uint64_t push(uint64_t *sp, const void *data, size_t n)
{
	*sp -= n;
	memcpy((void *)*sp, data, n);
	return *sp;
}

static size_t vec_bytes(char **v, int *ret_n)
{
	size_t bytes = 0;
	int n = 0;

	for (; v[n]; n++)
		bytes += strlen(v[n]) + 1;
	*ret_n = n;
	return bytes;
}

/* argc, argv, envp and auxv as the kernel lays them out; strings above. */
int cr_exec_stack(const struct cr_exec *x, const char *path, char **argv, char **envp, uint64_t *ret_sp, struct cr_err *err)
{
	int argc, envc, n_aux = 0;
	size_t bytes = vec_bytes(argv, &argc) + vec_bytes(envp, &envc) + strlen(path) + 4096;
	size_t first = STACK_FIRST_BYTES + PAGE_UP(bytes + (size_t)(argc + envc) * 8);
	uint64_t sp = CR_STACK_END, platform = 0, execfn, random, *w, *words;
	Elf64_auxv_t aux[64];
	void *m = mmap((void *)(CR_STACK_END - first), first, PROT_READ | PROT_WRITE | (x->exec_stack ? PROT_EXEC : 0),
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK | MAP_FIXED_NOREPLACE, -1, 0);

	if (m == MAP_FAILED)
		return cr_err_set(err, errno, "cannot map the program's stack: %s", strerror(errno));
	sp -= 8;
	execfn = push(&sp, path, strlen(path) + 1);
	words = calloc((size_t)(argc + envc) + 2, sizeof(*words));
	if (!words)
		return cr_err_set(err, ENOMEM, "out of memory for %d arguments", argc);
	for (int i = envc - 1; i >= 0; i--)
		words[argc + 1 + i] = push(&sp, envp[i], strlen(envp[i]) + 1);
	for (int i = argc - 1; i >= 0; i--)
		words[i] = push(&sp, argv[i], strlen(argv[i]) + 1);
	if (getauxval(AT_PLATFORM))
		platform = push(&sp, (void *)getauxval(AT_PLATFORM), strlen((char *)getauxval(AT_PLATFORM)) + 1);
	sp &= ~15UL;
	random = push(&sp, (void *)getauxval(AT_RANDOM), 16);

	/* the kernel's own vector with what differs replaced */
	for (unsigned long type = 1; type < 64 && n_aux < 60; type++) {
		uint64_t v;

		errno = 0;
		v = getauxval(type);
		if (!v && errno == ENOENT)
			continue;
		switch (type) {
		case AT_PHDR: v = x->phdr; break;
		case AT_PHNUM: v = x->phnum; break;
		case AT_ENTRY: v = x->entry; break;
		case AT_BASE: v = x->base; break;
		case AT_EXECFN: v = execfn; break;
		case AT_RANDOM: v = random; break;
		case AT_PLATFORM: v = platform; break;
		case AT_SYSINFO_EHDR: v = CR_BLOB_ADDR; break;
		case 27: case 28: continue; /* AT_RSEQ_*: not offered */
		default: break;
		}
		aux[n_aux++] = (Elf64_auxv_t){ .a_type = type, .a_un.a_val = v };
	}
	aux[n_aux++] = (Elf64_auxv_t){ .a_type = AT_NULL };

	sp -= (1 + (size_t)argc + 1 + (size_t)envc + 1) * 8 + (size_t)n_aux * sizeof(aux[0]);
	sp &= ~15UL;
	w = (uint64_t *)sp;
	*w++ = (uint64_t)argc;
	memcpy(w, words, ((size_t)argc + 1) * 8);
	w += argc + 1;
	memcpy(w, words + argc + 1, ((size_t)envc + 1) * 8);
	w += envc + 1;
	memcpy(w, aux, (size_t)n_aux * sizeof(aux[0]));
	free(words);
	*ret_sp = sp;
	return 0;
}
