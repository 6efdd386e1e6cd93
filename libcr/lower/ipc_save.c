/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Save System V queues and semaphores. Nothing is changed: messages are copied (MSG_COPY) and stay where they are.
 */
#include "libcr/lower/ipc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/ipc_payload.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

struct saving {
	struct cr_image_writer *w;
	struct cr_err *err;
};

static struct cr_ipc_head head_of(const struct cr_ipc_object *o)
{
	return (struct cr_ipc_head){ .id = o->id, .key = o->key, .mode = o->mode, .uid = o->uid, .gid = o->gid, .cuid = o->cuid, .cgid = o->cgid,
				     .saver_pid = getpid(), .saver_start = cr_ipc_start_of(getpid()) };
}

static int cannot(struct cr_err *err, const struct cr_ipc_object *o, const char *what, int error)
{
	char words[80];

	cr_ipc_words(o, words, sizeof(words));
	return cr_err_set(err, error, "%s: %s: %s", words, what, error == ENOSYS ? "the kernel lacks CONFIG_CHECKPOINT_RESTORE" : strerror(error));
}

/* --- queues --- */

#define ROOM(text) (sizeof(struct cr_ipc_message) + (((text) + 7) & ~7UL))

/* Copies message @index to the end of the record; *used grows. @text has room for the longest one. */
static int copy_message(const struct cr_ipc_object *o, unsigned long index, struct msgbuf *text, char *record, size_t *used, size_t room, struct cr_err *err)
{
	struct cr_ipc_message m = { .type = 0 };
	ssize_t n = msgrcv(o->id, text, o->bytes, (long)index, MSG_COPY | IPC_NOWAIT);

	if (n < 0)
		return cannot(err, o, "its messages cannot be read", errno);
	if (*used + ROOM((size_t)n) > room)
		return cannot(err, o, "its messages changed while they were read", EAGAIN);
	m.type = text->mtype;
	m.bytes = (uint32_t)n;
	memcpy(record + *used, &m, sizeof(m));
	memcpy(record + *used + sizeof(m), text->mtext, (size_t)n);
	*used += ROOM((size_t)n);
	return 0;
}

static int save_queue(struct saving *s, const struct cr_ipc_object *o)
{
	size_t room = sizeof(struct cr_ipc_queue_payload) + o->bytes + o->n * (sizeof(struct cr_ipc_message) + 8), used = sizeof(struct cr_ipc_queue_payload);
	struct cr_ipc_queue_payload p = { .head = head_of(o), .n_messages = (uint32_t)o->n };
	struct msgbuf *text;
	struct msqid_ds ds;
	char *record;
	int rc = 0;

	if (msgctl(o->id, IPC_STAT, &ds) < 0)
		return cannot(s->err, o, "it cannot be read", errno);
	if (room > CR_IPC_QUEUE_MAX_BYTES)
		return cannot(s->err, o, "what waits in it is too much", E2BIG);
	p.qbytes = ds.msg_qbytes;
	record = calloc(1, room);
	text = malloc(sizeof(*text) + o->bytes);
	if (!record || !text)
		rc = cannot(s->err, o, "it cannot be saved", ENOMEM);
	for (unsigned long i = 0; i < o->n && !rc; i++)
		rc = copy_message(o, i, text, record, &used, room, s->err);
	if (!rc) {
		memcpy(record, &p, sizeof(p));
		rc = cr_image_put(s->w, CR_REC_IPC_QUEUE, record, used, s->err);
	}
	free(text);
	free(record);
	return rc;
}

/* --- semaphores --- */

/* The values of a set, malloc'ed, or NULL with errno. */
static unsigned short *values_of(const struct cr_ipc_object *o)
{
	unsigned short *values = calloc(o->n + 1, sizeof(*values));
	union {
		int val;
		unsigned short *array;
	} arg = { .array = values };

	if (values && semctl(o->id, 0, GETALL, arg) < 0) {
		int error = errno;

		free(values);
		errno = error;
		return NULL;
	}
	return values;
}

static int save_semaphores(struct saving *s, const struct cr_ipc_object *o)
{
	size_t bytes = sizeof(struct cr_ipc_semaphores_payload) + o->n * sizeof(uint32_t);
	struct cr_ipc_semaphores_payload *p;
	unsigned short *values;
	uint32_t *out;
	int rc;

	if (o->n > CR_IPC_SEMAPHORES_MAX)
		return cannot(s->err, o, "it is too large", E2BIG);
	values = values_of(o);
	if (!values)
		return cannot(s->err, o, "its values cannot be read", errno);
	p = calloc(1, bytes);
	if (!p) {
		free(values);
		return cannot(s->err, o, "it cannot be saved", ENOMEM);
	}
	*p = (struct cr_ipc_semaphores_payload){ .head = head_of(o), .n = (uint32_t)o->n };
	out = (void *)(p + 1);
	for (unsigned long i = 0; i < o->n; i++)
		out[i] = values[i];
	rc = cr_image_put(s->w, CR_REC_IPC_SEMAPHORES, p, bytes, s->err);
	free(p);
	free(values);
	return rc;
}

static int save_object(void *arg, const struct cr_ipc_object *o)
{
	struct cr_ipc_verdict v;

	cr_ipc_judge(o, &v);
	if (!v.ours)
		return 0;
	return o->kind == CR_IPC_QUEUE ? save_queue(arg, o) : save_semaphores(arg, o);
}

int cr_ipc_save(struct cr_image_writer *w, struct cr_err *err)
{
	struct saving s = { w, err };
	int rc = cr_ipc_each(CR_IPC_QUEUE, save_object, &s);

	return rc ? rc : cr_ipc_each(CR_IPC_SEMAPHORES, save_object, &s);
}

/* --- this process's part --- */

struct items {
	struct cr_ipc_process_item *item;
	size_t n, room;
};

static int item_add(struct items *items, const struct cr_ipc_process_item *item)
{
	if (items->n == items->room) {
		size_t room = items->room ? 2 * items->room : 32;
		struct cr_ipc_process_item *more = reallocarray(items->item, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		items->item = more;
		items->room = room;
	}
	items->item[items->n++] = *item;
	return 0;
}

static int undo_of(int id, int number)
{
	uint64_t start_ns = cr_ipc_start_ns(cr_ipc_start_of(getpid()));
	int value = 0;

	for (int i = 0; cr_ipc_table && i < CR_IPC_UNDOS; i++) {
		const struct cr_ipc_undo *u = &cr_ipc_table->undos[i];

		if (u->used == 1 && u->pid == getpid() && u->id == id && u->number == number && u->time_ns >= start_ns)
			value += u->value;
	}
	return value;
}

static int add_items(void *arg, const struct cr_ipc_object *o)
{
	struct cr_ipc_verdict v;

	cr_ipc_judge(o, &v);
	for (unsigned long i = 0; v.ours && i < o->n; i++) {
		struct cr_ipc_process_item item = { .id = o->id, .number = (int32_t)i, .undo = undo_of(o->id, (int)i), .last = semctl(o->id, (int)i, GETPID) == getpid() };
		int rc = item.undo || item.last ? item_add(arg, &item) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

int cr_ipc_save_process(struct cr_image_writer *w, struct cr_err *err)
{
	struct items items = { NULL, 0, 0 };
	int rc = cr_ipc_each(CR_IPC_SEMAPHORES, add_items, &items);

	if (rc)
		rc = cr_err_set(err, rc, "System V semaphores: %s", strerror(-rc));
	else if (items.n)
		rc = cr_image_put(w, CR_REC_IPC_PROCESS, items.item, items.n * sizeof(*items.item), err);
	free(items.item);
	return rc;
}
