/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fortran: handles as integers, and the functions and words that Open MPI's Fortran libraries import from libmpi beyond MPI itself.
 *
 * An index is given when it is first asked for and stays with the record, over a restart too. Predefined objects have the real
 * library's numbers, which are constants in mpif.h.  Requests and messages have tables of their own in p2p/.
 */
#include "crcp/upper/abi/objects.h"

#include <stdlib.h>
#include <string.h>

struct fint_table {
	struct crcp_handle **handle;
	int size;  /* allocated */
	int first; /* no free index below this one */
};
static struct fint_table tables[CRCP_FILE + 1];

/* Make room for index @fint; false: out of memory. */
static bool table_grow(struct fint_table *t, int fint)
{
	int size = t->size ? t->size : 64;
	struct crcp_handle **handle;

	if (fint < t->size)
		return true;
	while (size <= fint)
		size *= 2;
	handle = crcp_alloc((size_t)size * sizeof(*handle));
	if (!handle)
		return false;
	if (t->size)
		memcpy(handle, t->handle, (size_t)t->size * sizeof(*handle));
	/* Readers take no lock: the old table stays for those that have it (all of them together are less than the new one), and the size comes last. */
	__atomic_store_n(&t->handle, handle, __ATOMIC_RELEASE);
	__atomic_store_n(&t->size, size, __ATOMIC_RELEASE);
	return true;
}

void crcp_fint_reserve(struct crcp_handle *h, int fint)
{
	struct fint_table *t = &tables[h->kind];

	if (!table_grow(t, fint))
		return;
	t->handle[fint] = h;
	h->fint = fint;
	if (h->kind == CRCP_GROUP)
		((struct crcp_group *)(void *)h)->ompi_fint = fint;
}

int crcp_fint_assign(struct crcp_handle *h)
{
	struct fint_table *t;
	int i;

	if (h->fint >= 0)
		return h->fint;
	crcp_call_begin(); /* error handlers and attribute functions get handles outside of calls too */
	crcp_abi_lock();
	t = &tables[h->kind];
	for (i = t->first; i < t->size && t->handle[i]; i++)
		;
	if (h->fint < 0 && table_grow(t, i)) {
		t->handle[i] = h;
		t->first = i + 1;
		h->fint = i;
		if (h->kind == CRCP_GROUP)
			((struct crcp_group *)(void *)h)->ompi_fint = i;
	}
	crcp_abi_unlock();
	crcp_call_end();
	return h->fint;
}

void crcp_fint_release(struct crcp_handle *h)
{
	struct fint_table *t = &tables[h->kind];

	if (h->fint < 0)
		return;
	crcp_abi_lock();
	t->handle[h->fint] = NULL;
	if (h->fint < t->first)
		t->first = h->fint;
	h->fint = -1;
	crcp_abi_unlock();
}

struct crcp_handle *crcp_fint_handle(uint32_t kind, int fint)
{
	const struct fint_table *t = &tables[kind];

	return fint >= 0 && fint < __atomic_load_n(&t->size, __ATOMIC_ACQUIRE) ? __atomic_load_n(&t->handle, __ATOMIC_ACQUIRE)[fint] : NULL;
}

static int c2f(void *handle)
{
	return handle ? crcp_fint_assign(handle) : -1;
}

#define CONVERSIONS(noun, type, kind)                        \
	CRCP_API(MPI_Fint, MPI_##noun##_c2f, (type handle))  \
	{                                                    \
		return c2f((void *)handle);                  \
	}                                                    \
	CRCP_API(type, MPI_##noun##_f2c, (MPI_Fint fint))    \
	{                                                    \
		return (type)(void *)crcp_fint_handle(kind, fint); \
	}

CONVERSIONS(Comm, MPI_Comm, CRCP_COMM)
CONVERSIONS(Group, MPI_Group, CRCP_GROUP)
CONVERSIONS(Type, MPI_Datatype, CRCP_DATATYPE)
CONVERSIONS(Op, MPI_Op, CRCP_OP)
CONVERSIONS(Info, MPI_Info, CRCP_INFO)
CONVERSIONS(Errhandler, MPI_Errhandler, CRCP_ERRHANDLER)
CONVERSIONS(Win, MPI_Win, CRCP_WIN)
CONVERSIONS(File, MPI_File, CRCP_FILE)

/* ---- words ---- */
extern char mpi_fortran_status_ignore_[], mpi_fortran_statuses_ignore_[]; /* among the generated data */
CRCP_EXPORT MPI_Fint *MPI_F_STATUS_IGNORE = (MPI_Fint *)(void *)mpi_fortran_status_ignore_;
CRCP_EXPORT MPI_Fint *MPI_F_STATUSES_IGNORE = (MPI_Fint *)(void *)mpi_fortran_statuses_ignore_;

/* The libraries above look here whether MPI is up, when told to check arguments. Values of Open MPI's ompi_mpi_state_t. */
extern CRCP_EXPORT int32_t ompi_mpi_state;
CRCP_EXPORT int32_t ompi_mpi_state;
extern CRCP_EXPORT bool ompi_mpi_param_check;
CRCP_EXPORT bool ompi_mpi_param_check = true;

/* An empty opal_list_t, to which MPI_REGISTER_DATAREP of Fortran appends its own state. */
struct opal_list_words {
	void *class;
	int64_t refs;
	void *sentinel_class;
	int64_t sentinel_refs;
	void *next, *prev;
	int64_t item_free;
	uint64_t length;
};
extern CRCP_EXPORT struct opal_list_words ompi_registered_datareps;
CRCP_EXPORT struct opal_list_words ompi_registered_datareps = { .refs = 1, .sentinel_refs = 1, .item_free = 1 };
_Static_assert(sizeof(ompi_registered_datareps) == 0x40, "size in the real library");

__attribute__((constructor)) static void datareps_init(void)
{
	ompi_registered_datareps.next = ompi_registered_datareps.prev = &ompi_registered_datareps.sentinel_class;
}

/* ---- strings; the callers free() what they get ---- */
CRCP_EXPORT int ompi_fortran_string_f2c(const char *from, int bytes, char **ret_string);
CRCP_EXPORT int ompi_fortran_string_c2f(const char *from, char *to, int bytes);
CRCP_EXPORT int ompi_fortran_argv_blank_f2c(const char *array, int bytes, int stride, char ***ret_argv);
CRCP_EXPORT int ompi_fortran_argv_count_f2c(const char *array, int count, int bytes, int stride, char ***ret_argv);
CRCP_EXPORT int ompi_fortran_multiple_argvs_f2c(int count, const char *array, int bytes, char ****ret_argvs);
#define OMPI_ERR_OUT_OF_RESOURCE (-2)

int ompi_fortran_string_f2c(const char *from, int bytes, char **ret_string)
{
	int begin = 0;

	while (begin < bytes && from[begin] == ' ')
		begin++;
	while (bytes > begin && from[bytes - 1] == ' ')
		bytes--;
	*ret_string = malloc((size_t)(bytes - begin) + 1);
	if (!*ret_string)
		return OMPI_ERR_OUT_OF_RESOURCE;
	memcpy(*ret_string, from + begin, (size_t)(bytes - begin));
	(*ret_string)[bytes - begin] = 0;
	return 0;
}

int ompi_fortran_string_c2f(const char *from, char *to, int bytes)
{
	size_t n = strnlen(from, (size_t)bytes);

	memcpy(to, from, n);
	memset(to + n, ' ', (size_t)bytes - n);
	return 0;
}

static void argv_free(char **argv)
{
	for (char **p = argv; p && *p; p++)
		free(*p);
	free(argv);
}

/* @count strings, or, when it is negative, as many as come before a blank one. */
static int argv_f2c(const char *array, int count, int bytes, int stride, char ***ret_argv)
{
	char **argv = NULL;
	int n = 0;

	for (;; array += stride) {
		char **longer = realloc(argv, (size_t)(n + 1) * sizeof(*argv));

		if (!longer) {
			argv_free(argv);
			return OMPI_ERR_OUT_OF_RESOURCE;
		}
		argv = longer;
		argv[n] = NULL;
		if (n == count)
			break;
		if (ompi_fortran_string_f2c(array, bytes, &argv[n]) != 0) {
			argv_free(argv);
			return OMPI_ERR_OUT_OF_RESOURCE;
		}
		if (count < 0 && !argv[n][0]) {
			free(argv[n]);
			argv[n] = NULL;
			break;
		}
		n++;
	}
	*ret_argv = argv;
	return 0;
}

int ompi_fortran_argv_blank_f2c(const char *array, int bytes, int stride, char ***ret_argv)
{
	return argv_f2c(array, -1, bytes, stride, ret_argv);
}

int ompi_fortran_argv_count_f2c(const char *array, int count, int bytes, int stride, char ***ret_argv)
{
	return argv_f2c(array, count, bytes, stride, ret_argv);
}

int ompi_fortran_multiple_argvs_f2c(int count, const char *array, int bytes, char ****ret_argvs)
{
	char ***argvs = malloc((size_t)count * sizeof(*argvs));

	if (!argvs)
		return OMPI_ERR_OUT_OF_RESOURCE;
	for (int i = 0; i < count; i++)
		if (argv_f2c(array + (size_t)i * (size_t)bytes, -1, bytes, bytes * count, &argvs[i]) != 0) {
			while (i-- > 0)
				argv_free(argvs[i]);
			free(argvs);
			return OMPI_ERR_OUT_OF_RESOURCE;
		}
	*ret_argvs = argvs;
	return 0;
}

/* ---- functions that Fortran code calls in libmpi itself ---- */
#define FOUR_NAMES(upper, lower, args, body)                   \
	CRCP_EXPORT void upper args;                           \
	CRCP_EXPORT void lower args;                           \
	CRCP_EXPORT void lower##_ args;                        \
	CRCP_EXPORT void lower##__ args;                       \
	void upper args { body; }                              \
	void lower args { body; }                              \
	void lower##_ args { body; }                           \
	void lower##__ args { body; }

FOUR_NAMES(MPI_WTIME_F90, mpi_wtime_f90, (double *ret), *ret = PMPI_Wtime())
FOUR_NAMES(MPI_WTICK_F90, mpi_wtick_f90, (double *ret), *ret = PMPI_Wtick())
FOUR_NAMES(MPI_AINT_ADD_F90, mpi_aint_add_f90, (MPI_Aint *base, MPI_Aint *disp, MPI_Aint *ret), *ret = *base + *disp)
FOUR_NAMES(MPI_AINT_DIFF_F90, mpi_aint_diff_f90, (MPI_Aint *a, MPI_Aint *b, MPI_Aint *ret), *ret = *a - *b)
