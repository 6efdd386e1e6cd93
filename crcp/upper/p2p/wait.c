/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Completion of requests: Wait*, Test*, Request_get_status.
 */
#include "crcp/upper/p2p/p2p.h"

#define CRCP_SET_SMALL 32

/* The ACTIVE requests of an array, gathered for one call of the real MPI_Testsome. */
struct crcp_set {
	int n;
	struct crcp_request **records;
	MPI_Request *reals;
	MPI_Status *statuses;
	int *indices;
	void *memory;
	struct crcp_request *small_records[CRCP_SET_SMALL];
	MPI_Request small_reals[CRCP_SET_SMALL];
	MPI_Status small_statuses[CRCP_SET_SMALL];
	int small_indices[CRCP_SET_SMALL];
};

static bool crcp_set_init(struct crcp_set *s, int n)
{
	char *m;

	s->n = 0;
	s->memory = NULL;
	s->records = s->small_records;
	s->reals = s->small_reals;
	s->statuses = s->small_statuses;
	s->indices = s->small_indices;
	if (n <= CRCP_SET_SMALL)
		return true;
	m = s->memory = crcp_alloc((size_t)n * (sizeof(*s->records) + sizeof(*s->reals) + sizeof(*s->statuses) + sizeof(*s->indices)));
	if (!m)
		return false;
	s->statuses = (MPI_Status *)m;
	m += (size_t)n * sizeof(*s->statuses);
	s->records = (struct crcp_request **)m;
	m += (size_t)n * sizeof(*s->records);
	s->reals = (MPI_Request *)m;
	m += (size_t)n * sizeof(*s->reals);
	s->indices = (int *)m;
	return true;
}

static void crcp_set_fini(struct crcp_set *s)
{
	if (s->memory)
		crcp_free(s->memory);
}

/* Gather the ACTIVE ones. Returns the index of the first COMPLETE one, or -1. */
static int crcp_set_gather(struct crcp_set *s, MPI_Request *requests, int n)
{
	int first = -1, i;

	s->n = 0;
	for (i = 0; i < n; i++) {
		struct crcp_request *r = crcp_request(requests[i]);

		if (r->state == CRCP_ACTIVE) {
			s->records[s->n] = r;
			s->reals[s->n++] = (MPI_Request)r->h.real;
		} else if (r->state == CRCP_COMPLETE && first < 0) {
			first = i;
		}
	}
	return first;
}

/* One or (@wait) many looks at the gathered requests; books what has completed and returns how many that were. */
static int crcp_set_turns(struct crcp_set *s, bool wait)
{
	struct cr_thread *t = cr_crossing_thread();
	unsigned int left = CRCP_TURNS;
	int out = 0, rc, i;

	cr_cross_enter(t);
	do {
		rc = crcp_lower.MPI_Testsome(s->n, s->reals, &out, s->indices, s->statuses);
		if (rc != MPI_SUCCESS || out != 0)
			break;
		if (__builtin_expect(crcp.board.order != CR_ORDER_RUN, 0) && (crcp.board.order >= CR_ORDER_STOP || --left == 0))
			break;
	} while (wait);
	cr_cross_leave(t);
	if (out == MPI_UNDEFINED)
		out = 0;
	for (i = 0; i < out; i++) {
		struct crcp_request *r = s->records[s->indices[i]];

		r->h.real = s->reals[s->indices[i]];
		r->status = s->statuses[i];
		r->code = rc == MPI_SUCCESS ? MPI_SUCCESS : s->statuses[i].MPI_ERROR;
		r->state = CRCP_LANDED;
		crcp_request_finish(r);
	}
	return out;
}

/* Look (@wait: until something is there) for COMPLETE requests. Returns the index of the first, MPI_UNDEFINED when none is active or
 * complete, -1 when there is nothing yet. */
static int crcp_wait_some(MPI_Request *requests, int n, bool wait)
{
	struct crcp_wait w = { 0 };
	struct crcp_set s;
	int first;

	if (!crcp_set_init(&s, n))
		return -2;
	for (;;) {
		first = crcp_set_gather(&s, requests, n);
		if (s.n > 0 && crcp_set_turns(&s, wait && first < 0) > 0)
			first = crcp_set_gather(&s, requests, n);
		if (first >= 0 || !wait)
			break;
		if (s.n == 0)
			break;
		crcp_wait_pause(&w, s.records, s.n);
	}
	crcp_wait_done(&w);
	if (first < 0 && s.n == 0)
		first = MPI_UNDEFINED;
	crcp_set_fini(&s);
	return first;
}

/* Bad arguments of the functions over arrays, as the real library judges them. */
static int crcp_check_array(int count, MPI_Request *requests, const char *name)
{
	int i;

	if (count < 0)
		return crcp_error(NULL, MPI_ERR_ARG, name);
	if (count > 0 && !requests)
		return crcp_error(NULL, MPI_ERR_REQUEST, name);
	for (i = 0; i < count; i++)
		if (__builtin_expect(!requests[i], 0))
			return crcp_error(NULL, MPI_ERR_REQUEST, name);
	return MPI_SUCCESS;
}

/* The error of a completed request that is about to be given to the program. */
struct crcp_failure {
	int code;
	bool raise;
	struct crcp_comm *comm;
};

static void crcp_failure_note(struct crcp_failure *f, const struct crcp_request *r)
{
	if (__builtin_expect(r->code == MPI_SUCCESS, 1) || f->code != MPI_SUCCESS)
		return;
	f->code = r->code;
	f->raise = (r->flags & CRCP_R_FROM_LOG) != 0;
	f->comm = r->comm;
}

static int crcp_failure_report(const struct crcp_failure *f, const char *name, bool in_status)
{
	if (__builtin_expect(f->code == MPI_SUCCESS, 1))
		return MPI_SUCCESS;
	crcp_request_error(f->comm, f->code, f->raise, name);
	return in_status ? MPI_ERR_IN_STATUS : f->code;
}

/* Give request i of an array to the program. */
static void crcp_deliver_one(MPI_Request *request, MPI_Status *status, struct crcp_failure *f)
{
	struct crcp_request *r = crcp_request(*request);

	if (r->state == CRCP_COMPLETE) {
		if (status != MPI_STATUS_IGNORE)
			status->MPI_ERROR = r->code;
		crcp_failure_note(f, r);
		crcp_request_deliver(request, status);
	} else if (status != MPI_STATUS_IGNORE) {
		crcp_status_empty(status);
		status->MPI_ERROR = MPI_SUCCESS;
	}
}

static void crcp_deliver_all(int count, MPI_Request requests[], MPI_Status statuses[], struct crcp_failure *f)
{
	int i;

	for (i = 0; i < count; i++)
		crcp_deliver_one(&requests[i], statuses == MPI_STATUSES_IGNORE ? MPI_STATUS_IGNORE : &statuses[i], f);
}

CRCP_API(int, MPI_Wait, (MPI_Request *request, MPI_Status *status))
{
	struct crcp_failure f = { 0 };
	struct crcp_request *r;

	if (__builtin_expect(!request || !*request, 0))
		return crcp_error(NULL, MPI_ERR_REQUEST, "MPI_Wait");
	crcp_call_begin();
	r = crcp_request(*request);
	if (r->state == CRCP_ACTIVE)
		crcp_wait_requests(&r, 1);
	if (r->state == CRCP_COMPLETE) {
		crcp_failure_note(&f, r);
		crcp_request_deliver(request, status);
	} else {
		crcp_status_empty(status);
	}
	crcp_call_end();
	return crcp_failure_report(&f, "MPI_Wait", false);
}

CRCP_API(int, MPI_Test, (MPI_Request *request, int *flag, MPI_Status *status))
{
	struct crcp_failure f = { 0 };
	struct crcp_request *r;

	if (__builtin_expect(!request || !*request, 0))
		return crcp_error(NULL, MPI_ERR_REQUEST, "MPI_Test");
	crcp_call_begin();
	r = crcp_request(*request);
	if (r->state == CRCP_ACTIVE)
		crcp_test_request(r);
	if (r->state == CRCP_COMPLETE) {
		crcp_failure_note(&f, r);
		crcp_request_deliver(request, status);
		*flag = 1;
	} else if (r->state == CRCP_INACTIVE) {
		crcp_status_empty(status);
		*flag = 1;
	} else {
		*flag = 0;
	}
	crcp_poll_result(*flag);
	crcp_call_end();
	return crcp_failure_report(&f, "MPI_Test", false);
}

CRCP_API(int, MPI_Waitall, (int count, MPI_Request requests[], MPI_Status statuses[]))
{
	struct crcp_failure f = { 0 };
	int rc = crcp_check_array(count, requests, "MPI_Waitall");

	if (rc != MPI_SUCCESS)
		return rc;
	crcp_call_begin();
	crcp_wait_requests((struct crcp_request **)(void *)requests, count);
	crcp_deliver_all(count, requests, statuses, &f);
	crcp_call_end();
	return crcp_failure_report(&f, "MPI_Waitall", true);
}

CRCP_API(int, MPI_Testall, (int count, MPI_Request requests[], int *flag, MPI_Status statuses[]))
{
	struct crcp_failure f = { 0 };
	int rc = crcp_check_array(count, requests, "MPI_Testall");

	if (rc != MPI_SUCCESS)
		return rc;
	crcp_call_begin();
	*flag = crcp_test_requests((struct crcp_request **)(void *)requests, count);
	if (*flag)
		crcp_deliver_all(count, requests, statuses, &f);
	crcp_poll_result(*flag);
	crcp_call_end();
	return crcp_failure_report(&f, "MPI_Testall", true);
}

static int crcp_any(int count, MPI_Request requests[], bool wait, int *ret_index, MPI_Status *status, struct crcp_failure *f)
{
	int index = crcp_wait_some(requests, count, wait);

	*ret_index = MPI_UNDEFINED;
	if (index == -2)
		return MPI_ERR_NO_MEM;
	if (index == MPI_UNDEFINED) {
		crcp_status_empty(status);
	} else if (index >= 0) {
		struct crcp_request *r = crcp_request(requests[index]);

		crcp_failure_note(f, r);
		crcp_request_deliver(&requests[index], status);
		*ret_index = index;
	} else {
		return -1;
	}
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Waitany, (int count, MPI_Request requests[], int *index, MPI_Status *status))
{
	struct crcp_failure f = { 0 };
	int rc = crcp_check_array(count, requests, "MPI_Waitany");

	if (rc != MPI_SUCCESS)
		return rc;
	crcp_call_begin();
	rc = crcp_any(count, requests, true, index, status, &f);
	crcp_call_end();
	return rc == MPI_SUCCESS ? crcp_failure_report(&f, "MPI_Waitany", false) : crcp_error(NULL, rc, "MPI_Waitany");
}

CRCP_API(int, MPI_Testany, (int count, MPI_Request requests[], int *index, int *flag, MPI_Status *status))
{
	struct crcp_failure f = { 0 };
	int rc = crcp_check_array(count, requests, "MPI_Testany");

	if (rc != MPI_SUCCESS)
		return rc;
	crcp_call_begin();
	rc = crcp_any(count, requests, false, index, status, &f);
	*flag = rc == MPI_SUCCESS;
	crcp_poll_result(*flag);
	crcp_call_end();
	if (rc > MPI_SUCCESS)
		return crcp_error(NULL, rc, "MPI_Testany");
	return crcp_failure_report(&f, "MPI_Testany", false);
}

static int crcp_some(int count, MPI_Request requests[], bool wait, int *outcount, int indices[], MPI_Status statuses[], struct crcp_failure *f)
{
	int first = crcp_wait_some(requests, count, wait), out = 0, i;

	*outcount = 0;
	if (first == -2)
		return MPI_ERR_NO_MEM;
	if (first == MPI_UNDEFINED) {
		*outcount = MPI_UNDEFINED;
		return MPI_SUCCESS;
	}
	for (i = first < 0 ? count : first; i < count; i++) {
		if (crcp_request(requests[i])->state != CRCP_COMPLETE)
			continue;
		indices[out] = i;
		crcp_deliver_one(&requests[i], statuses == MPI_STATUSES_IGNORE ? MPI_STATUS_IGNORE : &statuses[out], f);
		out++;
	}
	*outcount = out;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Waitsome, (int count, MPI_Request requests[], int *outcount, int indices[], MPI_Status statuses[]))
{
	struct crcp_failure f = { 0 };
	int rc = crcp_check_array(count, requests, "MPI_Waitsome");

	if (rc != MPI_SUCCESS)
		return rc;
	crcp_call_begin();
	rc = crcp_some(count, requests, true, outcount, indices, statuses, &f);
	crcp_call_end();
	return rc == MPI_SUCCESS ? crcp_failure_report(&f, "MPI_Waitsome", true) : crcp_error(NULL, rc, "MPI_Waitsome");
}

CRCP_API(int, MPI_Testsome, (int count, MPI_Request requests[], int *outcount, int indices[], MPI_Status statuses[]))
{
	struct crcp_failure f = { 0 };
	int rc = crcp_check_array(count, requests, "MPI_Testsome");

	if (rc != MPI_SUCCESS)
		return rc;
	crcp_call_begin();
	rc = crcp_some(count, requests, false, outcount, indices, statuses, &f);
	crcp_poll_result(*outcount != 0);
	crcp_call_end();
	return rc == MPI_SUCCESS ? crcp_failure_report(&f, "MPI_Testsome", true) : crcp_error(NULL, rc, "MPI_Testsome");
}

static int crcp_status_below(const struct crcp_request *r, int *flag, MPI_Status *status)
{
	MPI_Request real = (MPI_Request)r->h.real;

	return CR_LOWER(crcp_lower.MPI_Request_get_status(real, flag, status));
}

CRCP_API(int, MPI_Request_get_status, (MPI_Request request, int *flag, MPI_Status *status))
{
	struct crcp_request *r = crcp_request(request);
	int rc = MPI_SUCCESS;

	if (!r || !flag)
		return crcp_error(NULL, r ? MPI_ERR_ARG : MPI_ERR_REQUEST, "MPI_Request_get_status");
	crcp_call_begin();
	if (r->state == CRCP_ACTIVE && r->op == CRCP_OP_WRAP && r->wrap_kind == 'g') {
		/* not by a test: that would end the program's request */
		rc = crcp_status_below(r, flag, status);
	} else if (r->state == CRCP_ACTIVE) {
		crcp_test_request(r);
		*flag = r->state != CRCP_ACTIVE;
	} else {
		*flag = 1;
	}
	if (r->state == CRCP_COMPLETE)
		crcp_status_copy(status, &r->status);
	else if (r->state == CRCP_INACTIVE)
		crcp_status_empty(status);
	crcp_poll_result(*flag);
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(NULL, rc, false, "MPI_Request_get_status");
}
