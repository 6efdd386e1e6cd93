! SPDX-License-Identifier: GPL-2.0-or-later
! The same with mpi_f08: handles as derived types. Prints "ok" on rank 0.
module callbacks
  use mpi_f08
  implicit none
  integer :: errors = 0, deletes = 0
contains
  subroutine fail(where)
    integer, intent(in) :: where
    print *, 'failed at ', where
    call MPI_Abort(MPI_COMM_WORLD, 1)
  end subroutine
  subroutine on_error(comm, code)
    type(MPI_Comm) :: comm
    integer :: code
    errors = errors + 1
  end subroutine
  subroutine add_all(in, inout, n, type)
    use, intrinsic :: iso_c_binding
    type(c_ptr), value :: in, inout
    integer :: n, i
    type(MPI_Datatype) :: type
    integer, pointer :: a(:), b(:)
    if (type /= MPI_INTEGER) call fail(1)
    call c_f_pointer(in, a, (/ n /))
    call c_f_pointer(inout, b, (/ n /))
    do i = 1, n
      b(i) = b(i) + a(i)
    end do
  end subroutine
  subroutine delete_fn(comm, keyval, value, extra, ierror)
    type(MPI_Comm) :: comm
    integer :: keyval, ierror
    integer(MPI_ADDRESS_KIND) :: value, extra
    deletes = deletes + 1
    ierror = MPI_SUCCESS
  end subroutine
end module

program fortran_f08
  use callbacks
  implicit none
  type(MPI_Comm) :: comm, cart, newcomm
  type(MPI_Request) :: request(2), idup
  type(MPI_Status) :: status(2)
  type(MPI_Datatype) :: column, twice
  type(MPI_Op) :: op
  type(MPI_Errhandler) :: eh
  type(MPI_Group) :: group
  type(MPI_Message) :: message
  integer :: rank, size, left, right, a(4, 4), b(4), n, key, dims(1), i, sum, ierr
  logical :: flag, periods(1)
  integer(MPI_ADDRESS_KIND) :: value
  character(len=MPI_MAX_LIBRARY_VERSION_STRING) :: version

  call MPI_Init()
  call MPI_Get_library_version(version, n)
  if (n < 8) call fail(2)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_size(MPI_COMM_WORLD, size)
  call MPI_Comm_dup(MPI_COMM_WORLD, comm)
  if (comm == MPI_COMM_WORLD) call fail(3)
  left = mod(rank + size - 1, size)
  right = mod(rank + 1, size)

  call MPI_Type_vector(4, 1, 4, MPI_INTEGER, column)
  call MPI_Type_commit(column)
  call MPI_Type_dup(column, twice)
  do i = 1, 4
    a(:, i) = (/ 1, 2, 3, 4 /) + 10 * i + 100 * rank
  end do
  call MPI_Isend(a(2, 1), 1, twice, right, 7, comm, request(1))
  call MPI_Irecv(b, 4, MPI_INTEGER, left, 7, comm, request(2))
  call MPI_Waitall(2, request, status)
  if (any(b /= (/ 12, 22, 32, 42 /) + 100 * left)) call fail(10)
  if (status(2)%MPI_SOURCE /= left .or. request(1) /= MPI_REQUEST_NULL) call fail(11)
  call MPI_Isend(rank, 1, MPI_INTEGER, right, 8, comm, request(1))
  call MPI_Mprobe(left, 8, comm, message, status(1))
  call MPI_Mrecv(n, 1, MPI_INTEGER, message, MPI_STATUS_IGNORE)
  call MPI_Wait(request(1), MPI_STATUS_IGNORE)
  if (n /= left .or. message /= MPI_MESSAGE_NULL) call fail(12)

  call MPI_Op_create(add_all, .true., op)
  call MPI_Allreduce(rank, sum, 1, MPI_INTEGER, op, comm)
  if (sum /= size * (size - 1) / 2) call fail(20)
  call MPI_Op_free(op)

  call MPI_Comm_create_errhandler(on_error, eh)
  call MPI_Comm_set_errhandler(comm, eh)
  call MPI_Bcast(n, 1, MPI_INTEGER, size + 1, comm, ierr)
  if (errors /= 1 .or. ierr == MPI_SUCCESS) call fail(30)

  call MPI_Comm_create_keyval(MPI_COMM_DUP_FN, delete_fn, key, 0_MPI_ADDRESS_KIND)
  call MPI_Comm_set_attr(comm, key, 99_MPI_ADDRESS_KIND)
  call MPI_Comm_idup(comm, newcomm, idup)
  call MPI_Wait(idup, MPI_STATUS_IGNORE)
  call MPI_Comm_get_attr(newcomm, key, value, flag)
  if (.not. flag .or. value /= 99) call fail(40)
  call MPI_Comm_free(newcomm)
  if (deletes /= 1) call fail(41)

  dims = size
  periods = .true.
  call MPI_Cart_create(comm, 1, dims, periods, .false., cart)
  call MPI_Cart_shift(cart, 0, 1, left, right)
  call MPI_Sendrecv(rank, 1, MPI_INTEGER, right, 1, n, 1, MPI_INTEGER, left, 1, cart, status(1))
  if (n /= left) call fail(50)
  call MPI_Comm_group(cart, group)
  call MPI_Group_size(group, n)
  if (n /= size) call fail(51)
  call MPI_Group_free(group)
  call MPI_Comm_free(cart)
  call MPI_Type_free(column)
  call MPI_Type_free(twice)
  call MPI_Comm_free(comm)
  if (deletes /= 2) call fail(52)
  if (rank == 0) print '(a)', 'ok f08'
  call MPI_Finalize()
end program
