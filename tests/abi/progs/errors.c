/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls with wrong arguments: one line each with the class of the error that came back. The lines are the same natively and under cr_run. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int rank, size, called, last;

static void tell(const char *call, int code)
{
	int class = -1, length = 0;
	char text[MPI_MAX_ERROR_STRING] = "";

	MPI_Error_class(code, &class);
	MPI_Error_string(code, text, &length);
	if (rank == 0)
		printf("ok %s: %d %s\n", call, class, text);
}
#define TRY(call) tell(#call, call)

static void on_comm(MPI_Comm *c, int *code, ...)
{
	(void)c;
	called++;
	MPI_Error_class(*code, &last);
}

static void on_file(MPI_File *f, int *code, ...)
{
	(void)f;
	called++;
	MPI_Error_class(*code, &last);
}

static void point_to_point(void)
{
	int v[4] = { 0 }, flag, n, index;
	MPI_Request request = MPI_REQUEST_NULL, two[2] = { MPI_REQUEST_NULL, MPI_REQUEST_NULL };
	MPI_Message message = MPI_MESSAGE_NULL;
	MPI_Status status;
	MPI_Datatype open;

	MPI_Type_contiguous(2, MPI_INT, &open); /* not committed */
	TRY(MPI_Send(v, -1, MPI_INT, 0, 0, MPI_COMM_WORLD));
	TRY(MPI_Send(v, 1, MPI_DATATYPE_NULL, 0, 0, MPI_COMM_WORLD));
	TRY(MPI_Send(v, 1, open, 0, 0, MPI_COMM_WORLD));
	TRY(MPI_Send(v, 1, MPI_INT, size, 0, MPI_COMM_WORLD));
	TRY(MPI_Send(v, 1, MPI_INT, -7, 0, MPI_COMM_WORLD));
	TRY(MPI_Send(v, 1, MPI_INT, 0, -1, MPI_COMM_WORLD));
	TRY(MPI_Send(v, 1, MPI_INT, 0, 0, MPI_COMM_NULL));
	TRY(MPI_Send(v, 0, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD));
	TRY(MPI_Ssend(v, -1, MPI_INT, 0, 0, MPI_COMM_WORLD));
	TRY(MPI_Rsend(v, 1, MPI_INT, size, 0, MPI_COMM_WORLD));
	TRY(MPI_Bsend(v, 1, MPI_INT, size, 0, MPI_COMM_WORLD));
	TRY(MPI_Bsend(v, 4, MPI_INT, 0, 0, MPI_COMM_WORLD)); /* no buffer */
	TRY(MPI_Isend(v, -1, MPI_INT, 0, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Isend(v, 1, MPI_INT, size, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Issend(v, 1, MPI_INT, 0, -5, MPI_COMM_WORLD, &request));
	TRY(MPI_Irsend(v, 1, MPI_DATATYPE_NULL, 0, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Ibsend(v, 4, MPI_INT, 0, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Send_init(v, 1, MPI_INT, size, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Ssend_init(v, -1, MPI_INT, 0, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Recv_init(v, 1, MPI_INT, size, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Recv(v, -1, MPI_INT, 0, 0, MPI_COMM_WORLD, &status));
	TRY(MPI_Recv(v, 1, MPI_DATATYPE_NULL, 0, 0, MPI_COMM_WORLD, &status));
	TRY(MPI_Recv(v, 1, MPI_INT, size, 0, MPI_COMM_WORLD, &status));
	TRY(MPI_Recv(v, 1, MPI_INT, 0, -5, MPI_COMM_WORLD, &status));
	TRY(MPI_Recv(v, 1, MPI_INT, 0, 0, MPI_COMM_NULL, &status));
	TRY(MPI_Irecv(v, -1, MPI_INT, 0, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Irecv(v, 1, MPI_INT, size + 3, 0, MPI_COMM_WORLD, &request));
	TRY(MPI_Probe(size, 0, MPI_COMM_WORLD, &status));
	TRY(MPI_Probe(0, -9, MPI_COMM_WORLD, &status));
	TRY(MPI_Iprobe(size, 0, MPI_COMM_WORLD, &flag, &status));
	TRY(MPI_Mprobe(size, 0, MPI_COMM_WORLD, &message, &status));
	TRY(MPI_Improbe(0, -9, MPI_COMM_WORLD, &flag, &message, &status));
	message = MPI_MESSAGE_NO_PROC;
	TRY(MPI_Mrecv(v, 1, MPI_INT, &message, &status));
	TRY(MPI_Sendrecv(v, 1, MPI_INT, size, 0, v + 1, 1, MPI_INT, 0, 0, MPI_COMM_WORLD, &status));
	TRY(MPI_Sendrecv(v, 1, MPI_INT, 0, 0, v + 1, -1, MPI_INT, 0, 0, MPI_COMM_WORLD, &status));
	TRY(MPI_Sendrecv_replace(v, 1, MPI_INT, 0, -2, 0, 0, MPI_COMM_WORLD, &status));
	request = MPI_REQUEST_NULL;
	TRY(MPI_Wait(&request, &status));
	TRY(MPI_Wait(NULL, &status));
	TRY(MPI_Test(&request, &flag, &status));
	TRY(MPI_Test(NULL, &flag, &status));
	TRY(MPI_Waitall(-1, two, MPI_STATUSES_IGNORE));
	TRY(MPI_Waitall(2, NULL, MPI_STATUSES_IGNORE));
	TRY(MPI_Waitall(2, two, MPI_STATUSES_IGNORE));
	TRY(MPI_Waitany(2, two, &index, &status));
	TRY(MPI_Waitany(-1, two, &index, &status));
	TRY(MPI_Testany(2, NULL, &index, &flag, &status));
	TRY(MPI_Waitsome(2, two, &n, v, MPI_STATUSES_IGNORE));
	TRY(MPI_Testsome(-2, two, &n, v, MPI_STATUSES_IGNORE));
	TRY(MPI_Testall(-2, two, &flag, MPI_STATUSES_IGNORE));
	TRY(MPI_Request_free(&request));
	TRY(MPI_Request_free(NULL));
	TRY(MPI_Cancel(&request));
	TRY(MPI_Cancel(NULL));
	TRY(MPI_Start(&request));
	TRY(MPI_Startall(-1, two));
	TRY(MPI_Request_get_status(MPI_REQUEST_NULL, &flag, &status));
	TRY(MPI_Test_cancelled(&status, NULL));
	TRY(MPI_Get_count(&status, MPI_DATATYPE_NULL, &n));
	TRY(MPI_Buffer_attach(v, -1));
	TRY(MPI_Buffer_detach(NULL, &n));
	TRY(MPI_Isend(v, 4, MPI_INT, rank, 11, MPI_COMM_WORLD, &request));
	TRY(MPI_Recv(v, 1, MPI_INT, rank, 11, MPI_COMM_WORLD, &status));
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	MPI_Irecv(v, 1, MPI_INT, rank, 12, MPI_COMM_WORLD, &two[0]);
	MPI_Irecv(v + 2, 2, MPI_INT, rank, 13, MPI_COMM_WORLD, &two[1]);
	MPI_Send(v, 4, MPI_INT, rank, 12, MPI_COMM_WORLD);
	MPI_Send(v, 1, MPI_INT, rank, 13, MPI_COMM_WORLD);
	MPI_Status statuses[2];
	TRY(MPI_Waitall(2, two, statuses));
	tell("statuses[0]", statuses[0].MPI_ERROR);
	tell("statuses[1]", statuses[1].MPI_ERROR);
	MPI_Type_free(&open);
}

static void collectives(void)
{
	int v[64] = { 0 }, w[64] = { 0 };
	MPI_Request request;

	TRY(MPI_Bcast(v, -1, MPI_INT, 0, MPI_COMM_WORLD));
	TRY(MPI_Bcast(v, 1, MPI_INT, size, MPI_COMM_WORLD));
	TRY(MPI_Bcast(v, 1, MPI_DATATYPE_NULL, 0, MPI_COMM_WORLD));
	TRY(MPI_Bcast(v, 1, MPI_INT, 0, MPI_COMM_NULL));
	TRY(MPI_Barrier(MPI_COMM_NULL));
	TRY(MPI_Ibarrier(MPI_COMM_NULL, &request));
	TRY(MPI_Reduce(v, w, 1, MPI_INT, MPI_OP_NULL, 0, MPI_COMM_WORLD));
	TRY(MPI_Reduce(v, w, 1, MPI_INT, MPI_SUM, -1, MPI_COMM_WORLD));
	TRY(MPI_Reduce(v, w, 1, MPI_DOUBLE, MPI_BAND, 0, MPI_COMM_WORLD));
	TRY(MPI_Allreduce(v, w, -1, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
	TRY(MPI_Allreduce(v, v, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
	TRY(MPI_Iallreduce(v, w, 1, MPI_INT, MPI_OP_NULL, MPI_COMM_WORLD, &request));
	TRY(MPI_Gather(v, -1, MPI_INT, w, 1, MPI_INT, 0, MPI_COMM_WORLD));
	TRY(MPI_Gather(v, 1, MPI_INT, w, 1, MPI_INT, size, MPI_COMM_WORLD));
	TRY(MPI_Igather(v, 1, MPI_INT, w, 1, MPI_INT, size, MPI_COMM_WORLD, &request));
	TRY(MPI_Scatter(v, 1, MPI_INT, w, -1, MPI_INT, 0, MPI_COMM_WORLD));
	TRY(MPI_Allgather(v, 1, MPI_DATATYPE_NULL, w, 1, MPI_INT, MPI_COMM_WORLD));
	TRY(MPI_Alltoall(v, -1, MPI_INT, w, 1, MPI_INT, MPI_COMM_WORLD));
	TRY(MPI_Alltoallv(v, NULL, NULL, MPI_INT, w, NULL, NULL, MPI_INT, MPI_COMM_WORLD));
	TRY(MPI_Alltoallw(v, NULL, NULL, NULL, w, NULL, NULL, NULL, MPI_COMM_WORLD));
	TRY(MPI_Scan(v, w, 1, MPI_INT, MPI_OP_NULL, MPI_COMM_WORLD));
	TRY(MPI_Exscan(v, w, -1, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
	TRY(MPI_Reduce_scatter_block(v, w, -1, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
	TRY(MPI_Neighbor_allgather(v, 1, MPI_INT, w, 1, MPI_INT, MPI_COMM_WORLD));
	TRY(MPI_Neighbor_alltoall(v, 1, MPI_INT, w, 1, MPI_INT, MPI_COMM_NULL));
	TRY(MPI_Reduce_local(v, w, 1, MPI_INT, MPI_OP_NULL));
	TRY(MPI_Op_free(&(MPI_Op){ MPI_SUM }));
	TRY(MPI_Op_create(NULL, 1, &(MPI_Op){ MPI_OP_NULL }));
}

static void objects(void)
{
	int n = 0, v[4] = { 0 }, dims[2] = { 0, 0 }, periods[2] = { 0 }, flag, key = MPI_KEYVAL_INVALID;
	char text[MPI_MAX_OBJECT_NAME + 10];
	MPI_Comm comm = MPI_COMM_NULL;
	MPI_Group group = MPI_GROUP_NULL, world;
	MPI_Datatype type = MPI_DATATYPE_NULL;
	MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
	MPI_Info info = MPI_INFO_NULL;
	MPI_Aint extent, lb;
	void *value;

	MPI_Comm_group(MPI_COMM_WORLD, &world);
	TRY(MPI_Comm_rank(MPI_COMM_NULL, &n));
	TRY(MPI_Comm_rank(MPI_COMM_WORLD, NULL));
	TRY(MPI_Comm_size(MPI_COMM_NULL, &n));
	TRY(MPI_Comm_remote_size(MPI_COMM_WORLD, &n));
	TRY(MPI_Comm_test_inter(MPI_COMM_NULL, &n));
	TRY(MPI_Comm_dup(MPI_COMM_NULL, &comm));
	TRY(MPI_Comm_dup(MPI_COMM_WORLD, NULL));
	TRY(MPI_Comm_split(MPI_COMM_WORLD, -5, 0, &comm));
	TRY(MPI_Comm_split_type(MPI_COMM_WORLD, 12345, 0, MPI_INFO_NULL, &comm));
	TRY(MPI_Comm_create(MPI_COMM_WORLD, MPI_GROUP_NULL, &comm));
	TRY(MPI_Comm_free(&comm));
	TRY(MPI_Comm_free(&(MPI_Comm){ MPI_COMM_WORLD }));
	TRY(MPI_Comm_compare(MPI_COMM_WORLD, MPI_COMM_NULL, &n));
	TRY(MPI_Comm_group(MPI_COMM_NULL, &group));
	TRY(MPI_Comm_remote_group(MPI_COMM_WORLD, &group));
	TRY(MPI_Comm_set_name(MPI_COMM_NULL, "x"));
	TRY(MPI_Comm_get_name(MPI_COMM_WORLD, text, NULL));
	TRY(MPI_Comm_idup(MPI_COMM_NULL, &comm, &(MPI_Request){ MPI_REQUEST_NULL }));
	TRY(MPI_Intercomm_create(MPI_COMM_NULL, 0, MPI_COMM_WORLD, 0, 1, &comm));
	TRY(MPI_Intercomm_merge(MPI_COMM_WORLD, 0, &comm));
	TRY(MPI_Group_rank(MPI_GROUP_NULL, &n));
	TRY(MPI_Group_size(MPI_GROUP_NULL, &n));
	TRY(MPI_Group_incl(world, 1, (int[]){ size }, &group));
	TRY(MPI_Group_incl(world, -1, v, &group));
	TRY(MPI_Group_excl(world, 2, (int[]){ 0, 0 }, &group));
	TRY(MPI_Group_free(&(MPI_Group){ MPI_GROUP_NULL }));
	TRY(MPI_Group_union(world, MPI_GROUP_NULL, &group));
	TRY(MPI_Cart_create(MPI_COMM_WORLD, 2, (int[]){ size, 7 }, periods, 0, &comm));
	TRY(MPI_Cart_create(MPI_COMM_WORLD, -1, dims, periods, 0, &comm));
	TRY(MPI_Cart_rank(MPI_COMM_WORLD, v, &n));
	TRY(MPI_Cart_coords(MPI_COMM_WORLD, 0, 1, v));
	TRY(MPI_Cart_shift(MPI_COMM_WORLD, 0, 1, &n, &n));
	TRY(MPI_Cart_sub(MPI_COMM_WORLD, v, &comm));
	TRY(MPI_Cartdim_get(MPI_COMM_WORLD, &n));
	TRY(MPI_Graphdims_get(MPI_COMM_WORLD, &n, &n));
	TRY(MPI_Graph_neighbors_count(MPI_COMM_WORLD, 0, &n));
	TRY(MPI_Dist_graph_neighbors_count(MPI_COMM_WORLD, &n, &n, &flag));
	TRY(MPI_Dims_create(-1, 2, dims));
	TRY(MPI_Topo_test(MPI_COMM_NULL, &n));
	TRY(MPI_Type_contiguous(-1, MPI_INT, &type));
	TRY(MPI_Type_contiguous(1, MPI_DATATYPE_NULL, &type));
	TRY(MPI_Type_vector(-1, 1, 1, MPI_INT, &type));
	TRY(MPI_Type_indexed(1, (int[]){ -1 }, v, MPI_INT, &type));
	TRY(MPI_Type_create_struct(-1, NULL, NULL, NULL, &type));
	TRY(MPI_Type_create_resized(MPI_DATATYPE_NULL, 0, 1, &type));
	TRY(MPI_Type_create_subarray(1, (int[]){ 4 }, (int[]){ 9 }, (int[]){ 0 }, MPI_ORDER_C, MPI_INT, &type));
	TRY(MPI_Type_commit(&(MPI_Datatype){ MPI_DATATYPE_NULL }));
	TRY(MPI_Type_free(&(MPI_Datatype){ MPI_INT }));
	TRY(MPI_Type_free(&(MPI_Datatype){ MPI_DATATYPE_NULL }));
	TRY(MPI_Type_size(MPI_DATATYPE_NULL, &n));
	TRY(MPI_Type_get_extent(MPI_DATATYPE_NULL, &lb, &extent));
	TRY(MPI_Type_get_envelope(MPI_DATATYPE_NULL, &n, &n, &n, &n));
	TRY(MPI_Type_get_contents(MPI_INT, 1, 1, 1, v, &extent, &type));
	TRY(MPI_Type_match_size(MPI_TYPECLASS_REAL, 3, &type));
	TRY(MPI_Type_set_name(MPI_DATATYPE_NULL, "x"));
	TRY(MPI_Type_dup(MPI_DATATYPE_NULL, &type));
	TRY(MPI_Pack(v, -1, MPI_INT, text, 10, &n, MPI_COMM_WORLD));
	n = 0;
	TRY(MPI_Pack(v, 4, MPI_INT, text, 3, &n, MPI_COMM_WORLD));
	TRY(MPI_Unpack(text, 3, &n, v, 4, MPI_INT, MPI_COMM_WORLD));
	TRY(MPI_Pack_size(1, MPI_DATATYPE_NULL, MPI_COMM_WORLD, &n));
	TRY(MPI_Pack_external_size("no such", 1, MPI_INT, &extent));
	TRY(MPI_Info_create(NULL));
	TRY(MPI_Info_free(&info));
	TRY(MPI_Info_set(MPI_INFO_NULL, "a", "b"));
	MPI_Info_create(&info);
	TRY(MPI_Info_set(info, "", "b"));
	TRY(MPI_Info_set(info, NULL, "b"));
	TRY(MPI_Info_get(info, "a", -1, text, &flag));
	TRY(MPI_Info_delete(info, "a"));
	TRY(MPI_Info_get_nthkey(info, 3, text));
	MPI_Info_free(&info);
	TRY(MPI_Errhandler_free(&handler));
	TRY(MPI_Comm_set_errhandler(MPI_COMM_NULL, MPI_ERRORS_RETURN));
	TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRHANDLER_NULL));
	TRY(MPI_Comm_create_errhandler(NULL, &handler));
	TRY(MPI_Comm_call_errhandler(MPI_COMM_NULL, MPI_ERR_ARG));
	TRY(MPI_Comm_call_errhandler(MPI_COMM_WORLD, MPI_ERR_ARG));
	TRY(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_KEYVAL_INVALID, &value, &flag));
	TRY(MPI_Comm_get_attr(MPI_COMM_NULL, MPI_TAG_UB, &value, &flag));
	TRY(MPI_Comm_set_attr(MPI_COMM_WORLD, MPI_TAG_UB, &n));
	TRY(MPI_Comm_delete_attr(MPI_COMM_WORLD, MPI_TAG_UB));
	TRY(MPI_Comm_free_keyval(&key));
	TRY(MPI_Type_get_attr(MPI_DATATYPE_NULL, 0, &value, &flag));
	TRY(MPI_Alloc_mem(-1, MPI_INFO_NULL, &value));
	TRY(MPI_Add_error_string(MPI_ERR_ARG, "x"));
	TRY(MPI_Error_class(-3, &n));
	TRY(MPI_Grequest_complete(MPI_REQUEST_NULL));
	TRY(MPI_Grequest_start(NULL, NULL, NULL, NULL, NULL));
	MPI_Group_free(&world);
}

static int no_copy(MPI_Datatype type, int key, void *extra, void *in, void *out, int *flag)
{
	(void)type, (void)key, (void)extra, (void)in, (void)out;
	*flag = 1;
	return MPI_ERR_OTHER;
}

static int no_copy_comm(MPI_Comm comm, int key, void *extra, void *in, void *out, int *flag)
{
	(void)comm, (void)key, (void)extra, (void)in, (void)out;
	*flag = 1;
	return MPI_ERR_OTHER;
}

static int kept; /* what the delete functions say */

static int keep(MPI_Datatype type, int key, void *value, void *extra)
{
	(void)type, (void)key, (void)value, (void)extra;
	return kept;
}

static int keep_comm(MPI_Comm comm, int key, void *value, void *extra)
{
	(void)comm, (void)key, (void)value, (void)extra;
	return kept;
}

/* Functions of attributes that fail: what is said, whether there is an object afterwards */
static void attributes(void)
{
	MPI_Datatype type, dup = MPI_INT;
	MPI_Comm comm, comm_dup = MPI_COMM_WORLD;
	int key;

	MPI_Type_dup(MPI_INT, &type);
	MPI_Type_create_keyval(no_copy, keep, &key, NULL);
	MPI_Type_set_attr(type, key, &key);
	kept = MPI_ERR_ARG;
	TRY(MPI_Type_set_attr(type, key, &key));
	TRY(MPI_Type_delete_attr(type, key));
	TRY(MPI_Type_dup(type, &dup));
	TRY(MPI_Type_free(&dup));
	TRY(MPI_Type_free(&type));
	TRY(MPI_Type_free(&type));
	MPI_Type_free_keyval(&key);
	kept = 0;
	MPI_Comm_dup(MPI_COMM_SELF, &comm);
	MPI_Comm_create_keyval(no_copy_comm, keep_comm, &key, NULL);
	MPI_Comm_set_attr(comm, key, &key);
	TRY(MPI_Comm_dup(comm, &comm_dup));
	TRY(MPI_Comm_free(&comm_dup));
	kept = MPI_ERR_ARG;
	TRY(MPI_Comm_set_attr(comm, key, &key));
	TRY(MPI_Comm_delete_attr(comm, key));
	TRY(MPI_Comm_free(&comm));
	kept = 0;
	TRY(MPI_Comm_free(&comm));
	MPI_Comm_free_keyval(&key);
}

static void files(void)
{
	char name[64];
	int v[4] = { 0 };
	MPI_Errhandler handler;
	MPI_Request request;
	MPI_Status status;
	MPI_Offset at;
	MPI_File file;

	snprintf(name, sizeof(name), "/tmp/ompi-cr-errors.%d", (int)getpid());
	TRY(MPI_File_open(MPI_COMM_NULL, name, MPI_MODE_RDONLY, MPI_INFO_NULL, &file));
	TRY(MPI_File_open(MPI_COMM_SELF, name, MPI_MODE_RDONLY, MPI_INFO_NULL, &file));
	TRY(MPI_File_open(MPI_COMM_SELF, name, MPI_MODE_RDONLY | MPI_MODE_WRONLY, MPI_INFO_NULL, &file));
	TRY(MPI_File_open(MPI_COMM_SELF, name, MPI_MODE_RDONLY | MPI_MODE_CREATE, MPI_INFO_NULL, &file));
	TRY(MPI_File_open(MPI_COMM_SELF, "/nowhere/at/all", MPI_MODE_RDWR | MPI_MODE_CREATE, MPI_INFO_NULL, &file));
	TRY(MPI_File_delete("/nowhere/at/all", MPI_INFO_NULL));
	TRY(MPI_File_close(&(MPI_File){ MPI_FILE_NULL }));
	TRY(MPI_File_read(MPI_FILE_NULL, v, 1, MPI_INT, &status));
	TRY(MPI_File_open(MPI_COMM_SELF, name, MPI_MODE_WRONLY | MPI_MODE_CREATE | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL, &file));
	TRY(MPI_File_read(file, v, 1, MPI_INT, &status));
	TRY(MPI_File_read_at(file, -1, v, 1, MPI_INT, &status));
	TRY(MPI_File_write(file, v, -1, MPI_INT, &status));
	TRY(MPI_File_write(file, v, 1, MPI_DATATYPE_NULL, &status));
	TRY(MPI_File_iwrite(file, v, -1, MPI_INT, &request));
	TRY(MPI_File_write_all_begin(file, v, -1, MPI_INT));
	TRY(MPI_File_seek(file, -5, MPI_SEEK_SET));
	TRY(MPI_File_seek(file, 0, 12345));
	TRY(MPI_File_seek_shared(file, 0, 12345));
	TRY(MPI_File_set_size(file, -1));
	TRY(MPI_File_preallocate(file, -1));
	TRY(MPI_File_set_view(file, -3, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
	TRY(MPI_File_set_view(file, 0, MPI_DATATYPE_NULL, MPI_INT, "native", MPI_INFO_NULL));
	TRY(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "no such", MPI_INFO_NULL));
	TRY(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, NULL, MPI_INFO_NULL));
	TRY(MPI_File_get_amode(file, NULL));
	TRY(MPI_File_get_size(file, NULL));
	TRY(MPI_File_get_position(MPI_FILE_NULL, &at));
	TRY(MPI_File_get_info(file, NULL));
	TRY(MPI_File_set_errhandler(file, MPI_ERRHANDLER_NULL));
	MPI_File_create_errhandler(on_file, &handler);
	MPI_File_set_errhandler(file, handler);
	called = 0;
	TRY(MPI_File_write(file, v, -1, MPI_INT, &status));
	if (rank == 0)
		printf("ok the file's handler ran %d time, class %d\n", called, last);
	MPI_Errhandler_free(&handler);
	TRY(MPI_File_close(&file));
}

static void tools(void)
{
	MPI_T_cvar_handle cvar;
	MPI_T_pvar_session session;
	int n, count;

	TRY(MPI_T_cvar_get_num(&n));
	MPI_T_init_thread(MPI_THREAD_SINGLE, &n);
	TRY(MPI_T_cvar_get_index("no such variable", &n));
	TRY(MPI_T_pvar_get_index("no such variable", MPI_T_PVAR_CLASS_COUNTER, &n));
	TRY(MPI_T_category_get_index("no such category", &n));
	TRY(MPI_T_cvar_handle_alloc(1 << 28, NULL, &cvar, &count));
	TRY(MPI_T_cvar_get_info(1 << 28, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
	TRY(MPI_T_pvar_session_create(&session));
	TRY(MPI_T_pvar_session_free(&session));
	TRY(MPI_T_finalize());
}

int main(int argc, char **argv)
{
	MPI_Errhandler handler;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
	tools();
	point_to_point();
	collectives();
	objects();
	attributes();
	files();
	MPI_Comm_create_errhandler(on_comm, &handler);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler);
	MPI_Errhandler_free(&handler);
	called = 0;
	TRY(MPI_Send(NULL, -1, MPI_INT, 0, 0, MPI_COMM_WORLD));
	TRY(MPI_Type_size(MPI_DATATYPE_NULL, &(int){ 0 }));
	TRY(MPI_Waitall(-1, NULL, MPI_STATUSES_IGNORE));
	if (rank == 0)
		printf("ok the handler ran %d times, class %d\n", called, last);
	MPI_Finalize();
	return 0;
}
