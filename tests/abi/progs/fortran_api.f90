! SPDX-License-Identifier: GPL-2.0-or-later
! What Fortran libraries of Open MPI take from libmpi beyond plain calls: attributes, operations, error handlers, statuses, handles of
! requests and groups, strings, types by kind, Alltoallw. Prints "ok" on rank 0.
module callbacks
  use mpi
  implicit none
  integer :: copies = 0, deletes = 0, errors = 0, last_code = 0, old_copies = 0
  integer, target :: box ! received through MPI_BOTTOM
contains
  subroutine fail(where)
    integer, intent(in) :: where
    integer :: ierr
    print *, 'failed at ', where
    call MPI_Abort(MPI_COMM_WORLD, 1, ierr)
  end subroutine
  subroutine copy_fn(comm, keyval, extra, in, out, flag, ierr)
    integer :: comm, keyval, ierr
    integer(MPI_ADDRESS_KIND) :: extra, in, out
    logical :: flag
    copies = copies + 1
    if (extra /= 77) call fail(1)
    out = in + 1
    flag = .true.
    ierr = MPI_SUCCESS
  end subroutine
  subroutine delete_fn(comm, keyval, value, extra, ierr)
    integer :: comm, keyval, ierr
    integer(MPI_ADDRESS_KIND) :: value, extra
    deletes = deletes + 1
    if (extra /= 77) call fail(2)
    ierr = MPI_SUCCESS
  end subroutine
  subroutine old_copy_fn(comm, keyval, extra, in, out, flag, ierr)
    integer :: comm, keyval, extra, in, out, ierr
    logical :: flag
    old_copies = old_copies + 1
    if (extra /= 5) call fail(3)
    out = in * 2
    flag = .true.
    ierr = MPI_SUCCESS
  end subroutine
  subroutine on_error(comm, code)
    integer :: comm, code, ierr, class
    errors = errors + 1
    call MPI_Error_class(code, class, ierr)
    last_code = class
  end subroutine
  subroutine add_pairs(in, inout, n, type)
    integer :: n, type, i
    integer :: in(2 * n), inout(2 * n)
    do i = 1, 2 * n
      inout(i) = inout(i) + in(i)
    end do
  end subroutine
end module

program fortran_api
  use callbacks
  implicit none
  integer :: ierr, rank, size, comm, other, key, old_key, eh, op, pairs, i, n, request(2), status(MPI_STATUS_SIZE)
  integer :: info, group, evens
  integer :: left, right, out, in, win, f90type, statuses(MPI_STATUS_SIZE, 2), ranges(3, 1)
  integer :: intercomm, half, wgroup
  integer(MPI_ADDRESS_KIND) :: value, disp
  integer, allocatable :: counts(:), displs(:), types(:), sendbuf(:), recvbuf(:)
  logical :: flag
  double precision :: t
  character(len=40) :: text
  character(len=MPI_MAX_OBJECT_NAME) :: name
  integer :: sums(2), mine(2), old_value

  call MPI_Init(ierr)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
  call MPI_Comm_size(MPI_COMM_WORLD, size, ierr)
  left = mod(rank + size - 1, size)
  right = mod(rank + 1, size)
  t = MPI_Wtime()
  if (MPI_Wtime() < t .or. MPI_Wtick() <= 0) call fail(10)

  ! attributes, both generations
  call MPI_Comm_create_keyval(copy_fn, delete_fn, key, 77_MPI_ADDRESS_KIND, ierr)
  call MPI_Comm_dup(MPI_COMM_WORLD, comm, ierr)
  call MPI_Comm_set_attr(comm, key, 1234567890123_MPI_ADDRESS_KIND, ierr)
  call MPI_Keyval_create(old_copy_fn, MPI_NULL_DELETE_FN, old_key, 5, ierr)
  call MPI_Attr_put(comm, old_key, 21, ierr)
  call MPI_Comm_dup(comm, other, ierr)
  if (copies /= 1 .or. old_copies /= 1) call fail(11)
  call MPI_Comm_get_attr(other, key, value, flag, ierr)
  if (.not. flag .or. value /= 1234567890124_MPI_ADDRESS_KIND) call fail(12)
  call MPI_Attr_get(other, old_key, old_value, flag, ierr)
  if (.not. flag .or. old_value /= 42) call fail(13)
  call MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, value, flag, ierr)
  if (.not. flag .or. value < 32767) call fail(14)
  call MPI_Attr_get(MPI_COMM_WORLD, MPI_TAG_UB, old_value, flag, ierr)
  if (.not. flag .or. old_value /= value) call fail(15)
  call MPI_Comm_free(other, ierr)
  if (deletes /= 1 .or. other /= MPI_COMM_NULL) call fail(16)
  call MPI_Comm_delete_attr(comm, key, ierr)
  if (deletes /= 2) call fail(17)
  call MPI_Comm_free_keyval(key, ierr)
  if (key /= MPI_KEYVAL_INVALID) call fail(18)

  ! names and infos: strings with blanks
  call MPI_Comm_set_name(comm, 'a name  ', ierr)
  call MPI_Comm_get_name(comm, name, n, ierr)
  if (name /= 'a name' .or. n /= 6) call fail(20)
  call MPI_Info_create(info, ierr)
  call MPI_Info_set(info, ' key ', ' the value ', ierr)
  call MPI_Info_get(info, 'key', 40, text, flag, ierr)
  if (.not. flag .or. text /= 'the value') call fail(21)
  call MPI_Info_free(info, ierr)

  ! operation on a derived type
  call MPI_Type_contiguous(2, MPI_INTEGER, pairs, ierr)
  call MPI_Type_commit(pairs, ierr)
  call MPI_Op_create(add_pairs, .true., op, ierr)
  mine = (/ rank, 1 /)
  call MPI_Allreduce(mine, sums, 1, pairs, op, comm, ierr)
  if (sums(1) /= size * (size - 1) / 2 .or. sums(2) /= size) call fail(30)
  sums = mine
  call MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_INTEGER, MPI_SUM, comm, ierr)
  if (sums(2) /= size) call fail(31)
  call MPI_Op_free(op, ierr)

  ! error handler
  call MPI_Comm_create_errhandler(on_error, eh, ierr)
  call MPI_Comm_set_errhandler(comm, eh, ierr)
  call MPI_Errhandler_free(eh, ierr)
  call MPI_Bcast(mine, 2, MPI_INTEGER, size + 3, comm, ierr)
  if (errors /= 1 .or. last_code /= MPI_ERR_ROOT .or. ierr == MPI_SUCCESS) call fail(40)

  ! requests, statuses, MPI_BOTTOM, persistent
  out = rank
  call MPI_Isend(out, 1, MPI_INTEGER, right, 3, comm, request(1), ierr)
  call MPI_Irecv(in, 1, MPI_INTEGER, left, MPI_ANY_TAG, comm, request(2), ierr)
  call MPI_Waitall(2, request, statuses, ierr)
  if (in /= left .or. statuses(MPI_SOURCE, 2) /= left .or. statuses(MPI_TAG, 2) /= 3) call fail(50)
  if (request(1) /= MPI_REQUEST_NULL .or. request(2) /= MPI_REQUEST_NULL) call fail(51)
  call MPI_Get_count(statuses(:, 2), MPI_INTEGER, n, ierr)
  if (n /= 1) call fail(52)
  call MPI_Get_address(box, disp, ierr)
  call MPI_Type_create_hindexed(1, (/ 1 /), (/ disp /), MPI_INTEGER, f90type, ierr)
  call MPI_Type_commit(f90type, ierr)
  box = -1
  call MPI_Sendrecv(out, 1, MPI_INTEGER, right, 4, MPI_BOTTOM, 1, f90type, left, 4, comm, MPI_STATUS_IGNORE, ierr)
  if (box /= left) call fail(53)
  call MPI_Type_free(f90type, ierr)
  call MPI_Send_init(out, 1, MPI_INTEGER, right, 5, comm, request(1), ierr)
  call MPI_Recv_init(in, 1, MPI_INTEGER, left, 5, comm, request(2), ierr)
  do i = 1, 3
    out = rank + i
    call MPI_Startall(2, request, ierr)
    call MPI_Waitall(2, request, MPI_STATUSES_IGNORE, ierr)
    if (in /= left + i) call fail(54)
  end do
  call MPI_Start(request(2), ierr)
  call MPI_Start(request(1), ierr)
  call MPI_Wait(request(1), status, ierr)
  call MPI_Wait(request(2), status, ierr)
  if (request(1) == MPI_REQUEST_NULL .or. request(2) == MPI_REQUEST_NULL) call fail(55)
  call MPI_Request_free(request(1), ierr)
  call MPI_Request_free(request(2), ierr)
  if (request(1) /= MPI_REQUEST_NULL) call fail(56)
  call MPI_Test(request(1), flag, status, ierr)
  if (.not. flag) call fail(57)

  ! groups and communicators made of them
  call MPI_Comm_group(comm, wgroup, ierr)
  ranges(:, 1) = (/ 0, (size - 1) / 2 * 2, 2 /)
  call MPI_Group_range_incl(wgroup, 1, ranges, evens, ierr)
  call MPI_Group_difference(wgroup, evens, group, ierr)
  call MPI_Group_size(group, n, ierr)
  if (n /= size / 2) call fail(60)
  call MPI_Comm_create(comm, evens, other, ierr)
  if ((other == MPI_COMM_NULL) .neqv. (mod(rank, 2) == 1)) call fail(61)
  call MPI_Group_free(group, ierr)
  call MPI_Group_free(evens, ierr)
  if (other /= MPI_COMM_NULL) call MPI_Comm_free(other, ierr)

  ! Alltoallw on an intra- and an inter-communicator: Fortran reads the sizes from the record
  allocate(counts(size), displs(size), types(size), sendbuf(size), recvbuf(size))
  counts = 1
  types = MPI_INTEGER
  do i = 1, size
    displs(i) = 4 * (i - 1)
    sendbuf(i) = rank * 100 + i - 1
  end do
  call MPI_Alltoallw(sendbuf, counts, displs, types, recvbuf, counts, displs, types, comm, ierr)
  do i = 1, size
    if (recvbuf(i) /= (i - 1) * 100 + rank) call fail(70)
  end do
  recvbuf = -1
  call MPI_Ialltoallw(sendbuf, counts, displs, types, recvbuf, counts, displs, types, comm, request(1), ierr)
  call MPI_Wait(request(1), MPI_STATUS_IGNORE, ierr)
  if (recvbuf(size) /= (size - 1) * 100 + rank) call fail(71)
  if (size > 1) then
    call MPI_Comm_split(comm, mod(rank, 2), 0, half, ierr)
    call MPI_Intercomm_create(half, 0, comm, 1 - mod(rank, 2), 6, intercomm, ierr)
    call MPI_Comm_remote_size(intercomm, n, ierr)
    recvbuf = -1
    call MPI_Alltoallw(sendbuf, counts, displs, types, recvbuf, counts, displs, types, intercomm, ierr)
    do i = 1, n
      if (recvbuf(i) /= (2 * (i - 1) + 1 - mod(rank, 2)) * 100 + rank / 2) call fail(72)
    end do
    call MPI_Comm_free(intercomm, ierr)
    call MPI_Comm_free(half, ierr)
  end if

  ! types by kind and size
  call MPI_Type_create_f90_real(15, MPI_UNDEFINED, f90type, ierr)
  call MPI_Type_size(f90type, n, ierr)
  if (n /= 8) call fail(80)
  call MPI_Type_match_size(MPI_TYPECLASS_REAL, 8, f90type, ierr)
  call MPI_Type_size(f90type, n, ierr)
  if (n /= 8) call fail(81)
  call MPI_Type_free(pairs, ierr)
  if (pairs /= MPI_DATATYPE_NULL) call fail(82)

  ! a window: its predefined attributes; Open MPI 4.1.4 makes none for one process here
  if (size > 1) then
  call MPI_Win_create(sendbuf, int(4 * size, MPI_ADDRESS_KIND), 4, MPI_INFO_NULL, comm, win, ierr)
  call MPI_Win_get_attr(win, MPI_WIN_SIZE, value, flag, ierr)
  if (.not. flag .or. value /= 4 * size) call fail(90)
  call MPI_Win_get_attr(win, MPI_WIN_DISP_UNIT, value, flag, ierr)
  if (.not. flag .or. value /= 4) call fail(91)
  call MPI_Win_fence(0, win, ierr)
  call MPI_Put(rank, 1, MPI_INTEGER, right, 0_MPI_ADDRESS_KIND, 1, MPI_INTEGER, win, ierr)
  call MPI_Win_fence(0, win, ierr)
  if (sendbuf(1) /= left) call fail(92)
  call MPI_Win_free(win, ierr)
  end if

  call MPI_Comm_free(comm, ierr)
  if (rank == 0) print '(a)', 'ok fortran'
  call MPI_Finalize(ierr)
end program
