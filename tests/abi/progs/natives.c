/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs natively and keeps a process from being checkpointed while it lasts: windows, files, generalized requests, MPI_T, persistent
 * collectives, spawned jobs, data representations. Prints "ok" on rank 0.
 *
 *   natives [PART]     with the name of a part: rank 0 prints "now PART" when its object exists and waits for a line on standard input
 */
#include <mpi.h>
#include <mpi-ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int rank, size;
static const char *part = "";

#define CHECK(condition)                                                                                    \
	do {                                                                                                \
		if (!(condition)) {                                                                         \
			fprintf(stderr, "rank %d: %s:%d: failed: %s\n", rank, __FILE__, __LINE__, #condition); \
			MPI_Abort(MPI_COMM_WORLD, 1);                                                       \
			exit(1);                                                                            \
		}                                                                                           \
	} while (0)
#define OK(call) CHECK((call) == MPI_SUCCESS)

static void now(const char *name)
{
	char line[8];

	if (strcmp(name, part) != 0)
		return;
	if (rank == 0) {
		printf("now %s\n", name);
		fflush(stdout);
		CHECK(fgets(line, sizeof(line), stdin) != NULL);
	}
	OK(MPI_Barrier(MPI_COMM_WORLD));
}

static void windows(void)
{
	int right = (rank + 1) % size, left = (rank + size - 1) % size, *base, *other, flag, value = 0, unit, n, key;
	int old = -1, one = 1, sum;
	MPI_Aint *bytes, segment;
	MPI_Group group;
	MPI_Request request;
	MPI_Win win;
	void *address;
	char name[MPI_MAX_OBJECT_NAME];

	OK(MPI_Win_allocate(4 * sizeof(int), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
	now("window");
	base[0] = base[1] = -1;
	base[2] = 0;
	OK(MPI_Win_get_attr(win, MPI_WIN_BASE, &address, &flag));
	CHECK(flag && address == base);
	OK(MPI_Win_get_attr(win, MPI_WIN_SIZE, &bytes, &flag));
	CHECK(flag && *bytes == 4 * sizeof(int));
	OK(MPI_Win_set_name(win, "a window"));
	OK(MPI_Win_get_name(win, name, &n));
	CHECK(strcmp(name, "a window") == 0);
	OK(MPI_Win_create_keyval(MPI_WIN_NULL_COPY_FN, MPI_WIN_NULL_DELETE_FN, &key, NULL));
	OK(MPI_Win_set_attr(win, key, &value));
	OK(MPI_Win_get_attr(win, key, &address, &flag));
	CHECK(flag && address == &value);
	OK(MPI_Win_fence(0, win));
	OK(MPI_Put(&rank, 1, MPI_INT, right, 0, 1, MPI_INT, win));
	OK(MPI_Win_fence(0, win));
	CHECK(base[0] == left);
	OK(MPI_Win_lock(MPI_LOCK_SHARED, right, 0, win));
	OK(MPI_Get(&value, 1, MPI_INT, right, 0, 1, MPI_INT, win));
	OK(MPI_Win_unlock(right, win));
	CHECK(value == rank);
	OK(MPI_Win_lock_all(0, win));
	OK(MPI_Accumulate(&one, 1, MPI_INT, 0, 2, 1, MPI_INT, MPI_SUM, win));
	OK(MPI_Win_flush(0, win));
	OK(MPI_Fetch_and_op(&one, &old, MPI_INT, right, 3, MPI_NO_OP, win));
	OK(MPI_Rput(&rank, 1, MPI_INT, right, 1, 1, MPI_INT, win, &request));
	OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
	OK(MPI_Win_unlock_all(win));
	OK(MPI_Barrier(MPI_COMM_WORLD));
	OK(MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win));
	CHECK(base[1] == left && (rank != 0 || base[2] == size));
	OK(MPI_Win_unlock(rank, win));
	OK(MPI_Win_get_group(win, &group));
	OK(MPI_Group_size(group, &n));
	CHECK(n == size);
	if (size > 1) {
		MPI_Group from, to;

		OK(MPI_Group_incl(group, 1, &left, &from));
		OK(MPI_Group_incl(group, 1, &right, &to));
		OK(MPI_Win_post(from, 0, win));
		OK(MPI_Win_start(to, 0, win));
		value = 100 + rank;
		OK(MPI_Put(&value, 1, MPI_INT, right, 0, 1, MPI_INT, win));
		OK(MPI_Win_complete(win));
		OK(MPI_Win_wait(win));
		CHECK(base[0] == 100 + left);
		OK(MPI_Group_free(&from));
		OK(MPI_Group_free(&to));
	}
	OK(MPI_Group_free(&group));
	OK(MPI_Win_free(&win));
	OK(MPI_Win_free_keyval(&key));
	CHECK(win == MPI_WIN_NULL);

	OK(MPI_Win_allocate_shared(sizeof(int), sizeof(int), MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
	*base = rank;
	OK(MPI_Win_fence(0, win));
	OK(MPI_Win_shared_query(win, right, &segment, &unit, &other));
	CHECK(*other == right);
	OK(MPI_Win_fence(0, win));
	OK(MPI_Win_free(&win));
	OK(MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
	CHECK(sum == size);
}

static void files(void)
{
	char name[64] = "", rep[MPI_MAX_DATAREP_STRING];
	int data[4], back[4], n, amode;
	MPI_Datatype filetype, etype, got;
	MPI_Offset disp, bytes;
	MPI_Request request;
	MPI_Status status;
	MPI_File file;
	MPI_Info info;

	if (rank == 0)
		snprintf(name, sizeof(name), "/tmp/ompi-cr-natives.%d", (int)getpid());
	OK(MPI_Bcast(name, sizeof(name), MPI_CHAR, 0, MPI_COMM_WORLD));
	OK(MPI_File_open(MPI_COMM_WORLD, name, MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL, &file));
	now("file");
	for (int i = 0; i < 4; i++)
		data[i] = rank * 10 + i;
	OK(MPI_Type_vector(4, 1, size, MPI_INT, &filetype));
	OK(MPI_Type_commit(&filetype));
	OK(MPI_File_set_view(file, (MPI_Offset)rank * 4, MPI_INT, filetype, "native", MPI_INFO_NULL));
	OK(MPI_File_write_all(file, data, 4, MPI_INT, &status));
	OK(MPI_Get_count(&status, MPI_INT, &n));
	CHECK(n == 4);
	OK(MPI_File_get_view(file, &disp, &etype, &got, rep));
	CHECK(disp == rank * 4 && etype == MPI_INT && strcmp(rep, "native") == 0);
	OK(MPI_Type_size(got, &n));
	CHECK(n == 16);
	OK(MPI_File_sync(file));
	OK(MPI_File_set_view(file, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
	OK(MPI_File_iread_at(file, (rank + 1) % size, back, 1, MPI_INT, &request));
	OK(MPI_Wait(&request, &status));
	CHECK(back[0] == (rank + 1) % size * 10);
	OK(MPI_File_get_size(file, &bytes));
	CHECK(bytes == 16 * size);
	OK(MPI_File_get_amode(file, &amode));
	CHECK(amode & MPI_MODE_RDWR);
	OK(MPI_File_get_info(file, &info));
	OK(MPI_Info_free(&info));
	n = MPI_File_read_at(file, 0, back, -1, MPI_INT, &status); /* files return errors */
	CHECK(n != MPI_SUCCESS);
	OK(MPI_Type_free(&filetype));
	OK(MPI_File_close(&file));
	CHECK(file == MPI_FILE_NULL);
	n = MPI_File_open(MPI_COMM_SELF, "/nonexistent/file", MPI_MODE_RDONLY, MPI_INFO_NULL, &file);
	OK(MPI_Error_class(n, &n));
	CHECK(n == MPI_ERR_NO_SUCH_FILE || n == MPI_ERR_FILE || n == MPI_ERR_OTHER);
}

static int queried, freed;

static int query(void *extra, MPI_Status *status)
{
	queried++;
	MPI_Status_set_elements(status, MPI_INT, *(int *)extra);
	MPI_Status_set_cancelled(status, 0);
	status->MPI_SOURCE = MPI_UNDEFINED;
	status->MPI_TAG = MPI_UNDEFINED;
	return MPI_SUCCESS;
}

static int free_it(void *extra)
{
	(void)extra;
	freed++;
	return MPI_SUCCESS;
}

static int cancel_it(void *extra, int complete)
{
	(void)extra, (void)complete;
	return MPI_SUCCESS;
}

static void generalized(void)
{
	int extra = 3, flag, n;
	MPI_Request request;
	MPI_Status status;

	OK(MPI_Grequest_start(query, free_it, cancel_it, &extra, &request));
	now("grequest");
	OK(MPI_Test(&request, &flag, &status));
	CHECK(!flag);
	OK(MPI_Grequest_complete(request));
	OK(MPI_Wait(&request, &status));
	CHECK(queried >= 1 && freed == 1 && request == MPI_REQUEST_NULL);
	OK(MPI_Get_count(&status, MPI_INT, &n));
	CHECK(n == 3);
}

static void tools(void)
{
	int provided, n, index, verbosity, bind, scope, name_len, desc_len, count, value;
	char name[256], desc[1024];
	MPI_T_cvar_handle handle;
	MPI_T_enum kinds;
	MPI_Datatype type;

	OK(MPI_T_init_thread(MPI_THREAD_SINGLE, &provided));
	OK(MPI_T_cvar_get_num(&n));
	CHECK(n > 100);
	OK(MPI_T_cvar_get_index("btl_base_verbose", &index));
	name_len = sizeof(name);
	desc_len = sizeof(desc);
	OK(MPI_T_cvar_get_info(index, name, &name_len, &verbosity, &type, &kinds, desc, &desc_len, &bind, &scope));
	CHECK(strcmp(name, "btl_base_verbose") == 0 && type == MPI_INT);
	OK(MPI_T_cvar_handle_alloc(index, NULL, &handle, &count));
	now("tool");
	OK(MPI_T_cvar_read(handle, &value));
	OK(MPI_T_cvar_handle_free(&handle));
	OK(MPI_T_finalize());
}

static void persistent(void)
{
	int x = rank, y = -1;
	MPI_Request request;

	OK(MPIX_Allreduce_init(&x, &y, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD, MPI_INFO_NULL, &request));
	now("persistent");
	for (int i = 0; i < 3; i++) {
		x = rank + i;
		OK(MPI_Start(&request));
		OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
		CHECK(y == size * (size - 1) / 2 + i * size);
	}
	OK(MPI_Request_free(&request));
}

static int child(MPI_Comm parent)
{
	MPI_Comm merged, none;
	int n, sum, one = 1;

	OK(MPI_Comm_remote_size(parent, &n));
	OK(MPI_Intercomm_merge(parent, 1, &merged));
	OK(MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, merged));
	CHECK(sum == n + 1);
	OK(MPI_Comm_free(&merged));
	OK(MPI_Comm_disconnect(&parent));
	OK(MPI_Comm_get_parent(&none));
	CHECK(none == MPI_COMM_NULL || none != MPI_COMM_NULL);
	OK(MPI_Finalize());
	return 0;
}

static void spawning(char *self)
{
	MPI_Comm children, merged;
	int code, sum, one = 1;

	OK(MPI_Comm_spawn(self, MPI_ARGV_NULL, 1, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children, &code));
	OK(MPI_Intercomm_merge(children, 0, &merged));
	now("spawn");
	OK(MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, merged));
	CHECK(sum == size + 1 && code == MPI_SUCCESS);
	OK(MPI_Comm_free(&merged));
	OK(MPI_Comm_disconnect(&children));
}

static void connecting(void)
{
	char port[MPI_MAX_PORT_NAME] = "";
	MPI_Comm half, other;
	int x = rank, y = -1;

	if (size < 2)
		return;
	OK(MPI_Comm_split(MPI_COMM_WORLD, rank == 0, 0, &half));
	if (rank == 0)
		OK(MPI_Open_port(MPI_INFO_NULL, port));
	OK(MPI_Bcast(port, sizeof(port), MPI_CHAR, 0, MPI_COMM_WORLD));
	if (rank == 0)
		OK(MPI_Comm_accept(port, MPI_INFO_NULL, 0, half, &other));
	else
		OK(MPI_Comm_connect(port, MPI_INFO_NULL, 0, half, &other));
	if (rank < 2) {
		OK(MPI_Sendrecv(&x, 1, MPI_INT, 0, 1, &y, 1, MPI_INT, 0, 1, other, MPI_STATUS_IGNORE));
		CHECK(y == 1 - rank);
	}
	OK(MPI_Comm_disconnect(&other));
	if (rank == 0)
		OK(MPI_Close_port(port));
	OK(MPI_Comm_free(&half));
}

int main(int argc, char **argv)
{
	MPI_Comm parent;
	char *memory;

	OK(MPI_Init(&argc, &argv));
	OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
	OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
	OK(MPI_Comm_get_parent(&parent));
	if (parent != MPI_COMM_NULL)
		return child(parent);
	if (argc > 1)
		part = argv[1];
	if (size > 1) /* Open MPI 4.1.4 makes no window for one process everywhere */
		windows();
	files();
	generalized();
	tools();
	OK(MPI_Alloc_mem(1000, MPI_INFO_NULL, &memory));
	memset(memory, 1, 1000);
	OK(MPI_Free_mem(memory));
	spawning(argv[0]);
	connecting();
	persistent();
	now("end");
	if (rank == 0)
		printf("ok natives\n");
	OK(MPI_Finalize());
	return 0;
}
