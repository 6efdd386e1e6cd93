/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The records behind the program's handles, and what the files of this directory offer each other.
 *
 * Every record begins with struct crcp_handle and remembers how its object was made. Live records of a kind are on one list in order of
 * creation, so that a restart can make the real objects again in an order in which everything that is needed exists already.
 * Records, and all that hangs on them, come from crcp_alloc.
 */
#ifndef CRCP_OBJECTS_H
#define CRCP_OBJECTS_H

#ifndef OMPI_OMIT_MPI1_COMPAT_DECLS
#define OMPI_OMIT_MPI1_COMPAT_DECLS 0
#endif
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* the calls of MPI-1 are defined here, not used */
#include "crcp/upper/crcp.h"
#include "crcp/upper/mem.h"
#include "crcp/upper/abi/ompi_layout.h"

/* ---- attributes (attr.c) ---- */
struct crcp_attrs; /* the attributes of one object */

/* ---- groups (group.c) ---- */
struct crcp_group {
	struct crcp_handle h;
	int32_t ompi_fint; /* h.fint once more, where the Fortran library reads it */
	int size;
	int *world_ranks; /* [size]; MPI_UNDEFINED for a process that is not in MPI_COMM_WORLD */
	struct crcp_group *prev, *next;
};
_Static_assert(offsetof(struct crcp_group, ompi_fint) == OMPI_GROUP_FINT, "the Fortran library reads it there");

/* ---- info (info.c) ---- */
struct crcp_info_pair {
	struct crcp_info_pair *next;
	char key[MPI_MAX_INFO_KEY + 1];
	char *value;
};
struct crcp_info_replaced {
	struct crcp_info_replaced *next;
	MPI_Info real;
};
struct crcp_info {
	struct crcp_handle h; /* real: made when first needed below, dropped when the pairs change */
	struct crcp_info_pair *pairs; /* these three: under the lock */
	uint64_t changes;
	struct crcp_info_replaced *replaced; /* real objects of before: threads may be in lower calls with them */
	struct crcp_info *prev, *next;
};

/* ---- datatypes (datatype.c, type_extent.c) ---- */
struct crcp_extent {
	MPI_Count size; /* packed bytes of one element */
	MPI_Aint low, extent, true_low, true_extent;
};
struct crcp_datatype {
	struct crcp_datatype_head head; /* size_plus_1: see crcp.h */
	int combiner;
	int ni, na, nd;          /* the call that made it, as MPI_Type_get_envelope counts it */
	int *ints;
	MPI_Aint *aints;
	struct crcp_datatype **types; /* referenced */
	int committed;
	int named;
	struct crcp_datatype *prev, *next;
	struct crcp_datatype *hash_next; /* chain of the table real -> record */
	char *name;
	struct crcp_extent kept; /* valid when @measured */
	volatile int measured;
	char pad[OMPI_DATATYPE_KEYHASH - 156];
	struct crcp_attrs *ompi_keyhash;
};
_Static_assert(offsetof(struct crcp_datatype, ompi_keyhash) == OMPI_DATATYPE_KEYHASH, "the Fortran library reads it there");

/* ---- operations (op.c) ---- */
struct crcp_op_impl; /* a real operation and its thunk, shared by all handles with the same function */
struct crcp_op {
	struct crcp_handle h;
	struct crcp_op_impl *impl;
	char pad[OMPI_OP_FLAGS - 32];
	uint32_t ompi_flags;
};
_Static_assert(offsetof(struct crcp_op, ompi_flags) == OMPI_OP_FLAGS, "the Fortran library sets it there");

/* ---- error handlers (errhandler.c) ---- */
enum crcp_errhandler_type { CRCP_EH_PREDEFINED = 0, CRCP_EH_COMM = 1, CRCP_EH_WIN = 2, CRCP_EH_FILE = 3 };
enum crcp_language { CRCP_LANG_C = 0, CRCP_LANG_CXX = 1, CRCP_LANG_FORTRAN = 2 };
typedef void crcp_errhandler_fn(void *handle, int *code, ...);
struct crcp_errhandler {
	struct crcp_handle h;
	char pad[OMPI_ERRHANDLER_TYPE - 24];
	int type;     /* enum crcp_errhandler_type */
	int language; /* enum crcp_language */
	crcp_errhandler_fn *comm_fn, *file_fn, *win_fn, *fortran_fn;
	void (*cxx_dispatch)(void *handle, int *code, const char *message, crcp_errhandler_fn *fn);
};
_Static_assert(offsetof(struct crcp_errhandler, cxx_dispatch) == OMPI_ERRHANDLER_CXX_DISPATCH, "the C++ library writes it there");

/* ---- communicators (comm.c, comm_make.c, comm_rebuild.c, topology.c) ---- */
enum crcp_topology { CRCP_TOPO_NONE = 0, CRCP_TOPO_CART, CRCP_TOPO_GRAPH, CRCP_TOPO_DIST_GRAPH };
struct crcp_comm_recipe {
	int inter;
	int foreign;            /* has members outside MPI_COMM_WORLD: cannot be made again */
	int *local_ranks;       /* [size] world ranks of the local group */
	int *remote_ranks;      /* [remote_size], inter-communicators */
	enum crcp_topology topology;
	int n[2];               /* cart: dims; graph: nodes, edges; dist graph: in, out */
	int weighted;
	int *topo[4];           /* cart: dims, periods; graph: index, edges; dist graph: sources, source weights, destinations, weights */
	char name[MPI_MAX_OBJECT_NAME];
	int named;
	struct crcp_info *info; /* referenced */
};
struct crcp_ompi_group {
	char pad[OMPI_GROUP_COUNT];
	int count;
};
struct crcp_comm_full {
	struct crcp_comm c;
	char pad0[OMPI_COMM_FLAGS - sizeof(struct crcp_comm)];
	uint32_t ompi_flags;
	uint32_t pad1[3];
	const struct crcp_ompi_group *ompi_local_group, *ompi_remote_group;
	void *pad2;
	struct crcp_attrs *ompi_keyhash;
	struct crcp_ompi_group local_group, remote_group;
	void **types_kept;      /* arrays of real datatypes that the lower library may still read (alltoallw.c) */
};
_Static_assert(offsetof(struct crcp_comm_full, ompi_flags) == OMPI_COMM_FLAGS, "the Fortran library reads it there");
_Static_assert(offsetof(struct crcp_comm_full, ompi_local_group) == OMPI_COMM_LOCAL_GROUP, "the Fortran library reads it there");
_Static_assert(offsetof(struct crcp_comm_full, ompi_keyhash) == OMPI_COMM_KEYHASH, "the Fortran library reads it there");
_Static_assert(sizeof(struct crcp_comm_full) <= OMPI_COMM_BYTES, "a communicator must fit into ompi_mpi_comm_world");

/* ---- windows and files (win.c, file.c) ---- */
struct crcp_win_own; /* win.h */
struct crcp_win {
	struct crcp_handle h;
	struct crcp_win_own *own; /* NULL: h.real is a window of the real library; else there is none */
	MPI_Errhandler errhandler;
	char *name;
	char pad[OMPI_WIN_KEYHASH - 48];
	struct crcp_attrs *ompi_keyhash;
};
_Static_assert(offsetof(struct crcp_win, ompi_keyhash) == OMPI_WIN_KEYHASH, "the Fortran library reads it there");
struct crcp_file {
	struct crcp_handle h;
	MPI_Errhandler errhandler;
	struct crcp_datatype *etype, *filetype; /* of the view, referenced */
	struct crcp_file_recipe *recipe;        /* file.h; NULL: MPI_FILE_NULL, or a file that is not saved */
};

/* ---- predefined objects (predefined.c) ---- */
struct crcp_predefined {
	const char *symbol;
	void *object;
	uint32_t kind;
};
extern const struct crcp_predefined crcp_predefined[];
extern const int crcp_predefined_n;
/* The real address of every predefined object: after the lower library was loaded. 0 or -ENOENT (*ret_symbol says which is missing). */
int crcp_predefined_load(const char **ret_symbol);
void crcp_fint_reserve(struct crcp_handle *h, int fint); /* fortran.c */
void crcp_predefined_init(void); /* Fortran indices, world and self: after the real MPI_Init */
/* The record whose real object is @real, among the predefined of @kind; NULL: none. */
void *crcp_predefined_find(uint32_t kind, const void *real);

/* ---- handles to reals; NULL handles stay NULL and are judged below ---- */
#define CRCP_REAL(type, handle) ((type)((handle) ? crcp_real((void *)(handle)) : NULL))
MPI_Info crcp_info_real(MPI_Info info); /* inside a wrapper */
MPI_Op crcp_op_real(MPI_Op op);
MPI_File crcp_file_real(MPI_File file);
static inline bool crcp_is_live(const void *handle)
{
	return handle && !(((const struct crcp_handle *)handle)->flags & CRCP_H_NULL);
}
static inline void crcp_enter_collective(MPI_Comm comm)
{
	if (crcp_is_live(comm))
		crcp_collective_enter(crcp_comm(comm));
}
static inline struct crcp_comm_full *crcp_comm_full(MPI_Comm c) { return (struct crcp_comm_full *)(void *)c; }
static inline MPI_Comm crcp_comm_handle(struct crcp_comm *c) { return (MPI_Comm)(void *)c; }
/* The number of the next child of @c: each is given once, also when threads open files of MPI_COMM_SELF at once. */
static inline uint64_t crcp_comm_child(struct crcp_comm *c) { return __atomic_add_fetch(&c->children, 1, __ATOMIC_RELAXED); }
static inline struct crcp_datatype *crcp_datatype(MPI_Datatype t) { return (struct crcp_datatype *)(void *)t; }
/* What one element measures; NULL: the real library has refused to tell. Inside a call. */
const struct crcp_extent *crcp_datatype_extent(struct crcp_datatype *t);
/* Did MPI_Init return, and was MPI_Finalize not entered? Else a wrapper asks the lower library, which judges and complains. */
static inline bool crcp_is_up(void) { return crcp.initialized && !crcp.finalized; }

/* ---- lists and locks of this part ---- */
void crcp_abi_lock(void);
void crcp_abi_unlock(void);
/* One thread at a time does something below that needs no other rank, and writes it down. Inside a call, as the other lock. */
void crcp_below_lock(int *lock);
void crcp_below_unlock(int *lock);

/* ---- what the files offer each other ---- */
/* attr.c */
struct crcp_attrs **crcp_attrs_of(void *object);
int crcp_attrs_copy(void *from, void *to);  /* user's copy functions; MPI error code */
int crcp_attrs_delete_all(void *object);    /* user's delete functions, in reverse order of setting; MPI error code */
void crcp_attrs_end(void *object);          /* the same for an object that goes whatever they say. Outside of a call */
int crcp_attr_set_int(void *object, int keyval, int value);
int crcp_attr_set_aint(void *object, int keyval, MPI_Aint value);
int crcp_attr_set_pointer(void *object, int keyval, void *value);
void crcp_attr_init_predefined(void);
/* comm_make.c: a record for the new real communicator; MPI_COMM_NULL's for MPI_COMM_NULL below; NULL: out of memory. */
enum crcp_comm_id {
	CRCP_ID_DERIVED, /* made by all members of the parent: from its id */
	CRCP_ID_AGREED,  /* the members agree on a number (collective over the new communicator) */
};
struct crcp_comm *crcp_comm_adopt(struct crcp_comm *parent, MPI_Comm real, enum crcp_comm_id how);
void crcp_comm_world_init(struct crcp_comm *c, MPI_Comm real, uint64_t clock_id, const char *name);
void crcp_comm_destroy(struct crcp_comm *c);
void crcp_comm_keep_handler(struct crcp_comm *c); /* tell the real one which kind of handler the program's communicator has */
void crcp_comm_keep_topology(struct crcp_comm *c); /* topology.c */
int crcp_comm_put_topology(struct crcp_comm *c, MPI_Comm plain, MPI_Comm *ret_real); /* topology.c, at rebuild */
void crcp_comm_inherit_topology(struct crcp_comm *c, const struct crcp_comm *from); /* topology.c */
int crcp_comm_rebuild_all(void); /* comm_rebuild.c */
int crcp_comm_make_plain(const int *world_ranks, int n, MPI_Comm *ret_real); /* comm_rebuild.c: collective over the ranks */
struct crcp_comm *crcp_comm_create_record(struct crcp_comm *parent); /* the real one may still be on its way (MPI_Comm_idup) */
void crcp_comm_parent_init(void); /* comm_inter.c */
void crcp_comm_parent_forget(const struct crcp_comm *c);
void crcp_comm_publish(struct crcp_comm *c); /* the record is complete: count on it from now on */
void crcp_comm_retire(struct crcp_comm *c);  /* the real one is gone: take the record out of everything and free it */
extern const char crcp_nocr_foreign_text[];
/* group.c */
bool crcp_ranks_are_foreign(const int *world_ranks, int n); /* some are not in MPI_COMM_WORLD */
int *crcp_group_world_ranks(MPI_Group real, int size); /* NULL: out of memory */
MPI_Group crcp_group_adopt(MPI_Group real); /* record for a real group; NULL: out of memory */
int crcp_groups_rebuild(void);
void crcp_groups_init_predefined(void);
/* info.c */
MPI_Info crcp_info_adopt(MPI_Info real); /* copies the pairs and frees the real one */
struct crcp_info *crcp_info_copy(const struct crcp_info *from);
void crcp_info_destroy(struct crcp_info *i);
void crcp_info_merge(struct crcp_info *into, const struct crcp_info *from); /* pairs of @from win */
void crcp_infos_drop_real(void); /* after a restart */
/* datatype.c */
MPI_Datatype crcp_datatype_find(MPI_Datatype real); /* record of a real type; MPI_DATATYPE_NULL when unknown */
void crcp_datatype_index(struct crcp_datatype *t);
int crcp_datatypes_rebuild(void);
void crcp_datatypes_init_predefined(void); /* sizes and the table real -> record */
/* Ends a wrapper that made @real below with result @r: records the call, or raises the error. */
int crcp_datatype_adopt(int r, MPI_Datatype real, int combiner, int ni, const int *ints, int na, const MPI_Aint *aints, int nd, const MPI_Datatype *of,
			MPI_Datatype *ret_type, const char *function);
int crcp_datatype_construct(const struct crcp_datatype *t, MPI_Datatype *ret_real); /* type_rebuild.c: the constructor below, again */
/* op.c */
int crcp_ops_rebuild(void);
void crcp_op_put(MPI_Op op); /* NULL is allowed; inside a call */
/* win_make.c */
int crcp_wins_rebuild(void); /* after the communicators */
/* pcoll.c */
int crcp_pcolls_rebuild(void); /* after the requests */
/* errhandler.c */
int crcp_win_error(struct crcp_win *w, int code, const char *function);
int crcp_file_error(struct crcp_file *f, int code, const char *function);
MPI_Errhandler crcp_real_handler_for(MPI_Errhandler program); /* ERRORS_ARE_FATAL or ERRORS_RETURN below */
void crcp_handle_get(void *handle);
MPI_Errhandler crcp_errhandler_of(MPI_Errhandler *place, MPI_Errhandler none); /* what is there, or else @none, with a reference */
int crcp_errors_rebuild(void);
/* nocr.c: counted marks "cannot be checkpointed" */
enum crcp_nocr { CRCP_NOCR_WIN, CRCP_NOCR_FILE, CRCP_NOCR_FOREIGN, CRCP_NOCR_PORT,
	CRCP_NOCR_TRANSIT, CRCP_NOCR_KINDS };
void crcp_nocr_add(enum crcp_nocr kind, const char *text);
void crcp_nocr_drop(enum crcp_nocr kind);
/* file_recipe.c */
void crcp_file_collective(MPI_File file); /* before a collective call on @file, as crcp_collective_enter; any handle */
/* With several threads in the library file operations are done at once, by the blocking call, also those that would have a request or a second call: that is
 * allowed, and the progress of Open MPI's OMPIO with operations pending is not safe against two threads. Natively only those that poll make it at the same
 * time; here every thread that waits for a message does. */
static inline bool crcp_file_at_once(void) { return crcp.thread_level == MPI_THREAD_MULTIPLE; }
void crcp_file_uses_shared(MPI_File file);
int crcp_files_rebuild(void);
void crcp_file_keep_handler(struct crcp_file *f); /* errhandler.c: as crcp_comm_keep_handler */
/* tool.c, tool_handles.c */
void *crcp_tool_real(void *handle); /* of MPI_T */
void crcp_tools_reinit(void);  /* after a restart, before the real MPI_Init: MPI_T_init_thread, written control variables */
void crcp_tools_rewrite(void);
int crcp_tools_rebuild(void);  /* after all objects */
/* datarep.c */
void crcp_datareps_rebuild(void);
/* alltoallw.c */
void crcp_types_forget(struct crcp_comm *c);

#endif
