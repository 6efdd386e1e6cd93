/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MPI_ names, so that profilers go on working.
 *
 * A profiler defines MPI_Send and calls PMPI_Send; it comes before the real libmpi in the order of symbols.  Ours is preloaded, hence
 * before the profiler.  So each MPI_ entry is a jump through a table: at the first call of any, the table is filled with what comes after
 * us under that name, which is a profiler, or with our own PMPI_ function.
 */
#include "crcp/upper/abi/objects.h"

#include <dlfcn.h>
#include <mpi-ext.h>
#include <string.h>

static const struct {
	const char *name;
	void *own;
} calls[] = {
#define CRCP_CALL(class, ret, name, args) { #name, (void *)P##name },
#include "crcp/mpi_calls.def"
#undef CRCP_CALL
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

extern void *crcp_entries[CALLS] __attribute__((visibility("hidden"))); /* entries_gen.S */

/* A real libmpi that the program opened by another name (libmpi.so) is no profiler: nothing may ever go there. */
static bool is_profiler(const void *function)
{
	const char *base;
	Dl_info info;

	if (!function)
		return false;
	if (!dladdr(function, &info) || !info.dli_fname)
		return true;
	base = strrchr(info.dli_fname, '/');
	return strncmp(base ? base + 1 : info.dli_fname, "libmpi.so", 9) != 0;
}

void crcp_entries_resolve(void);
void crcp_entries_resolve(void)
{
	for (size_t i = 0; i < CALLS; i++) {
		void *next = dlsym(RTLD_NEXT, calls[i].name);

		__atomic_store_n(&crcp_entries[i], is_profiler(next) ? next : calls[i].own, __ATOMIC_RELAXED);
	}
}

/* On the stack: the entry's number, the return address. Arguments of MPI calls are never in vector registers. */
__asm__(".text\n"
	".globl crcp_entry_lazy\n"
	".hidden crcp_entry_lazy\n"
	".type crcp_entry_lazy, @function\n"
	"crcp_entry_lazy:\n"
	"	push %rax\n"
	"	push %rdi\n"
	"	push %rsi\n"
	"	push %rdx\n"
	"	push %rcx\n"
	"	push %r8\n"
	"	push %r9\n"
	"	sub $8, %rsp\n"
	"	call crcp_entries_resolve\n"
	"	add $8, %rsp\n"
	"	pop %r9\n"
	"	pop %r8\n"
	"	pop %rcx\n"
	"	pop %rdx\n"
	"	pop %rsi\n"
	"	pop %rdi\n"
	"	pop %rax\n"
	"	pop %r11\n"
	"	lea crcp_entries(%rip), %r10\n"
	"	jmp *(%r10, %r11, 8)\n"
	".size crcp_entry_lazy, . - crcp_entry_lazy\n");
