/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX message queues: attributes, what waits in them, in its order and with its priorities, and the name unless it was taken away.
 *
 * The kernel shows a message only to who takes it out. So they are taken out, all at once, and put back in the same order, while all who have the queue open
 * stand still: one that somebody outside of the set has open is refused. A queue that has a notification registered is refused too: what it carries cannot be
 * read, and the messages that are put back would trigger it.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/lower/files_ops.h"
#include "libcr/lower/process_set.h"
#include "libcr/lower/set.h"

#define DELETED " (deleted)"
#define NOTIFY "NOTIFY_PID:"
/* Of a queue that had none at the checkpoint, for the moment between its making and the taking away of that. */
#define OWN_NAME "/ompi-cr-%d-%u"

/* --- who else has it open --- */

static bool has_open(int pid, dev_t dev, ino_t ino, int floor)
{
	const struct dirent *entry;
	bool found = false;
	char path[300];
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = cr_file_opendir_high(path, floor);
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
			continue;
		found = st.st_dev == dev && st.st_ino == ino;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* A process that is not saved with this one and has it open; 0: none that we may look at. */
static int open_outside(dev_t dev, ino_t ino, int floor)
{
	DIR *dir = cr_file_opendir_high("/proc", floor);
	const struct dirent *entry;
	int found = 0;

	while (dir && !found && (entry = readdir(dir))) {
		int pid = atoi(entry->d_name);

		if (pid > 0 && pid != getpid() && !cr_set_has(pid) && has_open(pid, dev, ino, floor))
			found = pid;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* --- check, save --- */

static int open_again(int fd, int flags, int floor)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	return cr_file_open_high(path, flags, 0, floor);
}

/* What a queue says of itself when it is read as a file. */
struct words {
	char path[64];
	char text[256];
	int rc; /* bytes, or a negative errno */
};

static int read_words(void *arg)
{
	struct words *w = arg;
	int fd = open(w->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	w->rc = fd < 0 ? -errno : (int)read(fd, w->text, sizeof(w->text) - 1);
	if (fd >= 0)
		close(fd);
	return 0;
}

/*
 * Who is told of a message: the process, 0: nobody, or a negative errno. A descriptor of the queue that a process closes takes back what that process has
 * registered, so one that only writes is opened again, and closed, by another process: a moment's, which shares our memory.
 */
static int notified(int number, int flags)
{
	static char stack[16384] __attribute__((aligned(16)));
	struct words w = { .rc = 0 };
	char *at;
	int child;

	if (cr_file_reads(flags)) {
		w.rc = (int)pread(number, w.text, sizeof(w.text) - 1, 0);
		if (w.rc < 0)
			return -errno;
	} else {
		snprintf(w.path, sizeof(w.path), "/proc/%d/fd/%d", (int)syscall(SYS_gettid), number);
		child = clone(read_words, stack + sizeof(stack), CLONE_VM | CLONE_VFORK, &w);
		if (child < 0)
			return -errno;
		while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
			;
		if (w.rc < 0)
			return w.rc;
	}
	w.text[w.rc] = '\0';
	at = strstr(w.text, NOTIFY);
	return at ? atoi(at + strlen(NOTIFY)) : -EPROTO;
}

int cr_file_mqueue_quiet(int floor, struct cr_err *err)
{
	DIR *dir = cr_file_opendir_high("/proc/thread-self/fd", floor);
	const struct dirent *e;
	int rc = 0;

	while (dir && !rc && (e = readdir(dir))) {
		int fd = atoi(e->d_name);
		struct statfs fs;

		if (e->d_name[0] != '.' && fd < floor && fstatfs(fd, &fs) == 0 && fs.f_type == CR_FILE_MQUEUE_MAGIC && notified(fd, fcntl(fd, F_GETFL)) == getpid())
			rc = cr_err_set(err, ENOTSUP, "process %d: descriptor %d is a POSIX message queue, which the process wants to be told of (mq_notify); take that back before the checkpoint",
					getpid(), fd);
	}
	if (dir)
		closedir(dir);
	return rc;
}

bool cr_file_mqueue_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	size_t bytes = strlen(file->link);
	char own[64];
	int other;

	if (bytes > strlen(DELETED) && strcmp(file->link + bytes - strlen(DELETED), DELETED) == 0) {
		bytes -= strlen(DELETED);
		file->attrs |= CR_FILE_NAMELESS;
	}
	other = notified(file->fds[0].fd, file->flags);
	if (other > 0) {
		cr_file_refuse(refusals, file, "is the POSIX message queue %s, which process %d wants to be told of (mq_notify); take that back before the checkpoint", file->link, other);
		return false;
	}
	snprintf(own, sizeof(own), "/proc/thread-self/fd/%d", file->fds[0].fd);
	if (!other && faccessat(AT_FDCWD, own, R_OK | W_OK, AT_EACCESS) < 0)
		other = -errno;
	if (other < 0) {
		cr_file_refuse(refusals, file, "is the POSIX message queue %s, which cannot be opened for reading and writing: %s; change its mode before the checkpoint", file->link, strerror(-other));
		return false;
	}
	other = open_outside(file->st.st_dev, file->st.st_ino, set->floor);
	if (other) {
		cr_file_refuse(refusals, file, "is the POSIX message queue %s, which process %d has open too and which is not saved with it; save both together or close it before the checkpoint", file->link, other);
		return false;
	}
	file->path = strndup(file->link, bytes);
	if (!file->path)
		cr_file_refuse(refusals, file, "is a POSIX message queue, and there is no memory for its name; try again");
	return file->path != NULL;
}

struct message {
	unsigned int priority;
	size_t bytes;
	char *text; /* in one piece for all */
};

/* Puts them back. Where they were there is room. */
static int put_back(mqd_t queue, const struct message *m, long n)
{
	int rc = 0;

	for (long i = 0; i < n; i++)
		if (mq_send(queue, m[i].text, m[i].bytes, m[i].priority) < 0 && !rc)
			rc = -errno;
	return rc;
}

static int save_messages(const struct cr_open_file *file, const struct message *m, long n, struct cr_image_writer *w, struct cr_err *err)
{
	int rc = 0;

	for (long i = 0; i < n && !rc; i++) {
		struct cr_file_mqueue_message *item = malloc(sizeof(*item) + m[i].bytes);

		if (!item)
			return cr_err_set(err, ENOMEM, "descriptor %d: out of memory for a message", file->fds[0].fd);
		*item = (struct cr_file_mqueue_message){ .priority = m[i].priority, .bytes = (uint32_t)m[i].bytes };
		memcpy(item + 1, m[i].text, m[i].bytes);
		rc = cr_file_data_put(file, CR_FILE_DATA_ITEM, item, sizeof(*item) + m[i].bytes, w, err);
		free(item);
	}
	return rc;
}

/* All of them are out of the queue for the time of two loops, in which nothing can fail that is not the machine's end. */
static int save_content(const struct cr_open_file *file, mqd_t queue, const struct mq_attr *attr, struct cr_image_writer *w, struct cr_err *err)
{
	struct message *m = calloc((size_t)attr->mq_curmsgs + 1, sizeof(*m));
	char *text = malloc((size_t)attr->mq_curmsgs * (size_t)attr->mq_msgsize + 1);
	long n = 0;
	int rc = 0;

	if (!m || !text)
		rc = cr_err_set(err, ENOMEM, "descriptor %d: out of memory for %ld messages", file->fds[0].fd, attr->mq_curmsgs);
	while (!rc && n < attr->mq_curmsgs) {
		ssize_t bytes;

		m[n].text = text + (size_t)n * (size_t)attr->mq_msgsize;
		bytes = mq_receive(queue, m[n].text, (size_t)attr->mq_msgsize, &m[n].priority);
		if (bytes < 0)
			break;
		m[n++].bytes = (size_t)bytes;
	}
	if (!rc) {
		rc = put_back(queue, m, n);
		if (rc || n < attr->mq_curmsgs)
			rc = cr_err_set(err, rc ? rc : EAGAIN, "descriptor %d: the POSIX message queue %s changed while it was read; somebody else uses it: try again", file->fds[0].fd, file->path);
	}
	if (!rc)
		rc = save_messages(file, m, n, w, err);
	free(text);
	free(m);
	return rc;
}

int cr_file_mqueue_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	int fd = open_again(file->fds[0].fd, O_RDWR | O_NONBLOCK, set->floor), rc;
	struct cr_file_mqueue state = { .uid = file->st.st_uid, .gid = file->st.st_gid };
	struct mq_attr attr;

	if (fd < 0)
		return cr_err_set(err, fd, "descriptor %d: the POSIX message queue %s: %s", file->fds[0].fd, file->path, strerror(-fd));
	if (mq_getattr(fd, &attr) < 0) {
		rc = cr_err_set(err, errno, "descriptor %d: the POSIX message queue %s: %s", file->fds[0].fd, file->path, strerror(errno));
	} else {
		state.max_messages = (uint64_t)attr.mq_maxmsg;
		state.message_bytes = (uint64_t)attr.mq_msgsize;
		rc = cr_file_data_put(file, CR_FILE_DATA_STATE, &state, sizeof(state), w, err);
		if (!rc)
			rc = save_content(file, fd, &attr, w, err);
	}
	close(fd);
	return rc;
}

/* --- restart --- */

static int state_of(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_file_mqueue *ret, struct cr_err *err)
{
	int rc = view->path && view->path[1] && !strchr(view->path + 1, '/')
			 ? cr_file_state_get(img, rec, view, CR_FILE_DATA_STATE, ret, sizeof(*ret), err)
			 : cr_err_set(err, EBADMSG, "descriptor %d: a POSIX message queue without a name", view->fds[0].fd);

	if (!rc && (!ret->max_messages || ret->max_messages > INT32_MAX || !ret->message_bytes || ret->message_bytes > INT32_MAX))
		rc = cr_err_set(err, EBADMSG, "descriptor %d: the POSIX message queue %s: its size makes no sense", view->fds[0].fd, view->path);
	return rc;
}

static bool is_first(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view)
{
	struct cr_image_record at = *rec;
	struct cr_file_data_payload data;
	const void *content;

	return cr_file_data_next(img, &at, view, CR_FILE_DATA_STATE, &data, &content) == 1;
}

/* What has the name now: is it the queue of the life that ended? */
static int check_old(int fd, const struct cr_file_view *view, const struct cr_file_mqueue *state, int floor, struct cr_err *err)
{
	struct mq_attr attr;
	struct stat st;
	int other;

	if (fstat(fd, &st) < 0 || mq_getattr(fd, &attr) < 0)
		return cr_err_set(err, errno, "the POSIX message queue %s: %s", view->path, strerror(errno));
	if ((uint64_t)attr.mq_maxmsg != state->max_messages || (uint64_t)attr.mq_msgsize != state->message_bytes || st.st_uid != state->uid)
		return cr_err_set(err, EEXIST, "the POSIX message queue %s is another one now: %ld messages of %ld bytes, of user %u; if nobody needs it, remove it (mq_unlink)", view->path,
				  attr.mq_maxmsg, attr.mq_msgsize, st.st_uid);
	other = open_outside(st.st_dev, st.st_ino, floor);
	if (other)
		return cr_err_set(err, EBUSY, "the POSIX message queue %s, which the program had alone, is open in process %d; end that one", view->path, other);
	return 0;
}

int cr_file_mqueue_restore_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	int floor = cr_process_floor(), fd, rc;
	struct cr_file_mqueue state;

	if (!is_first(img, rec, view))
		return 0;
	rc = state_of(img, rec, view, &state, err);
	if (rc || view->head.attrs & CR_FILE_NAMELESS)
		return rc;
	fd = mq_open(view->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : cr_err_set(err, errno, "the POSIX message queue %s cannot be opened: %s", view->path, strerror(errno));
	rc = check_old(fd, view, &state, floor, err);
	close(fd);
	return rc;
}

static int make(const struct cr_file_view *view, const struct cr_file_mqueue *state, int floor, struct cr_err *err)
{
	struct mq_attr attr = { .mq_maxmsg = (long)state->max_messages, .mq_msgsize = (long)state->message_bytes };
	bool nameless = view->head.attrs & CR_FILE_NAMELESS;
	char own[64];
	int fd, rc;

	snprintf(own, sizeof(own), OWN_NAME, getpid(), view->head.object);
	fd = mq_open(nameless ? own : view->path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_CREAT | (nameless ? O_EXCL : 0), 0600, &attr);
	if (fd < 0)
		return cr_err_set(err, errno, "the POSIX message queue %s of %lu messages of %lu bytes cannot be made: %s; raise the limits (ulimit -q, /proc/sys/fs/mqueue)", view->path,
				  (unsigned long)state->max_messages, (unsigned long)state->message_bytes, strerror(errno));
	if (nameless)
		mq_unlink(own);
	rc = cr_file_move_high(fd, floor);
	return rc < 0 ? cr_err_set(err, rc, "the POSIX message queue %s: no descriptor at or above %d is free", view->path, floor) : rc;
}

/* Instead of what the life that ended has left in it. */
static int fill(int fd, const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, const struct cr_file_mqueue *state, struct cr_err *err)
{
	struct cr_image_record at = *rec;
	struct cr_file_data_payload data;
	const void *content;
	char *old = malloc(state->message_bytes);

	if (!old)
		return cr_err_set(err, ENOMEM, "the POSIX message queue %s: out of memory", view->path);
	while (mq_receive(fd, old, state->message_bytes, NULL) >= 0)
		;
	free(old);
	while (cr_file_data_next(img, &at, view, CR_FILE_DATA_ITEM, &data, &content) == 1) {
		struct cr_file_mqueue_message m;

		if (data.bytes < sizeof(m))
			return cr_err_set(err, EBADMSG, "the POSIX message queue %s: a damaged message", view->path);
		memcpy(&m, content, sizeof(m));
		if (m.bytes != data.bytes - sizeof(m))
			return cr_err_set(err, EBADMSG, "the POSIX message queue %s: a damaged message", view->path);
		if (mq_send(fd, (const char *)content + sizeof(m), m.bytes, m.priority) < 0)
			return cr_err_set(err, errno, "the POSIX message queue %s: a message that waited in it cannot be put back: %s", view->path, strerror(errno));
	}
	if ((state->uid != geteuid() || state->gid != getegid()) && fchown(fd, state->uid, state->gid) < 0)
		return cr_err_set(err, errno, "the POSIX message queue %s cannot be given to user %u and group %u: %s", view->path, state->uid, state->gid, strerror(errno));
	return 0;
}

int cr_file_mqueue_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_file_object *obj = &x->object;
	struct cr_file_mqueue state;
	int rc, fd;

	if (!obj->open || obj->number != view->head.object) {
		cr_file_object_close(obj);
		rc = state_of(x->img, rec, view, &state, err);
		if (rc < 0)
			return rc;
		fd = make(view, &state, x->floor, err);
		if (fd < 0)
			return fd;
		*obj = (struct cr_file_object){ .open = true, .number = view->head.object, .kind = CR_FILE_MQUEUE, .mode = view->head.mode, .read_end = -1, .write_end = fd };
		rc = fill(fd, x->img, rec, view, &state, err);
		if (rc < 0)
			return rc;
	}
	return cr_file_object_describe(obj, view, x->floor, err);
}
