/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ranks whose memory neither is mapped here nor can be reached through the kernel: their services of memory do the work (libcr/cr_remote.h).
 *
 * The target's datatype is known here alone, so a request says in runs of bytes where data goes, in the order of the addresses. Unpacking
 * a pattern shows where the runs are; data is brought into their order by unpacking it into an image of the target.
 */
#include "crcp/upper/abi/win.h"
#include "crcp/upper/p2p/os.h"

#include <errno.h>
#include <string.h>

#include "libcr/cr_remote.h"

/* A multiple of the size of every element, of the alignment of all, and less than CR_REMOTE_COMBINE_MAX. */
#define COMBINE_BYTES 983040u
_Static_assert(COMBINE_BYTES <= CR_REMOTE_COMBINE_MAX, "one request");

/* Of the lower half, for the epoch. */
static struct {
	int lock;
	uint64_t epoch;
	__typeof__(cr_remote_start) *start;
	__typeof__(cr_remote_expose) *expose;
	__typeof__(cr_remote_hide) *hide;
	__typeof__(cr_remote_call) *call;
	__typeof__(cr_remote_push) *push;
	__typeof__(cr_remote_sync) *sync;
	struct cr_remote_endpoint **endpoints; /* [world] as far as known */
} far;

static int mpi_code(int rc)
{
	return rc == 0 ? MPI_SUCCESS : rc == -EFAULT ? MPI_ERR_RMA_RANGE : rc == -ENOMEM ? MPI_ERR_NO_MEM : MPI_ERR_OTHER;
}

/* ---- the service ---- */
static bool find_functions(void)
{
	far.start = (__typeof__(far.start))crcp_lower_find("cr_remote_start");
	far.expose = (__typeof__(far.expose))crcp_lower_find("cr_remote_expose");
	far.hide = (__typeof__(far.hide))crcp_lower_find("cr_remote_hide");
	far.call = (__typeof__(far.call))crcp_lower_find("cr_remote_call");
	far.push = (__typeof__(far.push))crcp_lower_find("cr_remote_push");
	far.sync = (__typeof__(far.sync))crcp_lower_find("cr_remote_sync");
	return far.start && far.expose && far.hide && far.call && far.push && far.sync;
}

/* Threads may make windows at once. */
static void start_lock(void)
{
	while (__atomic_exchange_n(&far.lock, 1, __ATOMIC_ACQUIRE))
		crcp_os_yield();
}

bool crcp_win_far_start(struct cr_remote_endpoint *ret)
{
	struct cr_remote_setup s = { .rank = crcp.board.world_rank, .size = crcp.board.world_size };
	struct cr_remote_setup *setup = &s;
	int rc;

	start_lock();
	if (far.epoch != crcp.epoch && find_functions())
		far.epoch = crcp.epoch;
	if (!far.endpoints)
		far.endpoints = crcp_alloc((size_t)crcp.board.world_size * sizeof(*far.endpoints));
	rc = far.epoch == crcp.epoch && far.endpoints ? CR_LOWER(far.start(setup, ret)) : -ENOMEM;
	__atomic_store_n(&far.lock, 0, __ATOMIC_RELEASE);
	return rc == 0;
}

void crcp_win_far_meet(int world, const struct cr_remote_endpoint *e)
{
	struct cr_remote_endpoint **place = &far.endpoints[world], *known = __atomic_load_n(place, __ATOMIC_ACQUIRE), *made;

	if (known) {
		*known = *e; /* the same again, but after a restart, when one thread runs */
		return;
	}
	made = crcp_dup(e, sizeof(*e));
	if (made && !__atomic_compare_exchange_n(place, &known, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		crcp_free(made); /* another thread has met it */
}

bool crcp_win_far_expose(const struct crcp_win_own *o)
{
	uint64_t at = (uint64_t)(uintptr_t)o->part, bytes = o->part_bytes;

	return CR_LOWER(far.expose(at, bytes)) == 0;
}

void crcp_win_far_hide(const struct crcp_win_own *o)
{
	struct cr_thread *t = cr_crossing_thread();
	uint64_t at = (uint64_t)(uintptr_t)o->part;

	if (far.epoch != crcp.epoch)
		return;
	cr_cross_enter(t);
	far.hide(at);
	cr_cross_leave(t);
}

static int request(const struct crcp_win_peer *p, struct cr_remote_head *h, const struct cr_remote_run *runs, const void *data, uint64_t data_bytes,
		   void *into, uint64_t want, uint64_t *ret_value)
{
	const struct cr_remote_endpoint *e = far.endpoints[p->world];
	int rank = p->world;

	return CR_LOWER(far.call(rank, e, h, runs, data, data_bytes, into, want, ret_value));
}

int crcp_win_far_sync(const struct crcp_win_peer *p)
{
	int rank = p ? p->world : -1;

	return far.epoch == crcp.epoch ? mpi_code(CR_LOWER(far.sync(rank))) : MPI_SUCCESS;
}

int crcp_wins_drain(void)
{
	int rank = -1;

	return far.epoch == crcp.epoch ? CR_LOWER(far.sync(rank)) : 0;
}

/* ---- runs ---- */
struct runs {
	struct cr_remote_run *run;
	size_t n;
	struct cr_remote_run only;
	/* the target, as far as the datatype touches it; NULL: the packed data is in the runs' order */
	char *image;
	void *memory;
};

static void runs_fini(struct runs *r)
{
	if (r->run != &r->only)
		crcp_free(r->run);
	crcp_free(r->memory);
}

/* The next run of @pattern from @at on: *ret_end is where it ends. @step 0: bytes that are set follow each other; else each that is set begins an
 * element, and elements follow each other. False: there is none. */
static bool next_run(const char *pattern, size_t end, size_t step, size_t *at, size_t *ret_end)
{
	size_t i = *at;

	while (i < end && !pattern[i])
		i++;
	if (i >= end)
		return false;
	*at = i;
	while (i < end && pattern[i])
		i += step ? step : 1;
	*ret_end = i;
	return true;
}

/* @element: bytes that an element of the leaf takes in memory, when there are gaps in it; else 0. @size: of the leaf, packed. */
static int runs_init(struct runs *r, const struct crcp_win_data *t, uint64_t at, size_t element, size_t size)
{
	size_t span = (size_t)t->span, begin, end;
	char *pattern, *marks;
	int code;

	memset(r, 0, sizeof(*r));
	r->run = &r->only;
	if (t->flat) {
		r->n = 1;
		r->only = (struct cr_remote_run){ at, t->bytes };
		return MPI_SUCCESS;
	}
	/* An element with gaps may end a little behind the span. */
	r->memory = crcp_alloc(2 * (span + element) + t->bytes);
	if (!r->memory)
		return MPI_ERR_NO_MEM;
	pattern = r->memory;
	r->image = pattern + span + element;
	marks = r->image + span + element;
	if (element == 0)
		memset(marks, 1, t->bytes);
	for (size_t i = 0; element && i < t->bytes; i += size)
		marks[i] = 1;
	code = crcp_win_unpack(marks, pattern - t->low, t);
	for (begin = 0; code == MPI_SUCCESS && next_run(pattern, span, element, &begin, &end); begin = end)
		r->n++;
	r->run = code == MPI_SUCCESS ? crcp_alloc(r->n * sizeof(*r->run)) : NULL;
	if (!r->run) {
		crcp_free(r->memory);
		return code == MPI_SUCCESS ? MPI_ERR_NO_MEM : code;
	}
	r->n = 0;
	for (begin = 0; next_run(pattern, span, element, &begin, &end); begin = end)
		r->run[r->n++] = (struct cr_remote_run){ at + (uint64_t)t->low + begin, end - begin };
	return MPI_SUCCESS;
}

/* A part of the runs that goes into one request. */
struct batch {
	struct cr_remote_run run[CR_REMOTE_RUNS_MAX];
	uint32_t n;
	uint64_t bytes;
	/* where the next one begins */
	size_t index;
	uint64_t offset;
};

static bool batch_next(struct batch *b, const struct runs *r, uint64_t most)
{
	b->n = 0;
	b->bytes = 0;
	while (b->index < r->n && b->n < CR_REMOTE_RUNS_MAX && b->bytes < most) {
		const struct cr_remote_run *run = &r->run[b->index];
		uint64_t bytes = run->bytes - b->offset;

		if (bytes > most - b->bytes)
			bytes = most - b->bytes;
		b->run[b->n++] = (struct cr_remote_run){ run->at + b->offset, bytes };
		b->bytes += bytes;
		b->offset += bytes;
		if (b->offset == run->bytes) {
			b->offset = 0;
			b->index++;
		}
	}
	return b->n > 0;
}

/* The image's content of the batch, in the order of the runs, and back. @origin: address of the image's first byte at the target. */
static void batch_copy(const struct batch *b, char *image, uint64_t origin, char *data, bool to_image)
{
	for (uint32_t i = 0; i < b->n; i++) {
		char *at = image + (b->run[i].at - origin);

		if (to_image)
			memcpy(at, data, b->run[i].bytes);
		else
			memcpy(data, at, b->run[i].bytes);
		data += b->run[i].bytes;
	}
}

/* ---- put, get, combine: one batch after the other ---- */
struct transfer {
	const struct crcp_win_peer *peer;
	struct cr_remote_head head;
	uint64_t origin;  /* address at the target of the image's first byte */
	uint64_t most;    /* bytes of one request */
	const char *from; /* data in the runs' order, when there is no image */
	char *into;
	char *in, *out;   /* images of what comes and what goes; NULL: nothing, or no image */
};

static bool gives(const struct cr_remote_head *h)
{
	return h->flags & CR_REMOTE_FETCH || h->type == CR_REMOTE_GET;
}

static bool takes(const struct cr_remote_head *h)
{
	return h->type != CR_REMOTE_GET && h->op != CR_REMOTE_OP_NONE;
}

static int transfer_batch(const struct transfer *x, struct batch *b, char *data, uint64_t done)
{
	struct cr_remote_head h = x->head;
	const char *from = x->from ? x->from + done : NULL;
	char *into = x->into ? x->into + done : NULL;
	int rc;

	if (x->out && takes(&h)) {
		batch_copy(b, x->out, x->origin, data, false);
		from = data;
	}
	if (x->in && gives(&h))
		into = data;
	h.bytes = b->bytes;
	h.runs = b->n > 1 ? b->n : 0;
	h.at = b->n > 1 ? 0 : b->run[0].at;
	rc = request(x->peer, &h, b->run, from, takes(&h) ? b->bytes : 0, into, gives(&h) ? b->bytes : 0, NULL);
	if (rc == 0 && x->in && gives(&h))
		batch_copy(b, x->in, x->origin, data, true);
	return rc;
}

static int transfer(const struct transfer *x, const struct runs *r, size_t bytes)
{
	struct cr_remote_head h = x->head;
	struct batch *b;
	char *data = NULL;
	uint64_t done = 0;
	int rc = 0;

	if (!r->image && bytes <= x->most) { /* one request, nothing to be brought into order */
		h.at = r->only.at;
		h.bytes = bytes;
		return mpi_code(request(x->peer, &h, NULL, x->from, takes(&h) ? bytes : 0, x->into, gives(&h) ? bytes : 0, NULL));
	}
	b = crcp_alloc(sizeof(*b));
	if (b && r->image)
		data = crcp_alloc(bytes < x->most ? bytes : x->most);
	if (!b || (r->image && !data))
		rc = -ENOMEM;
	while (rc == 0 && batch_next(b, r, x->most)) {
		rc = transfer_batch(x, b, data, done);
		done += b->bytes;
	}
	crcp_free(data);
	crcp_free(b);
	return mpi_code(rc);
}

static uint64_t runs_bytes(const struct runs *r)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < r->n; i++)
		bytes += r->run[i].bytes;
	return bytes;
}

int crcp_win_far_put(const struct crcp_win_peer *p, uint64_t at, const struct crcp_win_data *t, const void *packed)
{
	struct transfer x = { .peer = p, .head.type = CR_REMOTE_PUT, .origin = at + (uint64_t)t->low, .most = CR_REMOTE_BYTES_MAX, .from = packed };
	struct runs r;
	int code = runs_init(&r, t, at, 0, 0);

	if (code != MPI_SUCCESS)
		return code;
	x.out = r.image;
	if (r.image)
		code = crcp_win_unpack(packed, r.image - t->low, t);
	if (code == MPI_SUCCESS)
		code = transfer(&x, &r, runs_bytes(&r));
	runs_fini(&r);
	return code;
}

int crcp_win_far_get(const struct crcp_win_peer *p, uint64_t at, const struct crcp_win_data *t, void *packed)
{
	struct transfer x = { .peer = p, .head = { .type = CR_REMOTE_GET, .flags = CR_REMOTE_REPLY }, .origin = at + (uint64_t)t->low,
			      .most = CR_REMOTE_BYTES_MAX, .into = packed };
	struct runs r;
	int code = runs_init(&r, t, at, 0, 0);

	if (code != MPI_SUCCESS)
		return code;
	x.in = r.image;
	code = transfer(&x, &r, runs_bytes(&r));
	if (code == MPI_SUCCESS && r.image)
		code = crcp_win_pack(r.image - t->low, t, packed);
	runs_fini(&r);
	return code;
}

/* ---- what elements and operations are called between ranks ---- */
static uint32_t op_of(MPI_Op op)
{
	static const struct {
		MPI_Op op;
		uint32_t name;
	} all[] = {
		{ MPI_NO_OP, CR_REMOTE_OP_NONE }, { MPI_REPLACE, CR_REMOTE_OP_REPLACE }, { MPI_MAX, CR_REMOTE_OP_MAX }, { MPI_MIN, CR_REMOTE_OP_MIN },
		{ MPI_SUM, CR_REMOTE_OP_SUM }, { MPI_PROD, CR_REMOTE_OP_PROD }, { MPI_LAND, CR_REMOTE_OP_LAND }, { MPI_LOR, CR_REMOTE_OP_LOR },
		{ MPI_LXOR, CR_REMOTE_OP_LXOR }, { MPI_BAND, CR_REMOTE_OP_BAND }, { MPI_BOR, CR_REMOTE_OP_BOR }, { MPI_BXOR, CR_REMOTE_OP_BXOR },
		{ MPI_MAXLOC, CR_REMOTE_OP_MAXLOC }, { MPI_MINLOC, CR_REMOTE_OP_MINLOC },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].op == op)
			return all[i].name;
	return 0;
}

enum family { SIGNED, UNSIGNED, REAL, COMPLEX };

/* By size: 1, 2, 4, 8, 16, 32 bytes. */
static const uint8_t by_size[][6] = {
	[SIGNED] = { CR_REMOTE_I8, CR_REMOTE_I16, CR_REMOTE_I32, CR_REMOTE_I64 },
	[UNSIGNED] = { CR_REMOTE_U8, CR_REMOTE_U16, CR_REMOTE_U32, CR_REMOTE_U64 },
	[REAL] = { 0, 0, CR_REMOTE_FLOAT, CR_REMOTE_DOUBLE, CR_REMOTE_LONG_DOUBLE },
	[COMPLEX] = { 0, 0, 0, CR_REMOTE_COMPLEX_FLOAT, CR_REMOTE_COMPLEX_DOUBLE, CR_REMOTE_COMPLEX_LONG_DOUBLE },
};

static const struct {
	MPI_Datatype type;
	uint32_t kind;
} pairs[] = {
	{ MPI_SHORT_INT, CR_REMOTE_SHORT_INT }, { MPI_2INT, CR_REMOTE_INT_INT }, { MPI_LONG_INT, CR_REMOTE_LONG_INT }, { MPI_FLOAT_INT, CR_REMOTE_FLOAT_INT },
	{ MPI_DOUBLE_INT, CR_REMOTE_DOUBLE_INT }, { MPI_LONG_DOUBLE_INT, CR_REMOTE_LONG_DOUBLE_INT }, { MPI_2INTEGER, CR_REMOTE_INT_INT },
	{ MPI_2REAL, CR_REMOTE_FLOAT_FLOAT }, { MPI_2DOUBLE_PRECISION, CR_REMOTE_DOUBLE_DOUBLE },
};

static const MPI_Datatype unsigneds[] = {
	MPI_UNSIGNED_CHAR, MPI_UNSIGNED_SHORT, MPI_UNSIGNED, MPI_UNSIGNED_LONG, MPI_UNSIGNED_LONG_LONG, MPI_UINT8_T, MPI_UINT16_T, MPI_UINT32_T, MPI_UINT64_T,
	MPI_BYTE, MPI_C_BOOL, MPI_CXX_BOOL,
};
static const MPI_Datatype reals[] = {
	MPI_FLOAT, MPI_DOUBLE, MPI_LONG_DOUBLE, MPI_REAL, MPI_REAL4, MPI_REAL8, MPI_REAL16, MPI_DOUBLE_PRECISION,
};
static const MPI_Datatype complexes[] = {
	MPI_C_COMPLEX, MPI_C_FLOAT_COMPLEX, MPI_C_DOUBLE_COMPLEX, MPI_C_LONG_DOUBLE_COMPLEX, MPI_CXX_FLOAT_COMPLEX, MPI_CXX_DOUBLE_COMPLEX,
	MPI_CXX_LONG_DOUBLE_COMPLEX, MPI_COMPLEX, MPI_DOUBLE_COMPLEX, MPI_COMPLEX8, MPI_COMPLEX16, MPI_COMPLEX32,
};

static bool is_among(MPI_Datatype type, const MPI_Datatype *list, size_t n)
{
	while (n > 0 && list[n - 1] != type)
		n--;
	return n > 0;
}
#define IS_AMONG(type, list) is_among((type), (list), sizeof(list) / sizeof((list)[0]))

/* Of a predefined datatype that the library has found good for a reduction: what is in no list is an integer or a logical. */
static uint32_t kind_of(MPI_Datatype leaf)
{
	MPI_Datatype real = (MPI_Datatype)crcp_real((void *)leaf);
	enum family f = IS_AMONG(leaf, reals) ? REAL : IS_AMONG(leaf, complexes) ? COMPLEX : IS_AMONG(leaf, unsigneds) ? UNSIGNED : SIGNED;
	int size = 0, log = 0;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (pairs[i].type == leaf)
			return pairs[i].kind;
	CR_LOWER(crcp_lower.MPI_Type_size(real, &size));
	while (log < 6 && 1 << log != size)
		log++;
	return log < 6 ? by_size[f][log] : 0;
}

static uint64_t lock_of(const struct crcp_win_peer *p)
{
	return p->head_at + offsetof(struct crcp_win_head, combine);
}

/* How the elements of @leaf lie in memory: bytes from one to the next, 0 when there are no gaps. */
static size_t element_of(MPI_Datatype leaf, size_t *ret_size)
{
	MPI_Datatype real = (MPI_Datatype)crcp_real((void *)leaf);
	MPI_Aint low = 0, extent = 0;
	int size = 0;

	CR_LOWER(crcp_lower.MPI_Type_get_extent(real, &low, &extent));
	CR_LOWER(crcp_lower.MPI_Type_size(real, &size));
	*ret_size = (size_t)size;
	return extent == size ? 0 : (size_t)extent;
}

int crcp_win_far_combine(const struct crcp_win_peer *p, uint64_t at, const struct crcp_win_data *t, const void *packed, void *old, MPI_Datatype leaf,
			 MPI_Op op)
{
	struct transfer x = { .peer = p, .head = { .type = CR_REMOTE_COMBINE, .lock = lock_of(p) }, .origin = at + (uint64_t)t->low, .most = COMBINE_BYTES,
			      .from = packed, .into = old };
	size_t element = 0, size = 0;
	struct runs r;
	int code;

	if (leaf)
		element = element_of(leaf, &size);
	x.head.flags = old ? CR_REMOTE_FETCH | CR_REMOTE_REPLY : 0;
	x.head.op = op_of(op);
	x.head.datatype = leaf ? kind_of(leaf) : CR_REMOTE_KIND_NONE;
	if (leaf && x.head.datatype == CR_REMOTE_KIND_NONE)
		return MPI_ERR_OP;
	code = runs_init(&r, t, at, element, size);
	if (code != MPI_SUCCESS)
		return code;
	x.in = x.out = r.image;
	if (r.image && packed)
		code = crcp_win_unpack(packed, r.image - t->low, t);
	if (code == MPI_SUCCESS)
		code = transfer(&x, &r, runs_bytes(&r));
	if (code == MPI_SUCCESS && r.image && old)
		code = crcp_win_pack(r.image - t->low, t, old);
	runs_fini(&r);
	return code;
}

int crcp_win_far_swap(const struct crcp_win_peer *p, uint64_t at, const void *compare, const void *origin, void *old, size_t bytes)
{
	struct cr_remote_head h = { .type = CR_REMOTE_SWAP, .flags = CR_REMOTE_REPLY, .at = at, .bytes = bytes, .lock = lock_of(p) };
	char data[2 * CR_REMOTE_SWAP_MAX];

	if (bytes > CR_REMOTE_SWAP_MAX)
		return MPI_ERR_TYPE;
	memcpy(data, compare, bytes);
	memcpy(data + bytes, origin, bytes);
	return mpi_code(request(p, &h, NULL, data, 2 * bytes, old, bytes, NULL));
}

/* ---- words ---- */
int crcp_win_far_add(const struct crcp_win_peer *p, size_t offset, uint64_t value, uint64_t *ret_sum)
{
	struct cr_remote_head h = { .type = CR_REMOTE_ADD, .flags = CR_REMOTE_REPLY, .at = p->head_at + offset, .value = { value } };

	return mpi_code(request(p, &h, NULL, NULL, 0, NULL, 0, ret_sum));
}

int crcp_win_far_post_add(const struct crcp_win_peer *p, size_t offset, uint64_t value)
{
	struct cr_remote_head h = { .type = CR_REMOTE_ADD, .at = p->head_at + offset, .value = { value } };
	int rank = p->world, rc = request(p, &h, NULL, NULL, 0, NULL, 0, NULL);

	return mpi_code(rc == 0 ? CR_LOWER(far.push(rank)) : rc);
}

int crcp_win_far_exchange(const struct crcp_win_peer *p, size_t offset, uint64_t old, uint64_t new, uint64_t *ret_seen)
{
	struct cr_remote_head h = { .type = CR_REMOTE_EXCHANGE, .flags = CR_REMOTE_REPLY, .at = p->head_at + offset, .value = { old, new } };

	return mpi_code(request(p, &h, NULL, NULL, 0, NULL, 0, ret_seen));
}
