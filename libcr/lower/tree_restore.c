/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cr_restart of a file with several processes.
 *
 * cr_restart makes what they share, then the tree: each process makes its children, with the ids that they had where the kernel lets it choose. All
 * restore themselves at the same time, and go on together when every one has come to that point; when one fails all end, and nothing has run.
 * cr_restart stays: it passes signals on to the root and ends as the root does.
 * Context: processes with one thread each until cr_restore_run() makes more.
 */
#include "libcr/lower/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"
#include "libcr/image/cr_image.h"
#include "libcr/image/cr_vma.h"
#include "libcr/image/thread_payload.h"
#include "libcr/lower/files_set.h"
#include "libcr/lower/files_view.h"
#include "libcr/lower/ipc.h"
#include "libcr/lower/set.h"
#include "libcr/lower/shm_file.h"

enum step { FORKED, GROUPED, RESTORED };

/* Memory that processes share, mapped in all of them. */
struct object {
	uint32_t dev_major, dev_minor;
	uint64_t ino, bytes;
	uint32_t part; /* the first that has it */
	bool several;
	void *addr;
};

static struct tree {
	struct cr_image *img;
	struct cr_tree_payload head;
	struct cr_tree_process *p;
	struct object *objects;
	unsigned int n_objects;
	int self; /* index of this process; -1: cr_restart itself */
	int root_pid;
	bool stays_in_group, stays_in_session; /* the root: in those of cr_restart */
	int *opened;     /* shared objects, for mapping: descriptors of the lower half */
	unsigned int n_opened;
	int stand_in;    /* child of this process that leads a group until all have joined; 0 none */
	struct cr_restore_how how;
} tree = { .self = -1, .how = { .ready_fd = -1, .other_fd = -1 } };

bool cr_tree_is(const struct cr_image *img)
{
	struct cr_image_record rec;

	return cr_image_find(img, CR_REC_TREE, &rec) == 0;
}

bool cr_tree_coordinated(void)
{
	return tree.self < 0 || (tree.p[tree.self].flags & CR_TREE_F_COORDINATED);
}

static int bad(const struct cr_image *img, const char *what, struct cr_err *err)
{
	return cr_err_set(err, EBADMSG, "context file %s: TREE record: %s; the file was not written correctly, use another snapshot", cr_image_name(img), what);
}

/* Sound: every parent is before its children, every process has a part of its own. */
int cr_tree_load(struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec;
	uint32_t n, running = 0;

	if (cr_image_find(img, CR_REC_TREE, &rec) || rec.bytes < sizeof(tree.head))
		return bad(img, "it is too short", err);
	memcpy(&tree.head, rec.data, sizeof(tree.head));
	n = tree.head.n_processes;
	if (!n || n > CR_TREE_MAX || rec.bytes != sizeof(tree.head) + n * sizeof(*tree.p))
		return bad(img, "the number of processes makes no sense", err);
	free(tree.p);
	tree.p = calloc(n, sizeof(*tree.p));
	if (!tree.p)
		return cr_err_set(err, ENOMEM, "out of memory");
	memcpy(tree.p, (const char *)rec.data + sizeof(tree.head), n * sizeof(*tree.p));
	tree.img = img;
	for (uint32_t i = 0; i < n; i++) {
		const struct cr_tree_process *p = &tree.p[i];

		if (p->parent > i || (p->parent && tree.p[p->parent - 1].state != CR_TREE_RUNS) || p->pid <= 0)
			return bad(img, "a process has no place", err);
		if (p->state == CR_TREE_RUNS) {
			running++;
			if (p->part != running || !cr_image_part(img, p->part))
				return bad(img, "a process has no part", err);
		} else if (p->state != CR_TREE_ENDED || !p->parent) {
			return bad(img, "the state of a process is unknown", err);
		}
	}
	if (cr_image_parts(img) != running + 1 || tree.p[0].state != CR_TREE_RUNS)
		return bad(img, "the number of parts is another one", err);
	return 0;
}

/* --- shared memory --- */

static bool is_object(const struct object *o, const struct cr_vma *vma)
{
	return o->ino == vma->ino && o->dev_major == vma->dev_major && o->dev_minor == vma->dev_minor;
}

static int objects_note(const struct cr_vma *vma, uint32_t part, struct cr_err *err)
{
	struct object *more, *o = NULL;
	uint64_t end = vma->offset + (vma->end - vma->start);

	for (unsigned int i = 0; i < tree.n_objects && !o; i++)
		if (is_object(&tree.objects[i], vma))
			o = &tree.objects[i];
	if (!o) {
		more = reallocarray(tree.objects, tree.n_objects + 1, sizeof(*more));
		if (!more)
			return cr_err_set(err, ENOMEM, "out of memory");
		tree.objects = more;
		o = &more[tree.n_objects++];
		*o = (struct object){ .dev_major = vma->dev_major, .dev_minor = vma->dev_minor, .ino = vma->ino, .part = part };
	}
	o->several |= o->part != part;
	if (end > o->bytes)
		o->bytes = end;
	return 0;
}

static int objects_find(struct cr_err *err)
{
	int rc = 0;

	for (uint32_t part = 1; part < cr_image_parts(tree.img); part++) {
		struct cr_image_record rec = { .cursor = 0 };
		struct cr_vma vma;

		while (!rc && cr_image_next(cr_image_part(tree.img, part), &rec) > 0) {
			if (rec.type != CR_REC_VMA || rec.bytes < sizeof(vma))
				continue;
			memcpy(&vma, rec.data, sizeof(vma));
			if (vma.kind == CR_VMA_ANON_SHARED && !(vma.flags & CR_VMA_F_OBJECT_FD))
				rc = objects_note(&vma, part, err);
		}
	}
	return rc;
}

/* Outside of the window, where nothing of the program is: the kernel chooses from the top. */
static int objects_map(struct cr_err *err)
{
	for (unsigned int i = 0; i < tree.n_objects; i++) {
		struct object *o = &tree.objects[i];

		if (!o->several)
			continue;
		o->addr = mmap(NULL, o->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (o->addr == MAP_FAILED) {
			o->addr = NULL;
			return cr_err_set(err, errno, "%lu bytes of memory that processes share cannot be mapped: %s", (unsigned long)o->bytes, strerror(errno));
		}
	}
	return 0;
}

static void *object_of(const struct cr_vma *vma)
{
	for (unsigned int i = 0; i < tree.n_objects; i++)
		if (tree.objects[i].addr && is_object(&tree.objects[i], vma))
			return tree.objects[i].addr;
	return NULL;
}

static void objects_unmap(void)
{
	for (unsigned int i = 0; i < tree.n_objects; i++)
		if (tree.objects[i].addr)
			munmap(tree.objects[i].addr, tree.objects[i].bytes);
	free(tree.objects);
	tree.objects = NULL;
	tree.n_objects = 0;
}

int cr_tree_check(struct cr_image *img, struct cr_err *err)
{
	int rc = cr_tree_load(img, err);

	if (!rc)
		rc = cr_shm_restore_check(cr_image_part(img, 0), err);
	if (!rc)
		rc = cr_files_restore_check(cr_image_part(img, 0), err);
	if (!rc)
		rc = cr_ipc_restore_check(cr_image_part(img, 0), err);
	for (uint32_t i = 1; i < cr_image_parts(img) && !rc; i++)
		rc = cr_restore_check_process(cr_image_part(img, i), err);
	return rc;
}

/* For writing, however the program opened it; sealed against that it is only mapped for reading. */
static int shared_open(int shared)
{
	int *more = reallocarray(tree.opened, tree.n_opened + 1, sizeof(*more)), fd;
	char path[64];

	if (!more)
		return -ENOMEM;
	tree.opened = more;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", shared);
	fd = cr_file_open_high(path, O_RDWR, 0, cr_lower.fd_floor);
	if (fd < 0)
		fd = cr_file_dup_high(shared, cr_lower.fd_floor);
	if (fd >= 0)
		tree.opened[tree.n_opened++] = fd;
	return fd;
}

int cr_tree_object_fd(uint32_t dev_major, uint32_t dev_minor, uint64_t ino)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_file_view view;

	while (tree.img && cr_image_next(cr_image_part(tree.img, 0), &rec) > 0) {
		uint32_t number;

		if (rec.type != CR_REC_FILE || cr_file_view_parse(&rec, &view, NULL) < 0 || !cr_file_is_object(&view.head, dev_major, dev_minor, ino))
			continue;
		number = (uint32_t)(view.fds[0].fd - CR_TREE_FIRST_FD);
		if (number < cr_set.n_shared)
			return shared_open(cr_set.shared[number]);
	}
	return -ENOENT;
}

void cr_tree_shared_close(void)
{
	cr_set_shared_close();
	free(cr_set.shared);
	cr_set.shared = NULL;
	cr_set.n_shared = 0;
	while (tree.n_opened)
		close(tree.opened[--tree.n_opened]);
	free(tree.opened);
	tree.opened = NULL;
}

/* --- all together --- */

void cr_tree_failed(const struct cr_err *err)
{
	uint32_t none = 0;

	if (!cr_lower.tree)
		return;
	/* 2: the words are there. */
	if (__atomic_compare_exchange_n(&cr_lower.tree->failed, &none, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
		memcpy(cr_lower.tree->error, err->text, sizeof(err->text));
		__atomic_store_n(&cr_lower.tree->failed, 2, __ATOMIC_SEQ_CST);
	}
	for (int i = 0; i < 3; i++)
		cr_sys3(SYS_futex, &cr_lower.tree->arrived[i], FUTEX_WAKE, 0x7fffffff);
}

static void arrive(enum step step)
{
	__atomic_fetch_add(&cr_lower.tree->arrived[step], 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &cr_lower.tree->arrived[step], FUTEX_WAKE, 0x7fffffff);
}

/* Until all have; or one has failed: -ECANCELED. cr_restart itself looks after those that end without a word. */
static int wait_all(enum step step)
{
	struct cr_tree_shared *t = cr_lower.tree;

	for (;;) {
		uint32_t seen = __atomic_load_n(&t->arrived[step], __ATOMIC_SEQ_CST);
		struct timespec pause = { .tv_nsec = 100000000 };

		if (__atomic_load_n(&t->failed, __ATOMIC_SEQ_CST))
			return -ECANCELED;
		if (seen >= t->n[step])
			return 0;
		cr_sys4(SYS_futex, &t->arrived[step], FUTEX_WAIT, seen, &pause);
	}
}

int cr_tree_wait_all(struct cr_err *err)
{
	if (!cr_lower.tree)
		return 0;
	arrive(RESTORED);
	return wait_all(RESTORED) ? cr_err_set(err, ECANCELED, "another process of the tree could not be restarted") : 0;
}

/* --- making processes --- */

/*
 * A child with the id that it had, where the kernel lets us choose and the id is free; else with any, unless that is not wanted. Not fork(): the id of
 * the first thread that the C library keeps is written by the kernel (the address is what set_tid_address was told).
 */
static int fork_as(int program_pid)
{
	pid_t want = program_pid;
	struct clone_args a = { .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&want, .set_tid_size = 1 };
	uint64_t tid_addr = 0;
	long pid;

	if (cr_sys2(SYS_prctl, PR_GET_TID_ADDRESS, &tid_addr) == 0 && tid_addr) {
		a.flags = CLONE_CHILD_SETTID;
		a.child_tid = tid_addr;
	}
	pid = cr_sys2(SYS_clone3, &a, sizeof(a));
	if (!tree.how.keep_ids && (pid == -EPERM || pid == -EEXIST || pid == -EINVAL || pid == -ENOSYS)) {
		a.set_tid = 0;
		a.set_tid_size = 0;
		pid = cr_sys2(SYS_clone3, &a, sizeof(a));
	}
	if (pid == 0)
		cr_threads_forked();
	return (int)pid;
}

static int cannot_make(const struct cr_tree_process *p, int rc, struct cr_err *err)
{
	if (rc == -EEXIST)
		return cr_err_set(err, EBUSY, "process id %d (%s) is in use; end that process, or restart with --no-restore-pid", p->pid, p->name);
	return cr_err_set(err, rc, "process %d (%s) cannot be made: %s", p->pid, p->name, strerror(-rc));
}

static const struct cr_tree_process *process_of(int pid)
{
	for (uint32_t i = 0; i < tree.head.n_processes; i++)
		if (tree.p[i].pid == pid)
			return &tree.p[i];
	return NULL;
}

/*
 * Its own session and group. The root's are made only where cr_restart's will not do: what is in the foreground of a terminal stays there, and who
 * signals cr_restart's group, of which that is the leader, means the tree. The user may decide otherwise.
 */
static int own_ids(const struct cr_tree_process *p, struct cr_err *err)
{
	bool root = p == &tree.p[0];
	bool leads_session = p->sid == p->pid && tree.how.sid != CR_IDS_LEAVE && (!root || !tree.stays_in_session);
	bool leads_group = p->pgid == p->pid && tree.how.pgid != CR_IDS_LEAVE && (!root || !tree.stays_in_group);

	if (leads_session) {
		if (setsid() < 0)
			return cr_err_set(err, errno, "process %d (%s): setsid: %s", p->pid, p->name, strerror(errno));
	} else if (leads_group && setpgid(0, 0) < 0) {
		return cr_err_set(err, errno, "process %d (%s): setpgid: %s", p->pid, p->name, strerror(errno));
	}
	return 0;
}

/* Is @index the first of a group whose leader is not there any more? */
static bool needs_leader(int index)
{
	int pgid = tree.p[index].pgid;

	if (!pgid || process_of(pgid) || tree.how.pgid == CR_IDS_LEAVE || (pgid == tree.p[0].pgid && tree.stays_in_group))
		return false;
	for (int i = 0; i < index; i++)
		if (tree.p[i].pgid == pgid)
			return false;
	return true;
}

/* A process that makes the group and is gone before the program runs. */
static int make_leader(int index, struct cr_err *err)
{
	int pid = fork_as(tree.p[index].pgid);

	if (pid == 0) {
		setpgid(0, 0);
		(void)wait_all(GROUPED);
		cr_sys1(SYS_exit_group, 0);
	}
	if (pid < 0 || (setpgid(pid, pid) < 0 && getpgid(pid) != pid))
		return cr_err_set(err, pid < 0 ? pid : errno, "process group %d cannot be made again: %s", tree.p[index].pgid, strerror(pid < 0 ? -pid : errno));
	cr_id_group_add(tree.p[index].pgid, pid);
	return pid;
}

/* All processes are there. */
static int join_group(const struct cr_tree_process *p, struct cr_err *err)
{
	int kernel = cr_id_group_to_kernel(p->pgid);

	if (p->pgid == p->pid || tree.how.pgid == CR_IDS_LEAVE || (p->pgid == tree.p[0].pgid && tree.stays_in_group) || getpgrp() == kernel)
		return 0;
	if (!p->pgid)
		return tree.how.pgid == CR_IDS_AUTO ? 0 : cr_err_set(err, EPERM, "process %d (%s): its process group was made outside of its PID namespace and cannot be joined; "
							      "restart without --restore-pgid", p->pid, p->name);
	return setpgid(0, kernel) < 0 ? cr_err_set(err, errno, "process %d (%s): it cannot join group %d: %s", p->pid, p->name, p->pgid, strerror(errno)) : 0;
}

static void die(const struct cr_err *err) __attribute__((noreturn));
static void die(const struct cr_err *err)
{
	cr_tree_failed(err);
	cr_sys1(SYS_exit_group, 1);
	__builtin_unreachable();
}

/* One that had ended: it ends again, when nobody needs it any more to join its group. */
static void end_again(const struct cr_tree_process *p) __attribute__((noreturn));
static void end_again(const struct cr_tree_process *p)
{
	struct rlimit none = { 0, 0 };
	uint64_t mask = 0;
	int sig = p->status & 0x7f;

	arrive(GROUPED);
	if (wait_all(GROUPED))
		cr_sys1(SYS_exit_group, 1);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (sig) {
		struct cr_ksigaction dfl = { 0 };

		cr_sys4(SYS_rt_sigaction, sig, &dfl, 0, 8);
		cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
		cr_sys2(SYS_kill, cr_sys0(SYS_getpid), sig);
	}
	cr_sys1(SYS_exit_group, p->status >> 8 & 0xff);
	__builtin_unreachable();
}

/* In process @index: its ids, its children. In each of those this returns with their index. */
static int grow(int index)
{
	struct cr_err err = { "" };

	for (;;) {
		const struct cr_tree_process *p = &tree.p[index];
		int next = -1;

		prctl(PR_SET_NAME, p->name);
		cr_id_tree_add(p->pid, getpid());
		tree.stand_in = 0;
		if (own_ids(p, &err))
			die(&err);
		if (needs_leader(index)) {
			tree.stand_in = make_leader(index, &err);
			if (tree.stand_in < 0)
				die(&err);
		}
		for (uint32_t i = 0; i < tree.head.n_processes && next < 0; i++) {
			int pid;

			if (tree.p[i].parent != (uint32_t)index + 1)
				continue;
			pid = fork_as(tree.p[i].pid);
			if (pid < 0) {
				cannot_make(&tree.p[i], pid, &err);
				die(&err);
			}
			if (pid == 0)
				next = (int)i;
		}
		if (next < 0)
			return index;
		index = next;
	}
}

/* Children that have ended are zombies again before the program goes on; it has had their signals. */
static int await_ended(struct cr_err *err)
{
	for (uint32_t i = 0; i < tree.head.n_processes; i++) {
		siginfo_t si;
		int kernel;

		if (tree.p[i].state != CR_TREE_ENDED || tree.p[i].parent != (uint32_t)tree.self + 1)
			continue;
		kernel = cr_id_to_kernel(tree.p[i].pid);
		while (waitid(P_PID, (id_t)kernel, &si, WEXITED | WNOWAIT) < 0)
			if (errno != EINTR)
				return cr_err_set(err, errno, "process %d, which had ended: %s", tree.p[i].pid, strerror(errno));
	}
	return 0;
}

static void signals_drain(void)
{
	struct timespec none = { 0, 0 };
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (sigtimedwait(&chld, NULL, &none) > 0)
		;
}

static void how_close(void)
{
	if (tree.how.ready_fd >= 0)
		close(tree.how.ready_fd);
	if (tree.how.other_fd >= 0)
		close(tree.how.other_fd);
	tree.how.ready_fd = tree.how.other_fd = -1;
}

static void become(int index) __attribute__((noreturn));
static void become(int index)
{
	struct cr_err err = { "" };
	sigset_t all;
	int rc;

	tree.self = index;
	if (index) /* the root says it for all */
		how_close();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	rc = index == 0 ? cr_ipc_restore(cr_image_part(tree.img, 0), &err) : 0;
	if (!rc) {
		arrive(FORKED);
		rc = wait_all(FORKED) ? cr_err_set(&err, ECANCELED, "another process of the tree could not be restarted") : join_group(&tree.p[index], &err);
	}
	if (!rc && tree.p[index].state == CR_TREE_ENDED)
		end_again(&tree.p[index]);
	if (!rc)
		rc = cr_ipc_restore_undo(cr_image_part(tree.img, tree.p[index].part), &err);
	if (!rc) {
		arrive(GROUPED);
		rc = wait_all(GROUPED) ? cr_err_set(&err, ECANCELED, "another process of the tree could not be restarted") : await_ended(&err);
	}
	while (tree.stand_in > 0 && waitpid(tree.stand_in, NULL, 0) < 0 && errno == EINTR)
		;
	signals_drain();
	if (!rc)
		rc = cr_ipc_restore_last(cr_image_part(tree.img, tree.p[index].part), &err);
	if (!rc) {
		cr_mem_set.object = object_of;
		rc = cr_restore_run(cr_image_part(tree.img, tree.p[index].part), &tree.how, &err);
	}
	if (rc && !err.text[0])
		cr_err_set(&err, rc, "%s", strerror(-rc));
	die(&err);
}

void cr_tree_parent(int32_t *program_ppid)
{
	if (tree.self >= 0)
		*program_ppid = tree.p[tree.self].ppid;
}

/* Everybody has the ids that he had: nothing is to be translated. */
static bool ids_are_kept(const struct cr_tree_shared *t)
{
	bool kept = true;

	for (uint32_t i = 0; i < t->n_ids; i++)
		kept &= t->ids[i].program == t->ids[i].kernel;
	for (uint32_t i = 0; i < t->n_groups; i++)
		kept &= t->groups[i].program == t->groups[i].kernel;
	return kept;
}

void cr_tree_done(void)
{
	objects_unmap();
	cr_image_close(tree.img);
	free(tree.p);
	tree.img = NULL;
	tree.p = NULL;
	tree.self = -1;
	if (ids_are_kept(cr_lower.tree)) {
		close(cr_lower.tree_fd);
		cr_lower.tree = NULL; /* stays mapped: the agent may be looking at it */
	}
}

void cr_tree_attach(int fd)
{
	void *map = mmap(NULL, sizeof(*cr_lower.tree), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return;
	cr_lower.tree = map;
	cr_lower.tree_fd = fd;
}

/* --- cr_restart itself --- */

static void pass_on(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	/* What the terminal sends to the foreground group has reached the root too, when it is in that. */
	if (tree.root_pid > 0 && (si->si_code <= 0 || getpgid(tree.root_pid) != getpgrp()))
		kill(tree.root_pid, sig);
}

static void pass_on_all(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT, SIGURG, SIGIO, SIGPWR };
	struct sigaction sa = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
}

static void end_all(void)
{
	for (uint32_t i = 0; i < cr_lower.tree->n_ids; i++) {
		int kernel = cr_lower.tree->ids[i].kernel;

		if (kernel > 0)
			kill(kernel, SIGKILL);
	}
	if (tree.root_pid > 0)
		kill(tree.root_pid, SIGKILL);
}

/* Until all have been restored; one that ends before that is a failure, also when it could not say so. */
static int look_after(struct cr_err *err)
{
	struct cr_tree_shared *t = cr_lower.tree;
	uint32_t running = cr_image_parts(tree.img) - 1;

	while (__atomic_load_n(&t->arrived[RESTORED], __ATOMIC_SEQ_CST) < running) {
		struct timespec pause = { .tv_nsec = 50000000 };
		bool dead = false;

		if (__atomic_load_n(&t->failed, __ATOMIC_SEQ_CST))
			break;
		for (uint32_t i = 0; i < t->n_ids; i++) {
			const struct cr_tree_process *p = t->ids[i].kernel > 0 ? process_of(t->ids[i].program) : NULL;
			struct cr_proc now;

			if (p && p->state == CR_TREE_RUNS && (!cr_proc_get(t->ids[i].kernel, &now) || now.state == 'Z' || now.state == 'X'))
				dead = true;
		}
		if (dead && __atomic_load_n(&t->arrived[RESTORED], __ATOMIC_SEQ_CST) < running)
			cr_tree_failed(&(struct cr_err){ .text = "a process of the tree ended before it was restored" });
		nanosleep(&pause, NULL);
	}
	for (int i = 0; i < 100 && t->failed == 1; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	return t->failed ? cr_err_set(err, EIO, "%s", t->error) : 0;
}

/* Ends as the root did. */
static int mirror(void)
{
	int status, pid;

	for (;;) {
		pid = waitpid(-1, &status, 0);
		if (pid < 0 && errno != EINTR)
			return 1;
		if (pid < 0 || pid != tree.root_pid)
			continue;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status)) {
			struct rlimit none = { 0, 0 };
			sigset_t set;

			setrlimit(RLIMIT_CORE, &none); /* the root has left one, if any */
			signal(WTERMSIG(status), SIG_DFL);
			sigemptyset(&set);
			sigaddset(&set, WTERMSIG(status));
			sigprocmask(SIG_UNBLOCK, &set, NULL);
			raise(WTERMSIG(status));
			return 128 + WTERMSIG(status);
		}
	}
}

static int shared_make(struct cr_err *err)
{
	int rc;

	cr_set.shared = calloc(tree.head.n_shared + 1, sizeof(*cr_set.shared));
	if (!cr_set.shared)
		return cr_err_set(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < tree.head.n_shared; i++)
		cr_set.shared[i] = -1;
	cr_set.n_shared = tree.head.n_shared;
	rc = cr_shm_restore(cr_image_part(tree.img, 0), err);
	if (rc)
		return rc;
	rc = cr_files_restore_shared(cr_image_part(tree.img, 0), cr_lower.fd_floor, tree.head.n_shared, cr_set.shared, err);
	if (!rc)
		rc = objects_find(err);
	return rc ? rc : objects_map(err);
}

/* Above the floor, and known to whatever the processes execute later. */
static int table_make(struct cr_err *err)
{
	uint32_t running = cr_image_parts(tree.img) - 1, all = tree.head.n_processes;
	int fd = memfd_create("ompi-cr-ids", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof(*cr_lower.tree)) < 0)
		return cr_err_set(err, errno, "memory for a table of ids: %s", strerror(errno));
	cr_lower.tree = mmap(NULL, sizeof(*cr_lower.tree), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cr_lower.tree == MAP_FAILED) {
		cr_lower.tree = NULL;
		return cr_err_set(err, errno, "memory for a table of ids: %s", strerror(errno));
	}
	fcntl(fd, F_SETFD, 0);
	cr_lower.tree_fd = fd;
	cr_lower.tree->n[FORKED] = cr_lower.tree->n[GROUPED] = all;
	cr_lower.tree->n[RESTORED] = running;
	return 0;
}

static bool in_foreground(void)
{
	struct cr_proc self;

	return cr_proc_get(getpid(), &self) && self.foreground == getpgrp();
}

/* Which of cr_restart's group and session the root stays in; and how the program is to know them. */
static int root_ids(struct cr_err *err)
{
	const struct cr_tree_process *root = &tree.p[0];
	bool stays = getpgrp() == getpid() || root->pgid != root->pid || in_foreground();

	if (tree.how.sid == CR_IDS_RESTORE && root->sid != root->pid && root->sid != getsid(0))
		return cr_err_set(err, EPERM, "session %d cannot be made again: the process that made it is not in the file; restart without --restore-sid", root->sid);
	tree.stays_in_group = tree.how.pgid == CR_IDS_LEAVE || (tree.how.pgid == CR_IDS_AUTO && stays);
	tree.stays_in_session = tree.how.sid == CR_IDS_LEAVE || (tree.how.sid == CR_IDS_AUTO && stays);
	if (tree.stays_in_group)
		cr_id_group_add(root->pgid, getpgrp());
	if ((tree.stays_in_session || root->sid != root->pid) && !(tree.stays_in_group && root->sid == root->pgid))
		cr_id_group_add(root->sid, getsid(0));
	return 0;
}

int cr_tree_run(struct cr_image *img, const struct cr_restore_how *how, struct cr_err *err)
{
	int rc = cr_tree_load(img, err);

	tree.how = *how;
	if (rc)
		return rc;
	rc = table_make(err);
	if (!rc)
		rc = cr_ipc_table_open(-1, err);
	if (!rc)
		rc = shared_make(err);
	if (rc)
		return rc;
	/* Whoever waits for children must find them. */
	signal(SIGCHLD, SIG_DFL);
	rc = root_ids(err);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < tree.head.n_processes; i++) {
		int pid;

		if (tree.p[i].parent)
			continue;
		pid = fork_as(tree.p[i].pid);
		if (pid == 0)
			become(grow((int)i));
		if (pid < 0)
			rc = cannot_make(&tree.p[i], pid, err);
		if (i == 0)
			tree.root_pid = pid;
	}
	cr_tree_shared_close();
	pass_on_all();
	if (!rc)
		rc = look_after(err);
	if (rc) {
		cr_tree_failed(err);
		end_all();
		return rc;
	}
	how_close();
	objects_unmap();
	cr_image_close(img);
	close(cr_lower.tree_fd);
	/* Its own streams are the program's now: whoever reads them must see their end. */
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	return mirror();
}
