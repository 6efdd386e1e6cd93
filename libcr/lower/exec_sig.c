/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * execve of the program: the new image is started through cr_run again, so that descendants stay protected.
 *
 * What the kernel would refuse, and what cr_run cannot start (static programs, set-uid files, other architectures), goes to the kernel as
 * it is; so does cr_restart, which brings a lower half of its own. May run in a vfork child on a small stack: everything is on the stack and
 * bounded. All signals stay blocked until the new image begins: a handler must not run above frames of the lower half.
 * Context: upper %fs, no libc.
 */
#include "libcr/lower/lower.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "libcr/arch/x86_64/raw.h"

#define HEAD_BYTES 1024
#define ARGS_ON_STACK 4096

static bool has_interpreter(const char *head, long n)
{
	const Elf64_Ehdr *eh = (const void *)head;

	if (n < (long)sizeof(*eh) || eh->e_machine != EM_X86_64 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (int i = 0; i < eh->e_phnum; i++) {
		uint64_t at = eh->e_phoff + (uint64_t)i * sizeof(Elf64_Phdr);
		const Elf64_Phdr *ph = (const void *)(head + at);

		if (at + sizeof(*ph) > (uint64_t)n)
			return false;
		if (ph->p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* Reads the head of a file that may be executed. Returns its length or -errno. */
static long read_head(const char *path, char *head)
{
	struct {
		uint64_t dev, ino, nlink;
		uint32_t mode, uid, gid, pad;
		uint64_t rest[14];
	} st;
	long fd, n;

	n = cr_sys4(SYS_faccessat, -100, path, 1 /* X_OK */, 0);
	if (n < 0)
		return n;
	fd = cr_sys3(SYS_open, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = cr_sys2(SYS_fstat, fd, &st);
	if (n >= 0 && ((st.mode & S_IFMT) != S_IFREG || (st.mode & (S_ISUID | S_ISGID))))
		n = -EACCES;
	if (n >= 0 && st.ino == cr_lower.cr_restart_ino && st.dev == cr_lower.cr_restart_dev)
		n = -EACCES;
	if (n >= 0)
		n = cr_sys3(SYS_read, fd, head, HEAD_BYTES);
	cr_sys1(SYS_close, fd);
	return n;
}

/* Splits "#! interpreter [argument]" in place. */
static char *shebang(char *head, long n, char **ret_arg)
{
	char *p = head + 2, *interp;
	long end = 2;

	*ret_arg = NULL;
	while (end < n && end < HEAD_BYTES - 1 && head[end] != '\n')
		end++;
	head[end] = '\0';
	while (end > 2 && (head[end - 1] == ' ' || head[end - 1] == '\t'))
		head[--end] = '\0';
	while (*p == ' ' || *p == '\t')
		p++;
	interp = p;
	while (*p && *p != ' ' && *p != '\t')
		p++;
	if (*p) {
		*p++ = '\0';
		while (*p == ' ' || *p == '\t')
			p++;
		if (*p)
			*ret_arg = p;
	}
	return *interp ? interp : NULL;
}

static const char *hex(uint64_t v, char text[17])
{
	for (int i = 0; i < 16; i++)
		text[i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
	text[16] = '\0';
	return text;
}

long cr_emul_execve(const char *path, char *const *argv, char *const *envp, uint64_t mask)
{
	char head[HEAD_BYTES], script_head[HEAD_BYTES], mask_text[17], tree_text[17], ipc_text[17];
	const char *exe = path, *extra[3] = { NULL, NULL, NULL }, **args;
	char *interp, *arg;
	uint64_t argc, envc, k = 0, bytes;
	long n;

	n = read_head(path, head);
	if (n > 2 && head[0] == '#' && head[1] == '!') {
		for (int i = 0; i < HEAD_BYTES; i++)
			script_head[i] = head[i];
		interp = shebang(script_head, n, &arg);
		if (!interp)
			return CR_EXEC_NATIVE;
		n = read_head(interp, head);
		if (n < 4 || !has_interpreter(head, n))
			return CR_EXEC_NATIVE;
		exe = interp;
		extra[0] = interp;
		extra[1] = arg ? arg : path;
		extra[2] = arg ? path : NULL;
	} else if (n < 4 || !has_interpreter(head, n)) {
		return CR_EXEC_NATIVE;
	}
	n = argv ? cr_args_count(argv) : 0;
	if (n < 0)
		return n;
	argc = (uint64_t)n;
	n = cr_exec_env_room(envp);
	if (n < 0)
		return n;
	envc = (uint64_t)n;
	bytes = (argc + 16 + envc) * sizeof(*args);
	/* A vfork child of libc has a stack that has room for its arguments; a thread with a small stack may pass more than fit there. */
	if (argc + envc > ARGS_ON_STACK) {
		n = cr_sys6(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0);
		if (n < 0)
			return n;
		args = (const char **)n;
	} else {
		args = __builtin_alloca(bytes);
	}
	args[k++] = "cr_run";
	args[k++] = "--exec";
	args[k++] = exe;
	args[k++] = "--mask";
	args[k++] = hex(mask, mask_text);
	args[k++] = "--stdio";
	args[k++] = cr_lower.stdio_text;
	if (cr_lower.tree) {
		args[k++] = "--tree";
		args[k++] = hex((uint64_t)cr_lower.tree_fd, tree_text);
	}
	if (cr_lower.ipc) {
		args[k++] = "--ipc";
		args[k++] = hex((uint64_t)cr_lower.ipc_fd, ipc_text);
	}
	args[k++] = "--";
	for (int i = 0; i < 3 && extra[i]; i++)
		args[k++] = extra[i];
	/* A script's interpreter has taken the place of the first argument. */
	n = cr_args_read(argv, extra[0] ? 1 : 0, args + k, argc > 0 && extra[0] ? argc - 1 : argc);
	if (n >= 0) {
		k += (uint64_t)n;
		if (!argc && !extra[0])
			args[k++] = "";
		args[k++] = NULL;
		if (envc)
			n = cr_exec_env(envp, args + k, envc);
	}
	if (n >= 0 && cr_lower.ipc)
		cr_sys3(SYS_fcntl, cr_lower.ipc_fd, F_SETFD, 0);
	if (n >= 0)
		n = cr_sys3(SYS_execve, cr_lower.cr_run_path, args, envc ? (char *const *)(args + k) : envp);
	if (cr_lower.ipc)
		cr_sys3(SYS_fcntl, cr_lower.ipc_fd, F_SETFD, FD_CLOEXEC);
	if (argc + envc > ARGS_ON_STACK)
		cr_sys2(SYS_munmap, args, bytes);
	return n;
}

int cr_exec_probe(const char *path, char *interp, uint64_t interp_bytes, char **ret_interp_arg)
{
	static char head[HEAD_BYTES];
	static char line[HEAD_BYTES];
	char *name, *arg;
	long n = read_head(path, head);
	uint64_t i = 0;

	*ret_interp_arg = NULL;
	if (n < 0)
		return (int)n;
	if (n < 4)
		return -ENOEXEC;
	if (head[0] != '#' || head[1] != '!')
		return head[0] == 0x7f && head[1] == 'E' ? 0 : -ENOEXEC;
	for (int k = 0; k < HEAD_BYTES; k++)
		line[k] = head[k];
	name = shebang(line, n, &arg);
	if (!name)
		return -ENOEXEC;
	for (; name[i]; i++) {
		if (i + 1 >= interp_bytes)
			return -ENAMETOOLONG;
		interp[i] = name[i];
	}
	interp[i] = '\0';
	*ret_interp_arg = arg;
	return 1;
}
