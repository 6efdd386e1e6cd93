/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restart: check everything, put the memory back, then files, process state and signal actions, then the threads.
 *
 * Every thread goes on by rt_sigreturn from the signal frame in which it was frozen: the frame holds all registers with extended state,
 * the signal mask and the alternate stack. Only %fs, %gs and the kernel's per-thread addresses are set by hand before.
 */
#include "libcr/lower/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libcr/arch/x86_64/cpu.h"
#include "libcr/arch/x86_64/fs.h"
#include "libcr/arch/x86_64/raw.h"
#include "libcr/image/cr_image.h"
#include "libcr/image/relocate.h"
#include "libcr/image/thread_payload.h"
#include "libcr/lower/ipc.h"
#include "libcr/lower/shm_file.h"
#include "libcr/lower/start.h"
#include "libcr/lower/tree.h"

#define BOOT_STACK_BYTES 16384UL

struct boot {
	struct cr_thread_payload t;
	int32_t kernel_tid;
	volatile uint32_t ready; /* futex */
	bool has_state;
	struct cr_thread_state_payload state;
	const uint32_t *groups; /* borrowed from the image */
	int error;              /* of state */
	const char *what;
};

static volatile uint32_t go; /* futex: all threads leave together */

static const void *payload(const struct cr_image *img, uint32_t type, size_t bytes, struct cr_err *err, int *ret_rc)
{
	struct cr_image_record rec;

	if (cr_image_find(img, type, &rec)) {
		*ret_rc = cr_err_set(err, ENODATA, "%s: no %s record: the file cannot be restarted", cr_image_name(img), cr_image_type_name(type));
		return NULL;
	}
	if (rec.bytes < bytes) {
		*ret_rc = cr_err_set(err, EBADMSG, "%s: %s record of %lu bytes, %zu expected", cr_image_name(img), cr_image_type_name(type),
				     rec.bytes, bytes);
		return NULL;
	}
	return rec.data;
}

static int layout_check(const struct cr_image *img, const struct cr_layout_payload *l, struct cr_err *err)
{
	struct rlimit rl;

	if (l->window_base != CR_WINDOW_BASE || l->window_end != CR_WINDOW_END || l->gate_version != CR_GATE_VERSION)
		return cr_err_set(err, ENOTSUP, "%s was written by a version of ompi-cr with another address window", cr_image_name(img));
	if (!l->threads)
		return cr_err_set(err, EBADMSG, "%s holds no thread", cr_image_name(img));
	if (getrlimit(RLIMIT_NOFILE, &rl) || rl.rlim_max < (rlim_t)l->fd_floor + 64)
		return cr_err_set(err, EMFILE, "the limit of open files (%lu) is too low, %u are needed: raise it (ulimit -n)",
				  (unsigned long)rl.rlim_max, l->fd_floor + 64);
	return 0;
}

int cr_restore_needs(const char *path, struct cr_restore_needs *ret, struct cr_err *err)
{
	const struct cr_layout_payload *l;
	const struct cr_group_payload *g;
	struct cr_image *img = NULL;
	struct cr_image_record rec;
	struct rlimit rl;
	int rc, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return cr_err_set(err, errno, "cannot open %s: %s", path, strerror(errno));
	rc = cr_image_open(fd, path, &img, err);
	close(fd);
	if (rc)
		return rc;
	/* Processes of one file have one floor. */
	l = payload(cr_tree_is(img) && cr_image_part(img, 1) ? cr_image_part(img, 1) : img, CR_REC_LAYOUT, sizeof(*l), err, &rc);
	if (!rc)
		*ret = (struct cr_restore_needs){ .fd_floor = (int)l->fd_floor, .program_pid = l->program_pid, .program_pgid = -1, .program_sid = -1,
						   .tree = cr_tree_is(img) };
	if (!rc && cr_image_find(img, CR_REC_GROUP, &rec) == 0 && rec.bytes >= sizeof(*g)) {
		g = rec.data;
		ret->program_pgid = g->pgid;
		ret->program_sid = g->sid;
	}
	cr_image_close(img);
	if (!rc && (ret->fd_floor <= 0 || ret->program_pid <= 0))
		rc = cr_err_set(err, EBADMSG, "%s: descriptor floor %d of process %d makes no sense", path, ret->fd_floor, ret->program_pid);
	if (rc)
		return rc;
	if (!getrlimit(RLIMIT_NOFILE, &rl)) {
		rl.rlim_cur = rl.rlim_max; /* until the program goes on: cr_start_limit */
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	return 0;
}

static int check_layout(const struct cr_image *img, struct cr_err *err)
{
	int rc = 0;
	const struct cr_layout_payload *l = payload(img, CR_REC_LAYOUT, sizeof(*l), err, &rc);

	return rc ? rc : layout_check(img, l, err);
}

static int check_cpu(const struct cr_image *img, struct cr_err *err)
{
	int rc = 0;
	const struct cr_cpu_payload *cpu = payload(img, CR_REC_CPU, sizeof(*cpu), err, &rc);

	return rc ? rc : cr_cpu_check(cpu, err);
}

/* Of one process: all but its pages. */
static const struct check {
	const char *what;
	int (*check)(const struct cr_image *img, struct cr_err *err);
} checks[] = {
	{ "layout", check_layout },		 { "processor", check_cpu },	       { "shared memory", cr_shm_restore_check },	       { "memory", cr_mem_restore_check },
	{ "files", cr_files_restore_check }, { "process", cr_process_restore_check }, { "threads", cr_thread_state_restore_check },
	{ "System V objects", cr_ipc_restore_check },
};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))

int cr_restore_check_process(struct cr_image *img, struct cr_err *err)
{
	int rc = 0;

	cr_mem_set.made = cr_shm_makes;
	for (size_t i = 0; i < CHECKS && !rc; i++)
		rc = checks[i].check(img, err);
	return rc;
}

struct findings {
	cr_restore_found_fn *found;
	void *arg;
	int rc; /* of the first; of the one that may be gone in a new process */
	struct cr_err *err;
};

static void finding(struct findings *f, const char *what, int pid, int rc, const struct cr_err *why)
{
	if (!rc)
		return;
	if (!f->rc || (rc == -EADDRINUSE && f->rc != rc))
		f->rc = cr_err_set(f->err, rc, "%s", why->text);
	f->found(f->arg, what, pid, why);
}

static void findings_process(struct findings *f, struct cr_image *img)
{
	const struct cr_layout_payload *l;
	struct cr_err why = { "" };
	int none = 0;

	cr_mem_set.made = cr_shm_makes;
	l = payload(img, CR_REC_LAYOUT, sizeof(*l), &why, &none);
	for (size_t i = 0; i < CHECKS; i++) {
		why.text[0] = '\0';
		finding(f, checks[i].what, l ? l->program_pid : 0, checks[i].check(img, &why), &why);
		/* What another version wrote is not looked at. */
		if (i == 0 && f->rc == -ENOTSUP)
			return;
	}
}

static void findings_tree(struct findings *f, struct cr_image *img)
{
	struct cr_err why = { "" };
	int rc = cr_tree_load(img, &why);

	finding(f, "tree", 0, rc, &why);
	if (!rc)
		finding(f, "shared memory", 0, cr_shm_restore_check(cr_image_part(img, 0), &why), &why);
	why.text[0] = '\0';
	if (!rc)
		finding(f, "files", 0, cr_files_restore_check(cr_image_part(img, 0), &why), &why);
	why.text[0] = '\0';
	if (!rc)
		finding(f, "System V objects", 0, cr_ipc_restore_check(cr_image_part(img, 0), &why), &why);
	for (uint32_t i = 1; i < cr_image_parts(img) && !rc; i++)
		findings_process(f, cr_image_part(img, i));
}

/* 0, or a negative errno with words. */
static int image_open(const char *path, struct cr_image **ret_img, struct cr_err *err)
{
	int rc, fd = cr_fd_raise(open(path, O_RDONLY | O_CLOEXEC));

	if (fd < 0)
		return cr_err_set(err, errno, "cannot open %s: %s", path, strerror(errno));
	rc = cr_image_open(fd, path, ret_img, err);
	close(fd);
	return rc;
}

int cr_restore_check_all(const char *path, cr_restore_found_fn *found, void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes), void *arg,
			 struct cr_err *err)
{
	struct findings f = { .found = found, .arg = arg, .err = err };
	struct cr_image *img = NULL;
	struct cr_err why = { "" };
	int rc = image_open(path, &img, &why);

	finding(&f, "file", 0, rc, &why);
	if (rc)
		return f.rc;
	if (cr_tree_is(img))
		findings_tree(&f, img);
	else
		findings_process(&f, img);
	finding(&f, "pages", 0, cr_image_verify_pages(img, progress, arg, &why), &why);
	cr_image_close(img);
	return f.rc;
}

int cr_restore_check(const char *path, void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes), void *arg, struct cr_image **ret_img,
		     struct cr_err *err)
{
	struct cr_image *img = NULL;
	int rc = image_open(path, &img, err);

	if (rc)
		return rc;
	rc = cr_tree_is(img) ? cr_tree_check(img, err) : cr_restore_check_process(img, err);
	if (!rc)
		rc = cr_image_verify_pages(img, progress, arg, err);
	if (rc) {
		cr_image_close(img);
		return rc;
	}
	*ret_img = img;
	return 0;
}

/* In the new thread, before it becomes the program's: no libc, no TLS. */
static int thread_boot(void *arg)
{
	struct boot *b = arg;

	cr_arch_prctl(CR_ARCH_SET_FS, b->t.fs);
	cr_arch_prctl(CR_ARCH_SET_GS, b->t.gs);
	cr_sys1(SYS_set_tid_address, b->t.clear_child_tid);
	if (b->t.robust_head)
		cr_sys2(SYS_set_robust_list, b->t.robust_head, b->t.robust_bytes);
	cr_sys2(SYS_prctl, PR_SET_NAME, b->t.name);
	if (b->has_state && !b->t.first)
		b->error = cr_thread_state_apply(&b->state, b->groups, &b->what);
	__atomic_store_n(&b->ready, 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &b->ready, FUTEX_WAKE_PRIVATE, 1);
	while (!go)
		cr_sys4(SYS_futex, &go, FUTEX_WAIT_PRIVATE, 0, 0);
	cr_pending_put_back(b->kernel_tid);
	cr_sigreturn((void *)b->t.uc);
}

static int id_add(int program, int kernel)
{
	struct cr_id *ids = realloc(cr_lower.ids, (cr_lower.n_ids + 1) * sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	ids[cr_lower.n_ids] = (struct cr_id){ program, kernel };
	cr_lower.ids = ids;
	cr_lower.n_ids++;
	return 0;
}

static void thread_schedule(const struct boot *b)
{
	struct sched_param sp = { .sched_priority = b->t.priority };

	/* Best effort: a user who may not use a real-time class any more computes on without it. */
	if (b->t.policy >= 0 && b->t.policy != SCHED_OTHER)
		sched_setscheduler(b->kernel_tid, b->t.policy, &sp);
	if (b->t.nice)
		setpriority(PRIO_PROCESS, (id_t)b->kernel_tid, b->t.nice);
}

static int state_error(const struct boot *b, struct cr_err *err)
{
	return cr_err_set(err, b->error, "thread %d: its %s cannot be set as at the checkpoint: %s; restart it with the privileges that it was launched with",
			  b->t.tid, b->what, strerror(-b->error));
}

static int threads_create(const struct cr_image *img, struct boot **ret, unsigned int *ret_n, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct boot *boots = calloc(CR_SLOT_MAX, sizeof(*boots));
	unsigned int n = 0, firsts = 0;

	if (!boots)
		return cr_err_set(err, ENOMEM, "out of memory");
	while (cr_image_next(img, &rec) == 1) {
		struct boot *b = &boots[n];
		char *stack;

		if (rec.type != CR_REC_THREAD)
			continue;
		if (rec.bytes < sizeof(b->t) || n == CR_SLOT_MAX)
			return cr_err_set(err, EBADMSG, "%s: bad THREAD record", cr_image_name(img));
		memcpy(&b->t, rec.data, sizeof(b->t));
		b->has_state = cr_thread_state_find(img, b->t.tid, &b->state, &b->groups);
		n++;
		if (b->t.first) {
			firsts++;
			b->kernel_tid = getpid();
			continue;
		}
		stack = mmap(NULL, BOOT_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (stack == MAP_FAILED)
			return cr_err_set(err, errno, "no stack for thread %d: %s", b->t.tid, strerror(errno));
		b->kernel_tid = (int)cr_clone_thread(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
						     stack + BOOT_STACK_BYTES, thread_boot, b);
		if (b->kernel_tid < 0)
			return cr_err_set(err, -b->kernel_tid, "cannot create thread %d of %s: %s", b->t.tid, cr_image_name(img),
					  strerror(-b->kernel_tid));
		while (!b->ready)
			cr_sys4(SYS_futex, &b->ready, FUTEX_WAIT_PRIVATE, 0, 0);
		if (b->error < 0)
			return state_error(b, err);
	}
	if (firsts != 1)
		return cr_err_set(err, ENOTSUP, "%s: its first thread had ended before the checkpoint; such a process cannot be restarted",
				  cr_image_name(img));
	for (unsigned int i = 0; i < n; i++) {
		if (id_add(boots[i].t.tid, boots[i].kernel_tid))
			return cr_err_set(err, ENOMEM, "out of memory");
		thread_schedule(&boots[i]);
	}
	*ret = boots;
	*ret_n = n;
	return 0;
}

static int sigactions_restore(const struct cr_image *img, struct cr_err *err)
{
	const struct cr_sigaction_payload *p;
	uint64_t trampoline = cr_blob_symbol("cr_blob_signal");
	int rc = 0;

	p = payload(img, CR_REC_SIGACTION, sizeof(*p), err, &rc);
	if (rc)
		return rc;
	for (int sig = 1; sig < CR_NSIG; sig++) {
		struct cr_ksigaction a = { 0 };

		if (sig == SIGKILL || sig == SIGSTOP || sig == SIGSYS || sig == CR_SIGNUM)
			continue;
		/* SIGCHLD without a handler has flags that count. */
		if (p->kind[sig] == 2 || CR_PRIVATE->actions[sig].handler == p->kind[sig]) {
			a = CR_PRIVATE->actions[sig];
			a.mask &= ~CR_RESERVED_MASK;
		}
		a.handler = p->kind[sig] == 2 ? trampoline : p->kind[sig];
		rc = (int)cr_sys4(SYS_rt_sigaction, sig, &a, 0, 8);
		if (rc < 0)
			return cr_err_set(err, rc, "cannot restore the action of signal %d: %s", sig, strerror(-rc));
	}
	return 0;
}

/* Of a process that is alone; of a tree see tree_restore.c. */
static int ipc_restore(const struct cr_image *img, struct cr_err *err)
{
	int rc;

	if (cr_lower.tree)
		return 0;
	rc = cr_ipc_table_open(-1, err);
	if (!rc)
		rc = cr_ipc_restore(img, err);
	if (!rc)
		rc = cr_ipc_restore_undo(img, err);
	return rc ? rc : cr_ipc_restore_last(img, err);
}

static int object_fd(void *arg, uint32_t dev_major, uint32_t dev_minor, uint64_t ino, struct cr_err *err)
{
	int fd = cr_tree_object_fd(dev_major, dev_minor, ino);

	return fd >= 0 ? fd : cr_files_object_fd(arg, cr_lower.fd_floor, dev_major, dev_minor, ino, err);
}

int cr_restore_run(struct cr_image *img, const struct cr_restore_how *how, struct cr_err *err)
{
	struct cr_tid_map tids = { .to_program = cr_id_to_program, .to_real = cr_id_to_kernel };
	const struct cr_mem_object_source source = { .fd = object_fd, .arg = img };
	const struct cr_layout_payload *l;
	const struct cr_cpu_payload *cpu;
	struct boot *boots = NULL, *first = NULL;
	unsigned int n = 0;
	uint64_t all = ~0UL;
	int rc = 0, floor;
	bool inherited;

	l = payload(img, CR_REC_LAYOUT, sizeof(*l), err, &rc);
	cpu = rc ? NULL : payload(img, CR_REC_CPU, sizeof(*cpu), err, &rc);
	if (rc)
		return rc;
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8);
	rc = cr_cpu_prepare(cpu, err);
	if (rc)
		return rc;
	rc = cr_filter_install((int)l->fd_floor, true, &floor, &inherited, err);
	if (rc)
		return rc;
	cr_thread_state_record();
	rc = cr_lower.tree ? 0 : cr_shm_restore(img, err);
	if (rc)
		return rc;
	rc = cr_mem_restore(img, &source, err);
	if (rc)
		return rc;
	rc = cr_window_fill(err);
	if (rc)
		return rc;
	CR_GATE->epoch = l->epoch + 1;
	snprintf(CR_PRIVATE->exe, sizeof(CR_PRIVATE->exe), "%s", cr_relocate(l->exe));
	CR_PRIVATE->program_pid = l->program_pid;
	CR_PRIVATE->program_ppid = l->program_ppid;
	cr_tree_parent(&CR_PRIVATE->program_ppid);
	cr_lower.kernel_pid = getpid();
	cr_lower.kernel_ppid = getppid();
	if (CR_GATE->board) {
		CR_GATE->board->order = CR_ORDER_RUN;
		CR_GATE->board->served = 0; /* the new job counts its checkpoints anew */
	}
	if (CR_GATE->callbacks) {
		CR_GATE->callbacks->outcome = 0;
		CR_GATE->callbacks->order = CR_CALLBACK_RUN;
		snprintf(CR_GATE->callbacks->source, sizeof(CR_GATE->callbacks->source), "%s", cr_image_name(img));
	}
	rc = cr_files_restore(img, cr_lower.fd_floor, err);
	cr_tree_shared_close();
	if (rc)
		return rc;
	rc = cr_process_restore(img, err);
	if (rc)
		return rc;
	rc = ipc_restore(img, err);
	if (rc)
		return rc;
	rc = sigactions_restore(img, err);
	if (rc)
		return rc;
	if (cr_signals_install())
		return cr_err_set(err, EINVAL, "cannot install the signal handlers of the lower half");
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8);
	rc = threads_create(img, &boots, &n, err);
	if (rc)
		return rc;
	rc = cr_process_restore_timers(img, &tids, err);
	if (rc)
		return rc;
	rc = cr_pending_load(img, err);
	if (rc)
		return rc;
	err->text[0] = '\0';
	rc = cr_agent_start(cr_tree_coordinated(), err);
	if (rc || (cr_tree_coordinated() && !cr_agent_coordinated()))
		return rc ? rc : -ECONNREFUSED;
	for (unsigned int i = 0; i < n; i++)
		if (boots[i].t.first)
			first = &boots[i];
	/* The last: privileges that are given up are not there any more. */
	if (first->has_state)
		first->error = cr_thread_state_apply(&first->state, first->groups, &first->what);
	if (first->error < 0)
		return state_error(first, err);
	rc = cr_tree_wait_all(err);
	if (rc)
		return rc;
	if (cr_lower.tree)
		cr_tree_done();
	else
		cr_image_close(img);
	cr_start_limit();
	if (how->ready_fd >= 0) {
		(void)!write(how->ready_fd, &how->ready, 1);
		close(how->ready_fd);
	}
	if (how->other_fd >= 0)
		close(how->other_fd);
	/* All signals are blocked: it is taken by the first thread that runs on and does not block it. A stop comes at once. */
	if (how->signo)
		kill(getpid(), how->signo);
	__atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &go, FUTEX_WAKE_PRIVATE, 0x7fffffff);
	first->ready = 1;
	thread_boot(first);
	return -EINVAL; /* not reached */
}
