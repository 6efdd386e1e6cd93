// SPDX-License-Identifier: GPL-2.0-or-later
// The C++ bindings of MPI-2, which run unchanged above our libmpi: exceptions, operations, attributes, error handlers. Prints "ok" on rank 0.
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

static int handler_calls, copies;

static void fail(int line)
{
	std::fprintf(stderr, "cxx_api: failed at line %d\n", line);
	MPI::COMM_WORLD.Abort(1);
}
#define CHECK(c)                        \
	do {                            \
		if (!(c))               \
			fail(__LINE__); \
	} while (0)

static void multiply(const void *in, void *inout, int n, const MPI::Datatype &type)
{
	CHECK(type == MPI::DOUBLE);
	for (int i = 0; i < n; i++)
		static_cast<double *>(inout)[i] *= static_cast<const double *>(in)[i];
}

static void add(const void *in, void *inout, int n, const MPI::Datatype &)
{
	for (int i = 0; i < n; i++)
		static_cast<double *>(inout)[i] += static_cast<const double *>(in)[i];
}

static void on_error(MPI::Comm &, int *, ...)
{
	handler_calls++;
}

static int copy_attr(const MPI::Comm &, int, void *extra, void *in, void *out, bool &flag)
{
	CHECK(extra == &copies);
	copies++;
	*static_cast<void **>(out) = in;
	flag = true;
	return MPI::SUCCESS;
}

static int delete_attr(MPI::Comm &, int, void *, void *)
{
	return MPI::SUCCESS;
}

int main(int argc, char **argv)
{
	MPI::Init(argc, argv);
	int rank = MPI::COMM_WORLD.Get_rank(), size = MPI::COMM_WORLD.Get_size();
	double x = rank + 1, y = 0, factorial = 1;

	for (int i = 1; i <= size; i++)
		factorial *= i;
	MPI::Intracomm dup = MPI::COMM_WORLD.Dup();
	MPI::Op product, sum;
	product.Init(multiply, true);
	sum.Init(add, true);
	dup.Allreduce(&x, &y, 1, MPI::DOUBLE, product);
	CHECK(y == factorial);
	dup.Allreduce(&x, &y, 1, MPI::DOUBLE, sum); // same intercept, another function
	CHECK(y == size * (size + 1) / 2);
	product.Free();
	sum.Free();

	dup.Set_errhandler(MPI::ERRORS_THROW_EXCEPTIONS);
	// Built without exceptions, the bindings leave the code in MPI::mpi_errno.
	bool caught = false;
	try {
		dup.Bcast(&x, 1, MPI::DOUBLE, size + 2);
		caught = MPI::Get_error_class(MPI::mpi_errno) == MPI::ERR_ROOT;
	} catch (MPI::Exception &e) {
		caught = e.Get_error_class() == MPI::ERR_ROOT;
	}
	CHECK(caught);
	caught = false;
	try {
		dup.Send(&x, 1, MPI::DOUBLE, size + 2, 0);
		caught = MPI::Get_error_class(MPI::mpi_errno) == MPI::ERR_RANK;
	} catch (MPI::Exception &e) {
		caught = e.Get_error_class() == MPI::ERR_RANK;
	}
	CHECK(caught);
	MPI::Errhandler handler = MPI::Comm::Create_errhandler(on_error);
	dup.Set_errhandler(handler);
	handler.Free();
	dup.Bcast(&x, 1, MPI::DOUBLE, size + 2);
	CHECK(handler_calls == 1);

	int key = MPI::Comm::Create_keyval(copy_attr, delete_attr, &copies);
	dup.Set_attr(key, &x);
	MPI::Intracomm other = dup.Dup();
	void *value = NULL;
	CHECK(copies == 1 && other.Get_attr(key, &value) && value == &x);
	other.Free();
	MPI::Comm::Free_keyval(key);

	int dims[1] = { size };
	bool periods[1] = { true };
	MPI::Cartcomm cart = dup.Create_cart(1, dims, periods, false);
	int left, right, got = -1;
	cart.Shift(0, 1, left, right);
	MPI::Request request = cart.Isend(&rank, 1, MPI::INT, right, 1);
	MPI::Status status;
	cart.Recv(&got, 1, MPI::INT, left, 1, status);
	request.Wait();
	CHECK(got == left && status.Get_source() == left && cart.Get_topology() == MPI::CART);
	cart.Free();
	dup.Free();
	if (rank == 0)
		std::printf("ok cxx\n");
	MPI::Finalize();
	return 0;
}
