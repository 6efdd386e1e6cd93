/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the context file of this process.
 *
 * The program is frozen. What it shares with others or changes through descriptors (files, pipes, timers, signals) is written at once;
 * memory is captured by a forked child that writes it while the program goes on (copy-on-write). The child is made by a raw clone
 * without exit signal, so the program can neither see nor reap it; it runs no malloc and no stdio.
 * A failed dump removes the partial file.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cr_proto.h"
#include "libcr/arch/x86_64/cpu.h"
#include "libcr/arch/x86_64/raw.h"
#include "libcr/image/cr_image.h"
#include "libcr/image/thread_payload.h"
#include "libcr/lower/cr_mem.h"
#include "libcr/lower/engine.h"
#include "libcr/lower/set.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* What a restart compares is known before the program is frozen: cr_dump_check() or cr_dump_prepare() comes first. */
static int areas_create(struct cr_mem_areas **ret, struct cr_err *err)
{
	struct cr_mem_range extra[CR_EXTRA_MAX];
	uint32_t n = CR_PRIVATE->n_extra;
	int rc;

	for (uint32_t i = 0; i < n; i++)
		extra[i] = (struct cr_mem_range){ CR_PRIVATE->extra[i].start, CR_PRIVATE->extra[i].end };
	rc = cr_mem_areas_create(extra, n, ret, err);
	if (!rc)
		cr_mem_areas_identify(*ret);
	return rc;
}

/* A first thread that has ended stays as a zombie until all have: it cannot be stopped, nor made again. */
static bool first_thread_ended(void)
{
	char path[64], stat[512], *p;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[n > 0 ? n : 0] = '\0';
	p = strrchr(stat, ')');
	return p && p[1] == ' ' && p[2] == 'Z';
}

void cr_dump_prepare(void)
{
	struct cr_mem_areas *areas;

	if (!areas_create(&areas, NULL))
		cr_mem_areas_destroy(areas);
}

int cr_dump_check(int own_child, cr_nocr_fn report, void *arg)
{
	struct cr_mem_areas *areas;
	struct cr_err err;
	int n = cr_nocr_list(report, arg);

	if (areas_create(&areas, &err)) {
		report(arg, err.text);
		n++;
	} else {
		n += cr_mem_check(areas, report, arg);
		cr_mem_areas_destroy(areas);
	}
	if (first_thread_ended()) {
		report(arg, "the first thread of the process has ended (pthread_exit in main) while others go on");
		n++;
	}
	n += cr_thread_state_check(report, arg);
	if (!cr_set.gathering)
		n += cr_files_check(cr_lower.fd_floor, &cr_lower.stdio, report, arg);
	n += cr_process_check(own_child, report, arg);
	return n;
}

int cr_dump_put_host(struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_host_payload h = { .time_s = (uint64_t)time(NULL), .kernel_pid = getpid(), .uid = getuid() };
	struct utsname u;

	uname(&u);
	snprintf(h.host, sizeof(h.host), "%.63s", u.nodename);
	snprintf(h.kernel, sizeof(h.kernel), "%.63s", u.release);
	snprintf(h.version, sizeof(h.version), "%s", PACKAGE_VERSION);
	snprintf(h.engine, sizeof(h.engine), "%s", cr_engine->name);
	return cr_image_put(w, CR_REC_HOST, &h, sizeof(h), err);
}

static int put_layout(struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_layout_payload l = {
		.window_base = CR_WINDOW_BASE,
		.window_end = CR_WINDOW_END,
		.gate_version = CR_GATE_VERSION,
		.fd_floor = (uint32_t)cr_lower.fd_floor,
		.program_pid = CR_PRIVATE->program_pid,
		.program_ppid = CR_PRIVATE->program_ppid,
		.epoch = CR_GATE->epoch,
		.n_extra = CR_PRIVATE->n_extra,
	};

	for (uint32_t i = 0; i < cr_lower.n_slots; i++)
		if (cr_lower.slots[i].tid && cr_lower.slots[i].parked)
			l.threads++;
	for (uint32_t i = 0; i < l.n_extra; i++) {
		l.extra[i].start = CR_PRIVATE->extra[i].start;
		l.extra[i].end = CR_PRIVATE->extra[i].end;
	}
	memcpy(l.exe, CR_PRIVATE->exe, sizeof(l.exe));
	return cr_image_put(w, CR_REC_LAYOUT, &l, sizeof(l), err);
}

static int put_group(struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_group_payload g = { .pgid = cr_id_group_to_program(getpgrp()), .sid = cr_id_group_to_program(getsid(0)) };

	return cr_image_put(w, CR_REC_GROUP, &g, sizeof(g), err);
}

static int put_threads(struct cr_image_writer *w, struct cr_err *err)
{
	for (uint32_t i = 0; i < cr_lower.n_slots; i++) {
		const struct cr_slot *s = &cr_lower.slots[i];
		struct cr_thread_payload t = { 0 };
		struct sched_param sp = { 0 };
		int rc;

		if (!s->tid || !s->parked)
			continue;
		t.tid = cr_id_to_program(s->tid);
		t.first = s->tid == getpid();
		t.uc = s->uc;
		t.fs = s->fs;
		t.gs = s->gs;
		t.robust_head = s->robust_head;
		t.robust_bytes = s->robust_bytes;
		t.clear_child_tid = s->clear_child_tid;
		t.policy = sched_getscheduler(s->tid);
		if (!sched_getparam(s->tid, &sp))
			t.priority = sp.sched_priority;
		errno = 0;
		t.nice = getpriority(PRIO_PROCESS, (id_t)s->tid);
		memcpy(t.name, s->name, sizeof(t.name));
		rc = cr_image_put(w, CR_REC_THREAD, &t, sizeof(t), err);
		if (!rc)
			rc = cr_thread_state_put(w, s, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int put_sigactions(struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_sigaction_payload p = { 0 };
	uint64_t trampoline = cr_blob_symbol("cr_blob_signal");

	for (int sig = 1; sig < CR_NSIG; sig++) {
		struct cr_ksigaction a = { 0 };

		if (sig == SIGSYS || sig == CR_SIGNUM || cr_sys4(SYS_rt_sigaction, sig, 0, &a, 8) < 0)
			continue;
		p.kind[sig] = a.handler == trampoline ? 2 : a.handler == 1 ? 1 : 0;
	}
	return cr_image_put(w, CR_REC_SIGACTION, &p, sizeof(p), err);
}

static int put_board(struct cr_image_writer *w, struct cr_err *err)
{
	const struct cr_board *b = CR_GATE->board;
	struct cr_board_payload p = { 0 };

	if (b) {
		p.present = 1;
		p.rank = b->world_rank;
		p.size = b->world_size;
		p.thread_level = b->thread_level;
		p.state = b->state;
		p.messages = b->drained_messages;
		p.bytes = b->drained_bytes;
		p.exchanged = (uint32_t)b->exchanged_messages;
	}
	return cr_image_put(w, CR_REC_BOARD, &p, sizeof(p), err);
}

static int put_cpu(struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_cpu_payload c;

	cr_cpu_describe(&c);
	return cr_image_put(w, CR_REC_CPU, &c, sizeof(c), err);
}

static int put_process(struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_tid_map tids = { .to_program = cr_id_to_program, .to_real = cr_id_to_kernel };

	return cr_process_save(w, &tids, err);
}

static int put_files(struct cr_image_writer *w, struct cr_err *err)
{
	return cr_files_save(cr_lower.fd_floor, &cr_lower.stdio, w, err);
}

static void note_passed(void *arg, uint64_t dev, uint64_t ino, uint64_t bytes)
{
	cr_mem_objects_passed(arg, dev, ino, bytes);
}

/* In this order in the file. */
static int (*const parts[])(struct cr_image_writer *w, struct cr_err *err) = {
	cr_dump_put_host, put_cpu, put_layout, put_group, put_process, put_sigactions, cr_pending_save, put_threads, put_board, put_files,
};

static void write_memory(struct cr_image_writer *w, const struct cr_mem_areas *areas, const struct cr_dump *d, bool in_child,
			 struct cr_dump_result *ret)
{
	struct cr_image_totals totals = { 0 };
	struct cr_err err = { "" };
	int rc = cr_mem_save(areas, w, in_child, &err);

	if (!rc)
		rc = cr_image_finish(w, &totals, &err);
	if (!rc && d->sync && fsync(d->fd)) {
		rc = -errno;
		snprintf(err.text, sizeof(err.text), "fsync: %s", strerror(-rc));
	}
	memset(ret, 0, sizeof(*ret));
	ret->error = -rc;
	ret->file_bytes = totals.file_bytes;
	ret->pages = totals.pages;
	ret->checksum = totals.checksum;
	memcpy(ret->text, err.text, sizeof(ret->text));
}

static void dump_abandon(struct cr_dump *d)
{
	if (d->fd >= 0)
		close(d->fd);
	if (d->result_fd >= 0)
		close(d->result_fd);
	unlink(d->path);
	d->fd = d->result_fd = -1;
}

static unsigned int store_of(uint32_t flags)
{
	return (flags & CR_DUMP_SAVE_EXE ? CR_MEM_STORE_EXE : 0) | (flags & CR_DUMP_SAVE_PRIVATE ? CR_MEM_STORE_PRIVATE : 0) |
	       (flags & CR_DUMP_SAVE_SHARED ? CR_MEM_STORE_SHARED : 0);
}

int cr_dump_start(struct cr_dump *d, const char *path, uint32_t flags, struct cr_err *err)
{
	struct cr_image_writer *w = NULL;
	struct cr_mem_areas *areas = NULL;
	struct cr_dump_result result;
	int fds[2] = { -1, -1 }, rc;
	struct cr_err words = { "" };

	memset(d, 0, sizeof(*d));
	d->result_fd = -1;
	d->sync = !(flags & CR_DUMP_NOSYNC);
	d->begin_ns = cr_now_ns();
	snprintf(d->path, sizeof(d->path), "%s", path);
	d->fd = cr_fd_raise(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	if (d->fd < 0)
		return cr_err_set(err, errno, "cannot create %s: %s", path, strerror(errno));
	if (d->fd < cr_lower.fd_floor) {
		close(d->fd);
		unlink(path);
		return cr_err_set(err, EMFILE, "no descriptor at or above %d for %s: raise the limit of open files (ulimit -n)", cr_lower.fd_floor, path);
	}
	rc = areas_create(&areas, &words);
	if (!rc)
		cr_mem_areas_store(areas, store_of(flags), CR_PRIVATE->exe);
	if (!rc)
		rc = cr_image_writer_create(d->fd, &w, &words);
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]) && !rc; i++)
		rc = parts[i](w, &words);
	if (!rc)
		cr_files_each_passed(note_passed, areas);
	if (!rc && pipe2(fds, O_CLOEXEC))
		rc = cr_err_set(&words, errno, "pipe: %s", strerror(errno));
	if (rc)
		goto out;
	d->result_fd = fds[0];
	if (flags & (CR_DUMP_FAULT_ENOSPC | CR_DUMP_FAULT_EIO))
		cr_image_writer_fault(w, flags & CR_DUMP_FAULT_ENOSPC ? ENOSPC : EIO);
	if (flags & CR_DUMP_STOPPED || !cr_mem_forkable(areas)) {
		write_memory(w, areas, d, false, &result);
		d->pid = 0;
		if (write(fds[1], &result, sizeof(result)) != sizeof(result))
			rc = cr_err_set(&words, errno, "pipe: %s", strerror(errno));
	} else {
		d->pid = (int)cr_sys6(SYS_clone, 0, 0, 0, 0, 0, 0);
		if (d->pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			/* The program's descriptors are not held open by us: their other ends must see them closed. */
			cr_sys3(SYS_close_range, 0, cr_lower.fd_floor - 1, 0);
			write_memory(w, areas, d, true, &result);
			cr_sys3(SYS_write, fds[1], &result, sizeof(result));
			cr_sys1(SYS_exit_group, 0);
		}
		if (d->pid < 0)
			rc = cr_err_set(&words, -d->pid, "cannot fork the writer of %s: %s", path, strerror(-d->pid));
	}
	close(fds[1]);
out:
	cr_image_writer_destroy(w);
	cr_mem_areas_destroy(areas);
	if (rc) {
		dump_abandon(d);
		return cr_err_set(err, rc, "%s: %s", path, words.text);
	}
	return 0;
}

int cr_dump_finish(struct cr_dump *d, struct cr_dump_result *ret, struct cr_err *err)
{
	ssize_t n = read(d->result_fd, ret, sizeof(*ret));
	int status = 0, rc = 0;

	if (d->pid > 0)
		while (waitpid(d->pid, &status, __WALL) < 0 && errno == EINTR)
			;
	if (n != (ssize_t)sizeof(*ret))
		rc = cr_err_set(err, EIO, "%s: the process that wrote it ended early (status %#x)", d->path, status);
	else if (ret->error)
		rc = cr_err_set(err, ret->error, "%s: %.400s", d->path, ret->text);
	if (rc) {
		dump_abandon(d);
		return rc;
	}
	close(d->fd);
	close(d->result_fd);
	d->fd = d->result_fd = -1;
	return 0;
}
