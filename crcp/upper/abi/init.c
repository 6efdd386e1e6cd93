/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MPI_Init to MPI_Finalize, and the same again below after a restart.
 */
#include "crcp/upper/abi/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "crcp/upper/p2p/os.h"

extern int32_t ompi_mpi_state; /* fortran.c */
enum { STATE_INIT_DONE = 2, STATE_FINALIZE_STARTED = 3, STATE_FINALIZED = 5 };

/* ---- time ---- */
static struct {
	double base;           /* what MPI_Wtime says at @begin_ns */
	uint64_t begin_ns;
	volatile double last;  /* the latest that was told or noted */
	uint64_t epoch;        /* in which @begin_ns was taken: the clock of another machine may stand anywhere */
} wtime;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static double wtime_now(void)
{
	return wtime.base + (double)(int64_t)(now_ns() - wtime.begin_ns) * 1e-9;
}

/* Begin where the real library's clock stands, so that programs that compare with it see no difference; never go back. */
static void wtime_begin(void)
{
	double below = CR_LOWER(crcp_lower.MPI_Wtime());

	wtime.base = below > wtime.last ? below : wtime.last;
	wtime.begin_ns = now_ns();
	__atomic_store_n(&wtime.epoch, CR_GATE->epoch, __ATOMIC_RELEASE);
}

/* None has begun yet, or the clock is that of another machine. */
static void wtime_renew(void)
{
	if (!wtime.begin_ns || crcp_tls.depth > 0) {
		crcp_call_begin();
		wtime_begin();
		crcp_call_end();
	} else if (crcp_is_up()) {
		crcp_os_yield(); /* the thread that makes the library again begins it anew at its end */
	} else {
		wtime.base = wtime.last;
		wtime.begin_ns = now_ns();
		__atomic_store_n(&wtime.epoch, CR_GATE->epoch, __ATOMIC_RELEASE);
	}
}

void crcp_wtime_note(void)
{
	if (wtime.begin_ns)
		wtime.last = wtime_now();
}

CRCP_API(double, MPI_Wtime, (void))
{
	double t = 0;
	uint64_t epoch;

	do {
		while ((epoch = __atomic_load_n(&wtime.epoch, __ATOMIC_ACQUIRE)) != CR_GATE->epoch)
			wtime_renew();
		t = wtime_now();
	} while (epoch != __atomic_load_n(&wtime.epoch, __ATOMIC_ACQUIRE) || epoch != CR_GATE->epoch); /* restarted meanwhile */
	if (t > wtime.last)
		wtime.last = t;
	return t;
}

CRCP_API(double, MPI_Wtick, (void))
{
	return 1e-9;
}

/* ---- init ---- */
/* Where the ranks meet at the end, with nobody else's messages; NULL: a rank alone. */
static MPI_Comm meeting;

static int make_private(void)
{
	MPI_Comm world = (MPI_Comm)crcp_real(MPI_COMM_WORLD), dup = NULL;
	MPI_Errhandler give_back = (MPI_Errhandler)crcp_real(MPI_ERRORS_RETURN);

	if (CR_LOWER(crcp_lower.MPI_Comm_dup(world, &dup)) != MPI_SUCCESS)
		return -EIO;
	CR_LOWER(crcp_lower.MPI_Comm_set_errhandler(dup, give_back));
	crcp.real_private_comm = dup;
	return 0;
}

/* The real MPI_Init has returned: everything of ours that needs it. */
static void init_records(void)
{
	MPI_Comm world = (MPI_Comm)crcp_real(MPI_COMM_WORLD), self = (MPI_Comm)crcp_real(MPI_COMM_SELF);
	int rank = 0;

	if (make_private() < 0)
		abort();
	CR_LOWER(crcp_lower.MPI_Comm_rank(world, &rank));
	crcp_predefined_init();
	crcp_comm_world_init(crcp_comm(MPI_COMM_WORLD), world, CRCP_CLOCK_WORLD, "MPI_COMM_WORLD");
	crcp_comm_world_init(crcp_comm(MPI_COMM_SELF), self, CRCP_CLOCK_WORLD + 1 + (uint64_t)rank, "MPI_COMM_SELF");
	crcp_groups_init_predefined();
	crcp_attr_init_predefined();
	crcp_comm_parent_init();
}

static int init(int *argc, char ***argv, int required, int *provided, const char *function)
{
	int granted = 0, r;

	crcp_lower_need(); /* says so when there is no lower half */
	crcp_nocr_add(CRCP_NOCR_TRANSIT, "MPI_Init has not returned yet: try again");
	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_Init_thread(argc, argv, required, &granted));
	if (r == MPI_SUCCESS) {
		crcp.required_level = required;
		crcp.thread_level = granted;
		init_records();
		ompi_mpi_state = STATE_INIT_DONE;
		crcp_p2p_init();
		crcp.initialized = 1;
	}
	crcp_call_end();
	if (r == MPI_SUCCESS && crcp_comm(MPI_COMM_WORLD)->size > 1) {
		r = PMPI_Comm_dup(MPI_COMM_WORLD, &meeting);
		if (r == MPI_SUCCESS)
			r = PMPI_Comm_set_errhandler(meeting, MPI_ERRORS_RETURN);
	}
	crcp_nocr_drop(CRCP_NOCR_TRANSIT);
	if (r != MPI_SUCCESS)
		return crcp_error(NULL, r, function);
	if (provided)
		*provided = granted;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Init, (int *argc, char ***argv))
{
	const char *level = getenv("OMPI_MPI_THREAD_LEVEL");

	return init(argc, argv, level ? atoi(level) : MPI_THREAD_SINGLE, NULL, "MPI_Init");
}

CRCP_API(int, MPI_Init_thread, (int *argc, char ***argv, int required, int *provided))
{
	return init(argc, argv, required, provided, "MPI_Init_thread");
}

static int reinit(void)
{
	char err[256];
	int granted = 0, level = crcp.required_level, r;

	r = crcp_lower_load(err, sizeof(err));
	if (r < 0)
		return r;
	crcp_tools_reinit();
	if (CR_LOWER(crcp_lower.MPI_Init_thread(NULL, NULL, level, &granted)) != MPI_SUCCESS)
		return -EIO;
	if (granted < crcp.thread_level)
		return -ENOTSUP; /* the program was told it has more */
	r = make_private();
	if (r == 0)
		r = crcp_rebuild_objects();
	if (r == 0)
		r = crcp_p2p_rebuild();
	if (r == 0)
		r = crcp_pcolls_rebuild();
	if (r == 0)
		r = crcp_tools_rebuild();
	if (r == 0)
		crcp_attr_init_predefined(); /* the new job may be of another size */
	if (wtime.begin_ns)
		wtime_begin();
	return r;
}

int crcp_reinit(void)
{
	int r;

	crcp.restarting = 1;
	crcp_nocr_add(CRCP_NOCR_TRANSIT, "the restarted program's MPI library is not up yet: try again");
	r = reinit();
	crcp_nocr_drop(CRCP_NOCR_TRANSIT);
	crcp.restarting = 0;
	return r;
}

/* ---- finalize ---- */
/*
 * Returns when every rank has entered MPI_Finalize. The real one waits for that too, but nothing can be saved meanwhile: a rank that waits for messages can.
 * Each round doubles the number of ranks that it has heard of.
 */
static void meet(void)
{
	int size, rank;

	if (!meeting)
		return;
	size = crcp_comm(meeting)->size;
	rank = crcp_comm(meeting)->rank;
	for (int far = 1; far < size; far *= 2)
		(void)PMPI_Sendrecv(NULL, 0, MPI_BYTE, (rank + far) % size, 0, NULL, 0, MPI_BYTE, (rank + size - far) % size, 0, meeting, MPI_STATUS_IGNORE);
	(void)PMPI_Comm_free(&meeting);
}

CRCP_API(int, MPI_Finalize, (void))
{
	MPI_Comm private = NULL;
	int r;

	if (crcp_is_up()) {
		/* MPI 3.1, 8.7.1: as if MPI_COMM_SELF were freed first, while MPI still works */
		crcp_attrs_delete_all(MPI_COMM_SELF);
		crcp_attrs_delete_all(MPI_COMM_WORLD);
		meet();
		/* Counted like a collective, so that a cut has all ranks before it or all in it. */
		crcp_call_begin();
		crcp_collective_enter(crcp_comm(MPI_COMM_WORLD));
		crcp_nocr_add(CRCP_NOCR_TRANSIT, "MPI_Finalize was entered and has not returned");
		crcp_call_end();
	}
	crcp_call_begin();
	if (crcp_is_up()) {
		crcp_p2p_finalize();
		ompi_mpi_state = STATE_FINALIZE_STARTED;
		private = (MPI_Comm)crcp.real_private_comm;
		CR_LOWER(crcp_lower.MPI_Comm_free(&private));
		crcp.finalized = 1;
	}
	r = CR_LOWER(crcp_lower.MPI_Finalize());
	ompi_mpi_state = STATE_FINALIZED;
	crcp_call_end();
	if (r == MPI_SUCCESS)
		crcp_nocr_drop(CRCP_NOCR_TRANSIT);
	return r;
}

/* Not the library's answer: after a restart that is about the thread that led the stop. */
CRCP_API(int, MPI_Is_thread_main, (int *flag))
{
	int r;

	if (crcp_is_up()) {
		if (!flag)
			return crcp_error(NULL, MPI_ERR_ARG, "MPI_Is_thread_main");
		*flag = crcp_stop_is_main();
		return MPI_SUCCESS;
	}
	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_Is_thread_main(flag));
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_Initialized, (int *flag))
{
	*flag = crcp.initialized;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Finalized, (int *flag))
{
	*flag = crcp.finalized;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Get_version, (int *version, int *subversion))
{
	*version = MPI_VERSION;
	*subversion = MPI_SUBVERSION;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Get_library_version, (char *version, int *length))
{
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_Get_library_version(version, length));
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_Pcontrol, (const int level, ...))
{
	(void)level; /* for profilers, which replace it */
	return MPI_SUCCESS;
}
