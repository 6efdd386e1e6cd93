/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System V queues and semaphores come back under their numbers, which the program may have anywhere.
 *
 * One that is left from before is taken again, when nobody uses it and the processes that were saved with it have ended: then its content is what
 * they left behind, and that of the checkpoint takes its place. Anything else under the number or the key is somebody's: the restart is refused.
 * One that is gone is made under its number, which needs CAP_CHECKPOINT_RESTORE.
 */
#include "libcr/lower/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <time.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/ipc_payload.h"
#include "libcr/lower/files_set.h"
#include "libcr/lower/process_set.h"

#define ENDING_LOOKS 50
#define ENDING_NS 20000000
#define NEXT_ID_QUEUE "/proc/sys/kernel/msg_next_id"
#define NEXT_ID_SEMAPHORES "/proc/sys/kernel/sem_next_id"

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

/* A record of either kind, in parts that are borrowed from the image. */
struct saved {
	enum cr_ipc_kind kind;
	struct cr_ipc_head head;
	uint64_t qbytes;
	uint32_t n;
	const char *rest; /* messages or values */
	size_t rest_bytes;
	char words[80];
};

static const char *next_id(const struct saved *s)
{
	return s->kind == CR_IPC_QUEUE ? NEXT_ID_QUEUE : NEXT_ID_SEMAPHORES;
}

/* --- records --- */

static int bad(const struct cr_image *img, const struct cr_image_record *rec, struct cr_err *err)
{
	return cr_err_set(err, EBADMSG, "%s: a damaged %s record", cr_image_name(img), cr_image_type_name(rec->type));
}

static int parse_queue(const struct cr_image *img, const struct cr_image_record *rec, struct saved *s, struct cr_err *err)
{
	struct cr_ipc_queue_payload p;
	size_t at = 0;

	if (rec->bytes < sizeof(p))
		return bad(img, rec, err);
	memcpy(&p, rec->data, sizeof(p));
	*s = (struct saved){ .kind = CR_IPC_QUEUE, .head = p.head, .qbytes = p.qbytes, .n = p.n_messages, .rest = (const char *)rec->data + sizeof(p),
			     .rest_bytes = rec->bytes - sizeof(p) };
	for (uint32_t i = 0; i < s->n; i++) {
		struct cr_ipc_message m;

		if (s->rest_bytes - at < sizeof(m))
			return bad(img, rec, err);
		memcpy(&m, s->rest + at, sizeof(m));
		at += sizeof(m);
		if (m.type <= 0 || (m.bytes + 7UL) / 8 * 8 > s->rest_bytes - at)
			return bad(img, rec, err);
		at += (m.bytes + 7UL) / 8 * 8;
	}
	return at == s->rest_bytes ? 0 : bad(img, rec, err);
}

static int parse_semaphores(const struct cr_image *img, const struct cr_image_record *rec, struct saved *s, struct cr_err *err)
{
	struct cr_ipc_semaphores_payload p;

	if (rec->bytes < sizeof(p))
		return bad(img, rec, err);
	memcpy(&p, rec->data, sizeof(p));
	*s = (struct saved){ .kind = CR_IPC_SEMAPHORES, .head = p.head, .n = p.n, .rest = (const char *)rec->data + sizeof(p), .rest_bytes = rec->bytes - sizeof(p) };
	return !p.n || p.n > CR_IPC_SEMAPHORES_MAX || s->rest_bytes != p.n * sizeof(uint32_t) ? bad(img, rec, err) : 0;
}

static int each_saved(const struct cr_image *img, int (*fn)(const struct saved *s, struct cr_err *err), struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	int rc = 0;

	while (!rc && cr_image_next(img, &rec) > 0) {
		struct saved s;

		if (rec.type != CR_REC_IPC_QUEUE && rec.type != CR_REC_IPC_SEMAPHORES)
			continue;
		rc = rec.type == CR_REC_IPC_QUEUE ? parse_queue(img, &rec, &s, err) : parse_semaphores(img, &rec, &s, err);
		if (rc)
			break;
		if (s.head.id < 0)
			return bad(img, &rec, err);
		cr_ipc_words(&(struct cr_ipc_object){ .kind = s.kind, .id = s.head.id, .key = s.head.key }, s.words, sizeof(s.words));
		rc = fn(&s, err);
	}
	return rc;
}

/* --- may it come back? --- */

static const char *remove_words(const struct saved *s, char *room, size_t bytes, int id)
{
	snprintf(room, bytes, "if nobody needs it, remove it (ipcrm -%c %d)", s->kind == CR_IPC_QUEUE ? 'q' : 's', id);
	return room;
}

static int waiters_of(const struct cr_ipc_object *o)
{
	int n = 0;

	for (unsigned long i = 0; o->kind == CR_IPC_SEMAPHORES && i < o->n; i++) {
		int more = semctl(o->id, (int)i, GETNCNT), zero = semctl(o->id, (int)i, GETZCNT);

		n += (more > 0 ? more : 0) + (zero > 0 ? zero : 0);
	}
	return n;
}

/* The one of before: 1; -ENOENT: there is none; or why it is another one. */
static int old_one(const struct saved *s, struct cr_ipc_object *ret, struct cr_err *err)
{
	struct cr_ipc_object o;
	char words[64];

	if (!cr_ipc_get(s->kind, s->head.id, &o))
		return -ENOENT;
	*ret = o;
	remove_words(s, words, sizeof(words), o.id);
	if (o.key != s->head.key || o.cuid != s->head.cuid || (s->kind == CR_IPC_SEMAPHORES && o.n != s->n))
		return cr_err_set(err, EEXIST, "%s is another one now, and the program knows its own by that number; %s", s->words, words);
	return 1;
}

/* Does nobody use it? Before there is any process of the restart: those may get the numbers of the ones that used it last. */
static int unused(const struct saved *s, const struct cr_ipc_object *object, struct cr_err *err)
{
	const struct cr_ipc_object o = *object;
	struct cr_ipc_verdict v;
	char words[64];
	int waiters;

	remove_words(s, words, sizeof(words), o.id);
	if (s->head.saver_pid != getpid() && cr_ipc_runs(s->head.saver_pid, s->head.saver_start))
		return cr_err_set(err, EBUSY, "%s is still used by the process %d, which was saved with it; end that one before the restart", s->words, s->head.saver_pid);
	cr_ipc_judge(&o, &v);
	if (v.outside > 0)
		return cr_err_set(err, EBUSY, "%s, which the program had alone, is used by process %d (%s) now; end that one", s->words, v.outside, v.name);
	if (v.outside)
		return cr_err_set(err, EBUSY, "%s, which the program had alone, was used last by a process of another PID namespace; %s", s->words, words);
	waiters = waiters_of(&o);
	if (waiters)
		return cr_err_set(err, EBUSY, "%s, which the program had alone, has %d processes that wait for it; end them", s->words, waiters);
	return 1;
}

static int check_one(const struct saved *s, struct cr_err *err)
{
	const struct timespec pause = { .tv_nsec = ENDING_NS };
	struct cr_ipc_object o;
	int rc = old_one(s, &o, err), other = -1;
	char words[64];

	/* Who was killed a moment ago may not have ended yet. */
	for (int i = 0; rc > 0 && i < ENDING_LOOKS; i++) {
		rc = unused(s, &o, err);
		if (rc != -EBUSY)
			return rc < 0 ? rc : 0;
		nanosleep(&pause, NULL);
		if (i + 1 < ENDING_LOOKS)
			rc = old_one(s, &o, err);
	}
	if (rc != -ENOENT)
		return rc;
	if (s->head.key != IPC_PRIVATE)
		other = s->kind == CR_IPC_QUEUE ? msgget(s->head.key, 0) : semget(s->head.key, 0, 0);
	if (other >= 0)
		return cr_err_set(err, EEXIST, "%s: the key belongs to number %d now; %s", s->words, other, remove_words(s, words, sizeof(words), other));
	if (access(next_id(s), W_OK) < 0)
		return cr_err_set(err, EPERM, "%s is gone, and its number, which the program knows, can be given again only with the capability CAP_CHECKPOINT_RESTORE (%s: %s); restart with that, or while it is still there",
				  s->words, next_id(s), strerror(errno));
	return 0;
}

int cr_ipc_restore_check(const struct cr_image *img, struct cr_err *err)
{
	return each_saved(img, check_one, err);
}

/* --- they come back --- */

static int failed(const struct saved *s, const char *what, struct cr_err *err)
{
	return cr_err_set(err, errno, "%s: %s: %s", s->words, what, strerror(errno));
}

/* Under its number, with room for its owner to fill it. */
static int make(const struct saved *s, struct cr_err *err)
{
	int fd = cr_file_open_high(next_id(s), O_WRONLY, 0, cr_process_floor()), id, error;
	char text[16];
	ssize_t n;

	snprintf(text, sizeof(text), "%d", s->head.id);
	if (fd < 0)
		return cr_err_set(err, fd, "%s: %s: %s", s->words, next_id(s), strerror(-fd));
	n = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	if (n < 0)
		return cr_err_set(err, error, "%s: %s: %s", s->words, next_id(s), strerror(error));
	if (s->kind == CR_IPC_QUEUE)
		id = msgget(s->head.key, IPC_CREAT | IPC_EXCL | 0600);
	else
		id = semget(s->head.key, (int)s->n, IPC_CREAT | IPC_EXCL | 0600);
	if (id < 0)
		return failed(s, "it cannot be made", err);
	if (id == s->head.id)
		return 0;
	if (s->kind == CR_IPC_QUEUE)
		msgctl(id, IPC_RMID, NULL);
	else
		semctl(id, 0, IPC_RMID);
	return cr_err_set(err, EBUSY, "%s cannot be made under its number: it became %d; try again", s->words, id);
}

static int queue_own(const struct saved *s, uint64_t qbytes, unsigned int mode, struct cr_err *err)
{
	struct msqid_ds ds;

	if (msgctl(s->head.id, IPC_STAT, &ds) < 0)
		return failed(s, "it cannot be read", err);
	ds.msg_qbytes = qbytes;
	ds.msg_perm.uid = s->head.uid;
	ds.msg_perm.gid = s->head.gid;
	ds.msg_perm.mode = (unsigned short)mode;
	return msgctl(s->head.id, IPC_SET, &ds) < 0 ? failed(s, "its size and owner cannot be set as they were", err) : 0;
}

/* What is left in it, of the life that ended. */
static int queue_empty(const struct saved *s, struct cr_err *err)
{
	struct {
		long type;
		char text[1];
	} none;

	while (msgrcv(s->head.id, &none, 1, 0, IPC_NOWAIT | MSG_NOERROR) >= 0)
		;
	return errno == ENOMSG ? 0 : failed(s, "it cannot be emptied", err);
}

static int queue_fill(const struct saved *s, struct cr_err *err)
{
	const char *at = s->rest;
	int rc = 0;

	for (uint32_t i = 0; i < s->n && !rc; i++) {
		struct cr_ipc_message m;
		struct msgbuf *text;

		memcpy(&m, at, sizeof(m));
		at += sizeof(m);
		text = malloc(sizeof(*text) + m.bytes);
		if (!text)
			return cr_err_set(err, ENOMEM, "%s: out of memory", s->words);
		text->mtype = m.type;
		memcpy(text->mtext, at, m.bytes);
		at += (m.bytes + 7UL) / 8 * 8;
		if (msgsnd(s->head.id, text, m.bytes, IPC_NOWAIT) < 0)
			rc = failed(s, "a message that waited in it does not fit", err);
		free(text);
	}
	return rc;
}

static int restore_queue(const struct saved *s, struct cr_err *err)
{
	int rc = queue_own(s, s->qbytes, 0600, err);

	if (!rc)
		rc = queue_empty(s, err);
	if (!rc)
		rc = queue_fill(s, err);
	return rc ? rc : queue_own(s, s->qbytes, s->head.mode, err);
}

static int semaphores_own(const struct saved *s, unsigned int mode, struct cr_err *err)
{
	struct semid_ds ds;
	union semun arg = { .buf = &ds };

	if (semctl(s->head.id, 0, IPC_STAT, arg) < 0)
		return failed(s, "it cannot be read", err);
	ds.sem_perm.uid = s->head.uid;
	ds.sem_perm.gid = s->head.gid;
	ds.sem_perm.mode = (unsigned short)mode;
	return semctl(s->head.id, 0, IPC_SET, arg) < 0 ? failed(s, "its owner cannot be set as it was", err) : 0;
}

static int restore_semaphores(const struct saved *s, struct cr_err *err)
{
	unsigned short *values = calloc(s->n, sizeof(*values));
	union semun arg = { .array = values };
	int rc;

	if (!values)
		return cr_err_set(err, ENOMEM, "%s: out of memory", s->words);
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t value;

		memcpy(&value, s->rest + i * sizeof(value), sizeof(value));
		values[i] = (unsigned short)value;
	}
	rc = semaphores_own(s, 0600, err);
	if (!rc && semctl(s->head.id, 0, SETALL, arg) < 0)
		rc = failed(s, "its values cannot be set", err);
	free(values);
	return rc ? rc : semaphores_own(s, s->head.mode, err);
}

static int restore_one(const struct saved *s, struct cr_err *err)
{
	struct cr_ipc_object o;
	int rc = old_one(s, &o, err);

	if (rc == -ENOENT)
		rc = make(s, err);
	if (rc >= 0)
		rc = s->kind == CR_IPC_QUEUE ? restore_queue(s, err) : restore_semaphores(s, err);
	if (!rc)
		cr_ipc_note_use(cr_ipc_table, s->kind, s->head.id);
	return rc;
}

int cr_ipc_restore(const struct cr_image *img, struct cr_err *err)
{
	return each_saved(img, restore_one, err);
}

/* --- what the process has to do with them --- */

/* Two operations at once that leave the value as it is; nobody sees it between them. */
static int twice(const struct cr_ipc_process_item *item, int first, int second, int first_flags, int second_flags)
{
	struct sembuf ops[2] = {
		{ (unsigned short)item->number, (short)first, (short)(first_flags | IPC_NOWAIT) },
		{ (unsigned short)item->number, (short)second, (short)(second_flags | IPC_NOWAIT) },
	};

	return semop(item->id, ops, 2);
}

/* What was taken with SEM_UNDO is taken so again. Either order may not fit the range of values. */
static int undo_again(const struct cr_ipc_process_item *item)
{
	int by = item->undo;

	if (twice(item, by, -by, 0, SEM_UNDO) < 0 && twice(item, -by, by, SEM_UNDO, 0) < 0)
		return -errno;
	cr_ipc_note_undo(cr_ipc_table, item->id, item->number, by);
	return 0;
}

static int touch(const struct cr_ipc_process_item *item)
{
	return twice(item, 1, -1, 0, 0) < 0 && twice(item, -1, 1, 0, 0) < 0 ? -errno : 0;
}

static int each_item(const struct cr_image *img, bool undo, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };

	while (cr_image_next(img, &rec) > 0) {
		struct cr_ipc_process_item item;

		if (rec.type != CR_REC_IPC_PROCESS)
			continue;
		if (rec.bytes % sizeof(item))
			return bad(img, &rec, err);
		for (uint64_t at = 0; at < rec.bytes; at += sizeof(item)) {
			int rc = 0;

			memcpy(&item, (const char *)rec.data + at, sizeof(item));
			if (undo && item.undo)
				rc = undo_again(&item);
			else if (!undo && item.last)
				rc = touch(&item);
			/* Who used one last is for information: a program that only reads it may not do that. */
			if (rc < 0 && undo)
				return cr_err_set(err, rc, "System V semaphore %d of set %d: what the end of the program undoes (SEM_UNDO, %d) cannot be set: %s", item.number,
						  item.id, item.undo, strerror(-rc));
			if (rc >= 0)
				cr_ipc_note_use(cr_ipc_table, CR_IPC_SEMAPHORES, item.id);
		}
	}
	return 0;
}

int cr_ipc_restore_undo(const struct cr_image *img, struct cr_err *err)
{
	return each_item(img, true, err);
}

int cr_ipc_restore_last(const struct cr_image *img, struct cr_err *err)
{
	return each_item(img, false, err);
}
