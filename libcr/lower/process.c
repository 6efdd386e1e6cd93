/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Process state that belongs to no thread: working directory, umask, limits, interval timers and the prctl settings.
 *
 * Invariant: reading changes nothing; the umask in particular is taken from proc.
 */
#include "libcr/lower/process_set.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "libcr/image/relocate.h"
#include "libcr/lower/files_ops.h"
#include "libcr/lower/ipc.h"
#include "libcr/lower/set.h"
#include "libcr/lower/shm_file.h"

#define CWD_LINK "/proc/thread-self/cwd"
#define STATUS "/proc/thread-self/status"
#define GET_REGISTRATIONS (1 << 9) /* MEMBARRIER_CMD_GET_REGISTRATIONS, Linux 6.3 */

void cr_process_refuse(struct cr_process_refusals *refusals, const char *fmt, ...)
{
	char text[CR_ERR_TEXT_BYTES + CR_PROCESS_MAX_PATH_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	refusals->count++;
	refusals->report(refusals->arg, text);
}

/* Not higher than needed: the kernel's table grows to the highest number ever used. */
int cr_process_floor(void)
{
	long limit = sysconf(_SC_OPEN_MAX);

	return limit < 0 || limit > 1000 ? 900 : limit > 64 ? (int)limit - 32 : 3;
}

/* 0; or -ENOENT when the directory has lost its name and is still there: then the text is what the kernel calls it. @ret_deleted: it was removed, and the
 * text is what it was called. */
static int read_cwd(char ret_path[PATH_MAX], bool *ret_deleted)
{
	struct stat here, there;
	ssize_t n;

	n = readlink(CWD_LINK, ret_path, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	ret_path[n] = '\0';
	if (stat(CWD_LINK, &here) < 0)
		return -errno;
	*ret_deleted = here.st_nlink == 0 && ret_path[0] == '/';
	if (*ret_deleted) {
		ret_path[cr_file_name_bytes(ret_path)] = '\0';
		return 0;
	}
	if (ret_path[0] != '/' || stat(ret_path, &there) < 0 || here.st_dev != there.st_dev || here.st_ino != there.st_ino)
		return -ENOENT;
	return 0;
}

static void check_cwd(struct cr_process_refusals *refusals)
{
	char path[PATH_MAX] = "";
	bool deleted;
	int r = read_cwd(path, &deleted);

	if (r == -ENOENT)
		cr_process_refuse(refusals, "the working directory %s can no longer be reached under its name; change to another one", path);
	else if (r < 0)
		cr_process_refuse(refusals, "the working directory cannot be found out: %s", strerror(-r));
}

static struct {
	bool known;
	dev_t dev;
	ino_t ino;
} launch_root;

void cr_process_root_record(void)
{
	struct stat st;

	launch_root.known = stat("/", &st) == 0;
	launch_root.dev = st.st_dev;
	launch_root.ino = st.st_ino;
}

/* Paths are stored as the program sees them, and a restart sees them from its own root. */
static void check_root(struct cr_process_refusals *refusals)
{
	struct stat st;

	if (launch_root.known && stat("/", &st) == 0 && (st.st_dev != launch_root.dev || st.st_ino != launch_root.ino))
		cr_process_refuse(refusals, "the root directory was changed (chroot), which a checkpoint cannot save; launch the program inside of that root");
}

/* A restart runs with the rights of whoever restarts; a process between two identities would come back as one of them. */
static void check_identity(struct cr_process_refusals *refusals)
{
	uid_t ru, eu, su;
	gid_t rg, eg, sg;

	if (getresuid(&ru, &eu, &su) < 0 || getresgid(&rg, &eg, &sg) < 0)
		return;
	if (ru != eu || eu != su)
		cr_process_refuse(refusals, "the process has the user ids %u, %u and %u (real, effective, saved); a checkpoint cannot save a changed identity", ru,
				  eu, su);
	if (rg != eg || eg != sg)
		cr_process_refuse(refusals, "the process has the group ids %u, %u and %u (real, effective, saved); a checkpoint cannot save a changed identity",
				  rg, eg, sg);
}

int cr_process_check(int own_child, cr_nocr_fn report, void *arg)
{
	struct cr_process_refusals refusals = { .report = report, .arg = arg };

	check_cwd(&refusals);
	check_root(&refusals);
	check_identity(&refusals);
	cr_process_check_ipc(&refusals);
	cr_process_check_children(own_child, &refusals);
	cr_process_check_threads(&refusals);
	cr_process_check_timers(&refusals);
	return refusals.count;
}

/* Keeps the first reason. */
static void keep_first(void *arg, const char *reason)
{
	struct cr_err *first = arg;

	if (!first->text[0])
		cr_err_set(first, 0, "%s", reason);
}

static int read_umask(uint32_t *ret)
{
	FILE *f = cr_file_fopen_high(STATUS, cr_process_floor());
	char line[256];
	int r = -ENODATA;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Umask:", 6) == 0) {
			*ret = (uint32_t)strtoul(line + 6, NULL, 8);
			r = 0;
			break;
		}
	}
	fclose(f);
	return r;
}

static uint64_t to_us(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

/*
 * A periodic ITIMER_REAL that has fired is armed again by the kernel when its signal is delivered; while that is pending the time left reads
 * as zero, which would switch it off at the restart: then the next period is what is left.
 */
static int save_itimers(struct cr_process_payload *p, struct cr_err *err)
{
	struct itimerval now;
	int i;

	for (i = 0; i < 3; i++) {
		if (getitimer((__itimer_which_t)i, &now) < 0)
			return cr_err_set(err, errno, "interval timer %d cannot be read: %s", i, strerror(errno));
		p->itimers[i].value_us = to_us(&now.it_value);
		p->itimers[i].interval_us = to_us(&now.it_interval);
		if (p->itimers[i].value_us == 0)
			p->itimers[i].value_us = p->itimers[i].interval_us;
	}
	return 0;
}

static uint32_t read_membarrier(void)
{
	long registered = syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0);

	return registered < 0 ? UINT32_MAX : (uint32_t)registered;
}

/* Each thread has one; the program's first thread counts, not the thread that asks. */
static uint32_t read_personality(void)
{
	FILE *f = cr_file_fopen_high("/proc/self/personality", cr_process_floor());
	unsigned int value;
	int n;

	if (!f)
		return (uint32_t)personality(0xffffffff);
	n = fscanf(f, "%x", &value);
	fclose(f);
	return n == 1 ? value : (uint32_t)personality(0xffffffff);
}

static int nice_of(pid_t pid)
{
	int value;

	errno = 0;
	value = getpriority(PRIO_PROCESS, (id_t)pid);
	return value == -1 && errno ? 0 : value;
}

static int fill(struct cr_process_payload *p, struct cr_err *err)
{
	int subreaper = 0, r;

	r = read_umask(&p->umask);
	if (r < 0)
		return cr_err_set(err, r, STATUS ": the umask cannot be read: %s", strerror(-r));
	if (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) < 0)
		return cr_err_set(err, errno, "PR_GET_CHILD_SUBREAPER: %s", strerror(errno));
	p->nice = nice_of(getpid());
	p->dumpable = (uint32_t)prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	p->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	p->child_subreaper = subreaper != 0;
	p->thp_disable = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1;
	p->personality = read_personality();
	p->membarrier = read_membarrier();
	p->euid = geteuid();
	p->egid = getegid();
	r = cr_process_limits_save(p, err);
	return r < 0 ? r : save_itimers(p, err);
}

int cr_process_save(struct cr_image_writer *w, const struct cr_tid_map *tids, struct cr_err *err)
{
	struct {
		struct cr_process_payload p;
		char cwd[PATH_MAX];
	} rec;
	struct cr_err first = { "" };
	bool deleted;
	int r;

	/* A running program may have forked, or lost its directory, after it was asked. */
	if (cr_process_check(0, keep_first, &first))
		return cr_err_set(err, ENOTSUP, "%s", first.text);
	memset(&rec, 0, sizeof(rec));
	r = read_cwd(rec.cwd, &deleted);
	if (r < 0)
		return cr_err_set(err, r, "the working directory %s can no longer be reached under its name; change to another one", rec.cwd);
	r = fill(&rec.p, err);
	if (r < 0)
		return r;
	rec.p.cwd_bytes = (uint32_t)strlen(rec.cwd) + 1;
	rec.p.cwd_deleted = deleted;
	r = cr_image_put(w, CR_REC_PROCESS, &rec, sizeof(rec.p) + rec.p.cwd_bytes, err);
	if (r >= 0)
		r = cr_process_settings_save(w, err);
	if (r >= 0)
		r = cr_process_timers_save(w, tids, err);
	/* Of a set the leader saves the objects, with what the processes share. */
	if (r >= 0 && !cr_set.active)
		r = cr_ipc_save(w, err);
	if (r >= 0 && !cr_set.active)
		r = cr_shm_save(w, err);
	return r < 0 ? r : cr_ipc_save_process(w, err);
}

/* *ret_cwd is borrowed from the image. */
static int find_process(const struct cr_image *img, struct cr_process_payload *ret, const char **ret_cwd, struct cr_err *err)
{
	struct cr_image_record rec = { 0 };
	const char *cwd;

	if (cr_image_find(img, CR_REC_PROCESS, &rec) < 0)
		return cr_err_set(err, EBADMSG, "the context file has no PROCESS record");
	if (rec.bytes < sizeof(*ret))
		return cr_err_set(err, EBADMSG, "PROCESS record: %llu bytes are too few", (unsigned long long)rec.bytes);
	memcpy(ret, rec.data, sizeof(*ret));
	cwd = (const char *)rec.data + sizeof(*ret);
	if (ret->cwd_bytes == 0 || ret->cwd_bytes > CR_PROCESS_MAX_PATH_BYTES || rec.bytes != sizeof(*ret) + ret->cwd_bytes || cwd[0] != '/' ||
	    memchr(cwd, '\0', ret->cwd_bytes) != cwd + ret->cwd_bytes - 1)
		return cr_err_set(err, EBADMSG, "PROCESS record: the working directory is no absolute path of %u bytes", ret->cwd_bytes);
	*ret_cwd = cr_relocate(cwd);
	return 0;
}

int cr_process_restore_check(const struct cr_image *img, struct cr_err *err)
{
	struct cr_process_payload p;
	const char *cwd;
	struct stat st;
	int r;

	r = find_process(img, &p, &cwd, err);
	if (r < 0)
		return r;
	if ((p.euid == 0) != (geteuid() == 0))
		return cr_err_set(err, EPERM, "the program ran as user %u and would run as user %u now; restart it as the user it belongs to", p.euid, geteuid());
	if (p.cwd_deleted)
		r = cr_file_nameless_check(cwd, err);
	else if (stat(cwd, &st) < 0)
		r = cr_err_set(err, errno, "working directory %s: %s; make it again", cwd, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		r = cr_err_set(err, ENOTDIR, "working directory %s: is no directory any more", cwd);
	else if (faccessat(AT_FDCWD, cwd, X_OK, AT_EACCESS) < 0)
		r = cr_err_set(err, errno, "working directory %s: %s", cwd, strerror(errno));
	if (r < 0)
		return r;
	r = cr_process_limits_check(&p, err);
	if (r >= 0)
		r = cr_process_settings_check(img, err);
	return r < 0 ? r : cr_process_timers_check(img, err);
}

/* Registrations cannot be taken back and cost next to nothing, so an unknown set becomes the usual one. */
static void restore_membarrier(uint32_t registered)
{
	static const int commands[] = { MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
					MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ };
	size_t i;

	if (registered == UINT32_MAX)
		registered = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (registered & (uint32_t)commands[i])
			syscall(SYS_membarrier, commands[i], 0, 0);
	}
}

int cr_process_restore(const struct cr_image *img, struct cr_err *err)
{
	struct cr_process_payload p;
	const char *cwd;
	int r;

	r = find_process(img, &p, &cwd, err);
	if (r < 0)
		return r;
	if (p.cwd_deleted) {
		int fd = cr_file_nameless_dir(cwd, 0700, O_RDONLY, cr_process_floor(), err);

		if (fd < 0)
			return fd;
		r = fchdir(fd) < 0 ? -errno : 0;
		close(fd);
	} else {
		r = chdir(cwd) < 0 ? -errno : 0;
	}
	if (r < 0)
		return cr_err_set(err, r, "working directory %s: %s", cwd, strerror(-r));
	umask((mode_t)p.umask);
	r = cr_process_limits_restore(&p, err);
	if (r < 0)
		return r;
	if (prctl(PR_SET_CHILD_SUBREAPER, (unsigned long)p.child_subreaper, 0, 0, 0) < 0)
		return cr_err_set(err, errno, "PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
	if (p.thp_disable && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
		return cr_err_set(err, errno, "PR_SET_THP_DISABLE: %s", strerror(errno));
	if (p.personality != (uint32_t)personality(0xffffffff))
		personality(p.personality);
	restore_membarrier(p.membarrier);
	/* An ordinary user may only be nicer than before; a better priority is the launcher's to give. */
	if (p.nice != nice_of(0))
		setpriority(PRIO_PROCESS, 0, p.nice);
	return 0;
}

static int restore_itimers(const struct cr_process_payload *p, struct cr_err *err)
{
	struct itimerval value;
	int i;

	for (i = 0; i < 3; i++) {
		value.it_value = (struct timeval){ (time_t)(p->itimers[i].value_us / 1000000), (suseconds_t)(p->itimers[i].value_us % 1000000) };
		value.it_interval = (struct timeval){ (time_t)(p->itimers[i].interval_us / 1000000), (suseconds_t)(p->itimers[i].interval_us % 1000000) };
		if (setitimer((__itimer_which_t)i, &value, NULL) < 0)
			return cr_err_set(err, errno, "interval timer %d cannot be set: %s", i, strerror(errno));
	}
	return 0;
}

int cr_process_restore_timers(const struct cr_image *img, const struct cr_tid_map *tids, struct cr_err *err)
{
	struct cr_process_payload p;
	const char *cwd;
	int r;

	r = find_process(img, &p, &cwd, err);
	if (r < 0)
		return r;
	r = cr_process_timers_restore(img, tids, err);
	if (r >= 0)
		r = restore_itimers(&p, err);
	if (r >= 0)
		r = cr_process_settings_restore(img, err);
	/* Last: files of proc about a process that is not dumpable belong to root. 2 can be had, but not be set. */
	if (r >= 0 && p.dumpable != 1 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = cr_err_set(err, errno, "PR_SET_DUMPABLE: %s", strerror(errno));
	return r;
}
