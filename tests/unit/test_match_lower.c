/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See test_match_lower.h. */
#include "tests/unit/test_match_lower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FAKE_MAX 256

struct fake_request {
	int used, receive, complete, persistent, cancelled, matched;
	void *comm, *buf;
	int bytes, tag, source_tag;
	struct fake_message *message;
	MPI_Status status;
};
struct fake_message {
	int used, tag, bytes;
	void *comm;
	struct fake_request *sender;
	unsigned char data[4096];
};

struct fake_lower fake;
struct crcp_state crcp;
struct crcp_lower_table crcp_lower;
__thread struct cr_crossing cr_crossing_tls;

static struct fake_request requests[FAKE_MAX];
static struct fake_request *posted[FAKE_MAX];
static struct fake_message *unexpected[FAKE_MAX];
static int n_posted, n_unexpected;
static struct cr_thread fake_thread;
static struct crcp_handle real_byte, real_private, real_no_proc;

/* The handles that mpi.h names. */
#define OBJECT(name) unsigned char name##_bytes[512]; __asm__(".globl " #name "\n" #name " = " #name "_bytes")
OBJECT(ompi_mpi_comm_world);
OBJECT(ompi_mpi_byte);
OBJECT(ompi_mpi_packed);
OBJECT(ompi_request_null);
OBJECT(ompi_message_null);
OBJECT(ompi_message_no_proc);
OBJECT(ompi_mpi_errors_return);

/* ---- what abi/ provides ---- */
void *crcp_alloc(size_t bytes) { return calloc(1, bytes ? bytes : 1); }
void crcp_free(void *p) { free(p); }
int crcp_error(struct crcp_comm *comm, int code, const char *function)
{
	(void)comm;
	(void)function;
	return code;
}
void crcp_datatype_get(MPI_Datatype t) { (void)t; }
void crcp_datatype_put(MPI_Datatype t) { (void)t; }
int crcp_fint_assign(struct crcp_handle *h) { return h->fint = h->fint < 0 ? 7 : h->fint; }
void crcp_fint_release(struct crcp_handle *h) { h->fint = -1; }
struct crcp_handle *crcp_fint_handle(uint32_t kind, int fint)
{
	(void)kind;
	(void)fint;
	return NULL;
}
void crcp_wtime_note(void) { }
void crcp_pcoll_drop(MPI_Request request) { (void)request; }
void crcp_lower_need(void) { abort(); }
int crcp_wins_drain(void) { return 0; }
int crcp_files_drain(void) { return 0; }
int crcp_grequest_free(MPI_Request request) { return request ? MPI_ERR_REQUEST : MPI_ERR_INTERN; }
int crcp_grequest_rebuild(MPI_Request request) { return request ? -EPROTO : -EINVAL; }
int crcp_reinit(void)
{
	crcp.epoch = CR_GATE->epoch;
	return crcp_p2p_rebuild();
}
struct cr_thread *cr_crossing_attach(void)
{
	fake_thread.lower_fs = cr_fs_self();
	fake_thread.fs_by_kernel = 1;
	fake_thread.upper_fs = fake_thread.lower_fs;
	cr_crossing_tls.thread = &fake_thread;
	cr_crossing_tls.epoch = CR_GATE->epoch;
	return &fake_thread;
}
static void fake_notify(void) { fake.notifies++; }
static int fake_nocr_set(uint64_t id, const char *text)
{
	(void)id;
	fake.nocr = text;
	return 0;
}
static int fake_nocr_clear(uint64_t id)
{
	(void)id;
	fake.nocr = NULL;
	return 0;
}

/* ---- the library ---- */
static void progress(void)
{
	if (fake.on_progress)
		fake.on_progress();
}
static struct fake_request *request_new(void)
{
	int i;

	for (i = 0; i < FAKE_MAX; i++)
		if (!requests[i].used) {
			memset(&requests[i], 0, sizeof(requests[i]));
			requests[i].used = 1;
			return &requests[i];
		}
	abort();
}
static int match(const struct fake_request *r, const struct fake_message *m)
{
	return r->comm == m->comm && (r->tag == MPI_ANY_TAG || r->tag == m->tag);
}
static void take(struct fake_request *r, struct fake_message *m)
{
	memcpy(r->buf, m->data, (size_t)(m->bytes < r->bytes ? m->bytes : r->bytes));
	r->status = (MPI_Status){ .MPI_SOURCE = 0, .MPI_TAG = m->tag, ._ucount = (size_t)m->bytes };
	r->status.MPI_ERROR = m->bytes > r->bytes ? MPI_ERR_TRUNCATE : MPI_SUCCESS;
	r->complete = 1;
	if (m->sender)
		m->sender->complete = 1;
	free(m);
}
static struct fake_message *unexpected_take(int i)
{
	struct fake_message *m = unexpected[i];

	memmove(unexpected + i, unexpected + i + 1, sizeof(*unexpected) * (size_t)(--n_unexpected - i));
	return m;
}
static void arrive(struct fake_message *m)
{
	int i;

	for (i = 0; i < n_posted; i++) {
		struct fake_request *r = posted[i];

		if (!match(r, m))
			continue;
		memmove(posted + i, posted + i + 1, sizeof(*posted) * (size_t)(--n_posted - i));
		take(r, m);
		return;
	}
	unexpected[n_unexpected++] = m;
}
static void send_start(struct fake_request *r)
{
	struct fake_message *m = calloc(1, sizeof(*m));

	m->comm = r->comm;
	m->tag = r->tag;
	m->bytes = r->bytes;
	m->sender = r;
	memcpy(m->data, r->buf, (size_t)r->bytes);
	r->complete = !fake.synchronous;
	if (r->complete)
		m->sender = NULL;
	arrive(m);
	fake.isends++;
}
static void recv_start(struct fake_request *r)
{
	int i;

	fake.irecvs++;
	r->complete = 0;
	for (i = 0; i < n_unexpected; i++)
		if (match(r, unexpected[i])) {
			take(r, unexpected_take(i));
			return;
		}
	posted[n_posted++] = r;
}
static struct fake_request *request_make(int receive, const void *buf, int count, MPI_Comm comm, int tag)
{
	struct fake_request *r = request_new();

	r->receive = receive;
	r->buf = (void *)(uintptr_t)buf;
	r->bytes = count;
	r->comm = comm;
	r->tag = tag;
	return r;
}
static int fake_Isend(const void *buf, int count, MPI_Datatype t, int peer, int tag, MPI_Comm comm, MPI_Request *q)
{
	struct fake_request *r;

	if (!t || peer != 0)
		return MPI_ERR_RANK;
	r = request_make(0, buf, count, comm, tag);
	send_start(r);
	*q = (MPI_Request)(void *)r;
	return MPI_SUCCESS;
}
static int fake_Irecv(void *buf, int count, MPI_Datatype t, int peer, int tag, MPI_Comm comm, MPI_Request *q)
{
	struct fake_request *r = request_make(1, buf, count, comm, tag);

	(void)t;
	(void)peer;
	recv_start(r);
	*q = (MPI_Request)(void *)r;
	return MPI_SUCCESS;
}
static int fake_Send_init(const void *buf, int count, MPI_Datatype t, int peer, int tag, MPI_Comm comm, MPI_Request *q)
{
	struct fake_request *r = request_make(0, buf, count, comm, tag);

	(void)t;
	(void)peer;
	r->persistent = 1;
	*q = (MPI_Request)(void *)r;
	return MPI_SUCCESS;
}
static int fake_Recv_init(void *buf, int count, MPI_Datatype t, int peer, int tag, MPI_Comm comm, MPI_Request *q)
{
	fake_Send_init(buf, count, t, peer, tag, comm, q);
	((struct fake_request *)(void *)*q)->receive = 1;
	return MPI_SUCCESS;
}
static int fake_Start(MPI_Request *q)
{
	struct fake_request *r = (struct fake_request *)(void *)*q;

	if (r->receive)
		recv_start(r);
	else
		send_start(r);
	return MPI_SUCCESS;
}
static int fake_Test(MPI_Request *q, int *flag, MPI_Status *status)
{
	struct fake_request *r = (struct fake_request *)(void *)*q;
	int rc;

	fake.tests++;
	if (!r->used)
		abort(); /* a stale real request was used */
	if (!r->complete)
		progress();
	*flag = r->complete;
	if (!r->complete)
		return MPI_SUCCESS;
	*status = r->status;
	if (!r->receive)
		status->_cancelled = 0;
	rc = r->status.MPI_ERROR;
	if (!r->persistent) {
		r->used = 0;
		*q = NULL;
	}
	return rc;
}
static int fake_Testsome(int n, MPI_Request *v, int *out, int *indices, MPI_Status *statuses)
{
	int i, flag, rc = MPI_SUCCESS, code;

	*out = 0;
	for (i = 0; i < n; i++) {
		code = fake_Test(&v[i], &flag, &statuses[*out]);
		if (!flag)
			continue;
		statuses[*out].MPI_ERROR = code;
		if (code != MPI_SUCCESS)
			rc = MPI_ERR_IN_STATUS;
		indices[(*out)++] = i;
	}
	return rc;
}
static int fake_Cancel(MPI_Request *q)
{
	struct fake_request *r = (struct fake_request *)(void *)*q;
	int i;

	for (i = 0; i < n_posted; i++)
		if (posted[i] == r) {
			memmove(posted + i, posted + i + 1, sizeof(*posted) * (size_t)(--n_posted - i));
			r->status = (MPI_Status){ .MPI_SOURCE = -1, .MPI_TAG = -1, ._cancelled = 1 };
			r->complete = 1;
			break;
		}
	return MPI_SUCCESS;
}
static int fake_Request_free(MPI_Request *q)
{
	((struct fake_request *)(void *)*q)->used = 0;
	*q = NULL;
	return MPI_SUCCESS;
}
static int find(int tag, MPI_Comm comm, MPI_Status *status)
{
	struct fake_request r = { .comm = comm, .tag = tag };
	int i;

	for (i = 0; i < n_unexpected; i++)
		if (match(&r, unexpected[i])) {
			*status = (MPI_Status){ .MPI_SOURCE = 0, .MPI_TAG = unexpected[i]->tag, ._ucount = (size_t)unexpected[i]->bytes };
			return i;
		}
	return -1;
}
static int fake_Iprobe(int source, int tag, MPI_Comm comm, int *flag, MPI_Status *status)
{
	(void)source;
	progress();
	*flag = find(tag, comm, status) >= 0;
	return MPI_SUCCESS;
}
static int fake_Improbe(int source, int tag, MPI_Comm comm, int *flag, MPI_Message *m, MPI_Status *status)
{
	int i;

	(void)source;
	progress();
	i = find(tag, comm, status);
	*flag = i >= 0;
	if (*flag)
		*m = (MPI_Message)(void *)unexpected_take(i);
	return MPI_SUCCESS;
}
static int fake_Imrecv(void *buf, int count, MPI_Datatype t, MPI_Message *m, MPI_Request *q)
{
	struct fake_request *r = request_make(1, buf, count, NULL, 0);

	(void)t;
	take(r, (struct fake_message *)(void *)*m);
	*m = NULL;
	*q = (MPI_Request)(void *)r;
	return MPI_SUCCESS;
}
static int fake_Recv(void *buf, int count, MPI_Datatype t, int source, int tag, MPI_Comm comm, MPI_Status *status)
{
	MPI_Request q;
	int flag;

	fake_Irecv(buf, count, t, source, tag, comm, &q);
	return fake_Test(&q, &flag, status);
}
static int fake_Wait(MPI_Request *q, MPI_Status *status)
{
	MPI_Status mine;
	int flag;

	(void)status;
	return fake_Test(q, &flag, &mine);
}
static int fake_Send(const void *buf, int count, MPI_Datatype t, int peer, int tag, MPI_Comm comm)
{
	MPI_Request q;
	int flag;
	MPI_Status status;

	fake_Isend(buf, count, t, peer, tag, comm, &q);
	return fake_Test(&q, &flag, &status);
}
static int fake_Pack_size(int count, MPI_Datatype t, MPI_Comm comm, int *size)
{
	(void)t;
	(void)comm;
	*size = count;
	return MPI_SUCCESS;
}
static int fake_Pack(const void *in, int count, MPI_Datatype t, void *out, int size, int *position, MPI_Comm comm)
{
	(void)t;
	(void)size;
	(void)comm;
	memcpy(out, in, (size_t)count);
	*position = count;
	return MPI_SUCCESS;
}
static int fake_set_errhandler(MPI_Comm comm, MPI_Errhandler e)
{
	(void)comm;
	(void)e;
	return MPI_SUCCESS;
}
static int fake_call_errhandler(MPI_Comm comm, int code)
{
	(void)comm;
	(void)code;
	return MPI_SUCCESS;
}

int fake_lower_unexpected(void) { return n_unexpected; }
int fake_lower_posted(void) { return n_posted; }

void fake_lower_lose(void)
{
	while (n_unexpected)
		free(unexpected[--n_unexpected]);
	n_posted = 0;
	memset(requests, 0, sizeof(requests));
	CR_GATE->epoch++;
}

void fake_comm_init(struct crcp_comm *c, uint64_t clock_id)
{
	static const int world_ranks[2] = { 0, 1 };

	memset(c, 0, sizeof(*c));
	c->h.real = c;
	c->size = clock_id ? 2 : 1;
	c->world_ranks = world_ranks;
	c->clock_id = clock_id;
	crcp_comm_init_counters(c);
	c->next = crcp.comms;
	crcp.comms = c;
}

void fake_lower_init(void)
{
	void *gate = mmap((void *)CR_GATE_ADDR, CR_GATE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (gate == MAP_FAILED)
		abort();
	CR_GATE->epoch = 1;
	CR_GATE->board_notify = fake_notify;
	CR_GATE->nocr_set = fake_nocr_set;
	CR_GATE->nocr_clear = fake_nocr_clear;
	memset(&crcp, 0, sizeof(crcp));
	memset(&crcp_p2p, 0, sizeof(crcp_p2p));
	memset(&fake, 0, sizeof(fake));
	cr_crossing_tls.epoch = 0;
	fake_lower_lose();
	CR_GATE->epoch = 1;
	crcp.epoch = 1;
	crcp.libmpi = &fake;
	crcp_lower.MPI_Isend = fake_Isend;
	crcp_lower.MPI_Issend = fake_Isend;
	crcp_lower.MPI_Irecv = fake_Irecv;
	crcp_lower.MPI_Send_init = fake_Send_init;
	crcp_lower.MPI_Recv_init = fake_Recv_init;
	crcp_lower.MPI_Start = fake_Start;
	crcp_lower.MPI_Test = fake_Test;
	crcp_lower.MPI_Testsome = fake_Testsome;
	crcp_lower.MPI_Cancel = fake_Cancel;
	crcp_lower.MPI_Request_free = fake_Request_free;
	crcp_lower.MPI_Iprobe = fake_Iprobe;
	crcp_lower.MPI_Improbe = fake_Improbe;
	crcp_lower.MPI_Imrecv = fake_Imrecv;
	crcp_lower.MPI_Recv = fake_Recv;
	crcp_lower.MPI_Wait = fake_Wait;
	crcp_lower.MPI_Send = fake_Send;
	crcp_lower.MPI_Pack_size = fake_Pack_size;
	crcp_lower.MPI_Pack = fake_Pack;
	crcp_lower.MPI_Comm_set_errhandler = fake_set_errhandler;
	crcp_lower.MPI_Comm_call_errhandler = fake_call_errhandler;
	((struct crcp_handle *)(void *)MPI_BYTE)->real = &real_byte;
	((struct crcp_handle *)(void *)MPI_BYTE)->flags = CRCP_H_PREDEFINED;
	((struct crcp_datatype_head *)(void *)MPI_BYTE)->size_plus_1 = 2;
	((struct crcp_handle *)(void *)MPI_PACKED)->real = &real_byte;
	((struct crcp_handle *)(void *)MPI_PACKED)->flags = CRCP_H_PREDEFINED;
	((struct crcp_handle *)(void *)MPI_MESSAGE_NO_PROC)->real = &real_no_proc;
	crcp.real_private_comm = &real_private;
	fake_comm_init(crcp_comm(MPI_COMM_WORLD), 0);
	crcp_p2p_init();
	crcp.initialized = 1;
}
