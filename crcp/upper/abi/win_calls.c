/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one-sided operations on the layer's own windows: arguments judged in the real library's order, then a copy.
 *
 * What combines data holds the target's lock word, so that operations on the same memory exclude each other whoever issues them.
 */
#include "crcp/upper/abi/win.h"
#include "crcp/upper/p2p/p2p.h"

#include <string.h>

static int fail(MPI_Win win, int code, const char *function)
{
	return code == MPI_SUCCESS ? code : crcp_win_error(crcp_win(win), code, function);
}

/* A datatype that may describe data: MPI error code. */
static int judge_type(MPI_Datatype type)
{
	const struct crcp_datatype *d = crcp_datatype(type);

	if (!crcp_is_live(type) || !((d->head.h.flags & CRCP_H_PREDEFINED) || d->committed))
		return MPI_ERR_TYPE;
	return MPI_SUCCESS;
}

static int judge(const struct crcp_win_own *o, int origin_count, int target, MPI_Aint disp, int target_count, MPI_Datatype target_type)
{
	if (origin_count < 0 || target_count < 0)
		return MPI_ERR_COUNT;
	if ((target < 0 || target >= o->size) && target != MPI_PROC_NULL)
		return MPI_ERR_RANK;
	if (o->flavor != MPI_WIN_FLAVOR_DYNAMIC && disp < 0 && target != MPI_PROC_NULL)
		return MPI_ERR_DISP;
	return judge_type(target_type);
}

static int judge_op(MPI_Op op, bool fetch)
{
	if (!crcp_is_live(op) || !(((struct crcp_handle *)(void *)op)->flags & CRCP_H_PREDEFINED))
		return MPI_ERR_OP;
	return op == MPI_NO_OP && !fetch ? MPI_ERR_OP : MPI_SUCCESS;
}

/* Where @t at @disp of @target is. MPI error code. */
static int locate(const struct crcp_win_own *o, int target, MPI_Aint disp, const struct crcp_win_data *t, struct crcp_win_place *ret)
{
	const struct crcp_win_peer *peer = &o->peers[target];
	MPI_Aint at;

	if (!crcp_win_may_access(o, target))
		return MPI_ERR_RMA_SYNC;
	if (o->flavor == MPI_WIN_FLAVOR_DYNAMIC) {
		*ret = (struct crcp_win_place){ .here = target == o->rank ? (char *)disp : NULL, .at = (uint64_t)disp, .peer = peer };
		return MPI_SUCCESS;
	}
	at = disp * peer->disp_unit;
	if (t->bytes && (at + t->low < 0 || (uint64_t)(at + t->low + t->span) > peer->bytes))
		return MPI_ERR_RMA_RANGE;
	*ret = (struct crcp_win_place){ .here = peer->here ? peer->here + at : NULL, .at = peer->base + (uint64_t)at, .peer = peer };
	return MPI_SUCCESS;
}

/* ---- the operations; MPI error code ---- */
static int put(const struct crcp_win_own *o, const void *origin, int n, MPI_Datatype type, int target, MPI_Aint disp, int target_n, MPI_Datatype target_type)
{
	struct crcp_win_data from = crcp_win_describe(n, type), to = crcp_win_describe(target_n, target_type);
	struct crcp_win_place place;
	int r = locate(o, target, disp, &to, &place);

	return r == MPI_SUCCESS ? crcp_win_put(&place, &to, origin, &from) : r;
}

static int get(const struct crcp_win_own *o, void *origin, int n, MPI_Datatype type, int target, MPI_Aint disp, int target_n, MPI_Datatype target_type)
{
	struct crcp_win_data to = crcp_win_describe(n, type), from = crcp_win_describe(target_n, target_type);
	struct crcp_win_place place;
	int r = locate(o, target, disp, &from, &place);

	return r == MPI_SUCCESS ? crcp_win_get(&place, &from, origin, &to) : r;
}

/* @result NULL: nothing is fetched. */
static int combine(const struct crcp_win_own *o, const void *origin, int n, MPI_Datatype type, void *result, int result_n, MPI_Datatype result_type,
		   int target, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Op op)
{
	struct crcp_win_head *head = o->peers[target].head;
	struct crcp_win_data to = crcp_win_describe(target_n, target_type), data, fetched;
	struct crcp_win_place place;
	int r = locate(o, target, disp, &to, &place);

	if (r != MPI_SUCCESS)
		return r;
	if (crcp_win_is_far(&place)) {
		data = op == MPI_NO_OP ? to : crcp_win_describe(n, type);
		if (result)
			fetched = crcp_win_describe(result_n, result_type);
		return crcp_win_combine_far(&place, &to, origin, &data, result, result ? &fetched : NULL, op);
	}
	crcp_win_combine_begin(head);
	if (result) {
		data = crcp_win_describe(result_n, result_type);
		r = crcp_win_get(&place, &to, result, &data);
	}
	if (r == MPI_SUCCESS && op != MPI_NO_OP) {
		data = crcp_win_describe(n, type);
		r = crcp_win_combine(&place, &to, origin, &data, op);
	}
	crcp_win_combine_end(head);
	return r;
}

static int compare_and_swap(const struct crcp_win_own *o, const void *origin, const void *compare, void *result, MPI_Datatype type, int target, MPI_Aint disp)
{
	struct crcp_win_head *head = o->peers[target].head;
	struct crcp_win_data data = crcp_win_describe(1, type);
	struct crcp_win_place place;
	int r = locate(o, target, disp, &data, &place);

	if (r != MPI_SUCCESS)
		return r;
	if (crcp_win_is_far(&place))
		return crcp_win_far_swap(place.peer, place.at, compare, origin, result, data.bytes);
	crcp_win_combine_begin(head);
	r = crcp_win_get(&place, &data, result, &data);
	if (r == MPI_SUCCESS && memcmp(result, compare, data.bytes) == 0)
		r = crcp_win_put(&place, &data, origin, &data);
	crcp_win_combine_end(head);
	return r;
}

/* The request of an operation that is complete. Inside a call. */
static MPI_Request complete_request(void)
{
	struct crcp_request *r = crcp_request_get(CRCP_OP_WRAP, NULL, NULL, 0, NULL, 0, 0);

	r->wrap_kind = 'w';
	r->hook = NULL;
	crcp_status_empty(&r->status);
	r->state = CRCP_COMPLETE;
	return crcp_request_handle(r);
}

/* The end of every operation: a request (@request NULL: none), or the error. */
#define OPERATE(call)                                     \
	do {                                              \
		crcp_call_begin();                        \
		if (target_rank != MPI_PROC_NULL)         \
			r = (call);                       \
		crcp_poll_none();                         \
		crcp_call_end();                          \
	} while (0)

static int end(MPI_Win win, int r, MPI_Request *request, const char *function)
{
	if (r == MPI_SUCCESS && request) {
		crcp_call_begin();
		*request = complete_request();
		crcp_call_end();
	}
	return fail(win, r, function);
}

static int put_call(const void *origin, int n, MPI_Datatype type, int target_rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Win win,
		    MPI_Request *request, const char *function)
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r = judge(o, n, target_rank, disp, target_n, target_type);

	if (r == MPI_SUCCESS)
		r = judge_type(type);
	if (r == MPI_SUCCESS)
		OPERATE(put(o, origin, n, type, target_rank, disp, target_n, target_type));
	return end(win, r, request, function);
}

static int get_call(void *origin, int n, MPI_Datatype type, int target_rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Win win,
		    MPI_Request *request, const char *function)
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r = judge(o, n, target_rank, disp, target_n, target_type);

	if (r == MPI_SUCCESS)
		r = judge_type(type);
	if (r == MPI_SUCCESS)
		OPERATE(get(o, origin, n, type, target_rank, disp, target_n, target_type));
	return end(win, r, request, function);
}

static int accumulate_call(const void *origin, int n, MPI_Datatype type, int target_rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Op op,
			   MPI_Win win, MPI_Request *request, const char *function)
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r = judge(o, n, target_rank, disp, target_n, target_type);

	if (r == MPI_SUCCESS)
		r = judge_op(op, false);
	if (r == MPI_SUCCESS)
		r = judge_type(type);
	if (r == MPI_SUCCESS)
		OPERATE(combine(o, origin, n, type, NULL, 0, NULL, target_rank, disp, target_n, target_type, op));
	return end(win, r, request, function);
}

static int get_accumulate_call(const void *origin, int n, MPI_Datatype type, void *result, int result_n, MPI_Datatype result_type, int target_rank,
			       MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Op op, MPI_Win win, MPI_Request *request, const char *function)
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r = judge(o, op == MPI_NO_OP ? 0 : n, target_rank, disp, target_n, target_type);
	char nowhere;

	if (r == MPI_SUCCESS)
		r = judge_op(op, true);
	if (r == MPI_SUCCESS && op != MPI_NO_OP)
		r = judge_type(type);
	if (r == MPI_SUCCESS)
		r = result_n < 0 ? MPI_ERR_COUNT : judge_type(result_type);
	if (r == MPI_SUCCESS)
		OPERATE(combine(o, origin, n, type, result ? result : &nowhere, result_n, result_type, target_rank, disp, target_n, target_type, op));
	return end(win, r, request, function);
}

/* ---- the calls ---- */
CRCP_API(int, MPI_Put, (const void *origin, int n, MPI_Datatype type, int rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Win win))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Put(origin, n, type, rank, disp, target_n, target_type, win);
	return put_call(origin, n, type, rank, disp, target_n, target_type, win, NULL, "MPI_Put");
}

CRCP_API(int, MPI_Rput, (const void *origin, int n, MPI_Datatype type, int rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Win win,
			 MPI_Request *request))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Rput(origin, n, type, rank, disp, target_n, target_type, win, request);
	return put_call(origin, n, type, rank, disp, target_n, target_type, win, request, "MPI_Rput");
}

CRCP_API(int, MPI_Get, (void *origin, int n, MPI_Datatype type, int rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Win win))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Get(origin, n, type, rank, disp, target_n, target_type, win);
	return get_call(origin, n, type, rank, disp, target_n, target_type, win, NULL, "MPI_Get");
}

CRCP_API(int, MPI_Rget, (void *origin, int n, MPI_Datatype type, int rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Win win,
			 MPI_Request *request))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Rget(origin, n, type, rank, disp, target_n, target_type, win, request);
	return get_call(origin, n, type, rank, disp, target_n, target_type, win, request, "MPI_Rget");
}

CRCP_API(int, MPI_Accumulate, (const void *origin, int n, MPI_Datatype type, int rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Op op,
			       MPI_Win win))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Accumulate(origin, n, type, rank, disp, target_n, target_type, op, win);
	return accumulate_call(origin, n, type, rank, disp, target_n, target_type, op, win, NULL, "MPI_Accumulate");
}

CRCP_API(int, MPI_Raccumulate, (const void *origin, int n, MPI_Datatype type, int rank, MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Op op,
				MPI_Win win, MPI_Request *request))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Raccumulate(origin, n, type, rank, disp, target_n, target_type, op, win, request);
	return accumulate_call(origin, n, type, rank, disp, target_n, target_type, op, win, request, "MPI_Raccumulate");
}

CRCP_API(int, MPI_Get_accumulate, (const void *origin, int n, MPI_Datatype type, void *result, int result_n, MPI_Datatype result_type, int rank,
				   MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Op op, MPI_Win win))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Get_accumulate(origin, n, type, result, result_n, result_type, rank, disp, target_n, target_type, op, win);
	return get_accumulate_call(origin, n, type, result, result_n, result_type, rank, disp, target_n, target_type, op, win, NULL, "MPI_Get_accumulate");
}

CRCP_API(int, MPI_Rget_accumulate, (const void *origin, int n, MPI_Datatype type, void *result, int result_n, MPI_Datatype result_type, int rank,
				    MPI_Aint disp, int target_n, MPI_Datatype target_type, MPI_Op op, MPI_Win win, MPI_Request *request))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Rget_accumulate(origin, n, type, result, result_n, result_type, rank, disp, target_n, target_type, op, win, request);
	return get_accumulate_call(origin, n, type, result, result_n, result_type, rank, disp, target_n, target_type, op, win, request,
				   "MPI_Rget_accumulate");
}

CRCP_API(int, MPI_Fetch_and_op, (const void *origin, void *result, MPI_Datatype type, int rank, MPI_Aint disp, MPI_Op op, MPI_Win win))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Fetch_and_op(origin, result, type, rank, disp, op, win);
	return get_accumulate_call(origin, 1, type, result, 1, type, rank, disp, 1, type, op, win, NULL, "MPI_Fetch_and_op");
}

CRCP_API(int, MPI_Compare_and_swap, (const void *origin, const void *compare, void *result, MPI_Datatype type, int target_rank, MPI_Aint disp, MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Compare_and_swap(origin, compare, result, type, target_rank, disp, win);
	r = judge(o, 1, target_rank, disp, 1, type);
	if (r == MPI_SUCCESS)
		OPERATE(compare_and_swap(o, origin, compare, result, type, target_rank, disp));
	return end(win, r, NULL, "MPI_Compare_and_swap");
}
