! SPDX-License-Identifier: GPL-2.0-or-later
! The mpi module: an intercommunicator, non-blocking collectives, MPI_IN_PLACE, graph topology, error handler, info.
program ring_mpimod
  use mpi
  implicit none
  integer :: ierr, rank, np, s, steps, half, inter, graph, req(2), info, info2, lo, total(4), i, nodes, edges
  integer :: status(MPI_STATUS_SIZE), handler
  integer, allocatable :: idx(:), edge(:), all(:)
  double precision :: v(100), w(100)
  character(len=64) :: arg, value
  logical :: flag

  call MPI_Init(ierr)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
  call MPI_Comm_size(MPI_COMM_WORLD, np, ierr)
  steps = 1000
  if (command_argument_count() >= 1) then
     call get_command_argument(1, arg)
     read (arg, *) steps
  end if
  lo = merge(0, 1, rank < (np + 1) / 2)
  call MPI_Comm_split(MPI_COMM_WORLD, lo, rank, half, ierr)
  call MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, merge((np + 1) / 2, 0, lo == 0), 12, inter, ierr)
  allocate (idx(np), edge(2 * np), all(np))
  do i = 0, np - 1
     idx(i + 1) = 2 * (i + 1)
     edge(2 * i + 1) = mod(i + 1, np)
     edge(2 * i + 2) = mod(i + np - 1, np)
  end do
  call MPI_Graph_create(MPI_COMM_WORLD, np, idx, edge, .false., graph, ierr)
  call MPI_Comm_get_errhandler(graph, handler, ierr)
  call MPI_Comm_set_errhandler(graph, MPI_ERRORS_RETURN, ierr)
  call MPI_Info_create(info, ierr)
  call MPI_Info_set(info, 'colour', 'blue', ierr)
  v = [(dble(i + rank), i = 1, 100)]
  do s = 1, steps
     total = [s, rank, s + rank, 1]
     call MPI_Iallreduce(MPI_IN_PLACE, total, 4, MPI_INTEGER, MPI_SUM, half, req(1), ierr)
     call MPI_Ibarrier(graph, req(2), ierr)
     do i = 1, 300
        w = cos(v) + sqrt(abs(v))
     end do
     call MPI_Waitall(2, req, MPI_STATUSES_IGNORE, ierr)
     call MPI_Allgather(total(2), 1, MPI_INTEGER, all, 1, MPI_INTEGER, graph, ierr)
     v = w + mod(total(1), 10) + all(1)
     if (np > 1) then
        call MPI_Comm_rank(half, i, ierr)
        if (i == 0) then
           call MPI_Sendrecv(v, 100, MPI_DOUBLE_PRECISION, 0, s, w, 100, MPI_DOUBLE_PRECISION, 0, s, inter, status, ierr)
           v = 0.5d0 * (v + w)
        end if
     end if
     call MPI_Bcast(v, 100, MPI_DOUBLE_PRECISION, 0, half, ierr)
     call MPI_Graphdims_get(graph, nodes, edges, ierr)
     if (nodes /= np .or. edges /= 2 * np) call fail(1)
     call MPI_Send(v, 1, MPI_DOUBLE_PRECISION, np + 5, 1, graph, ierr)
     if (ierr == MPI_SUCCESS) call fail(2)
     if (mod(s, 25) == 0) then
        call MPI_Info_dup(info, info2, ierr)
        call MPI_Info_get(info2, 'colour', 60, value, flag, ierr)
        if (.not. flag .or. value /= 'blue') call fail(3)
        call MPI_Info_free(info2, ierr)
     end if
     if (rank == 0 .and. mod(s, 10) == 0) then
        write (*, '(a,i0,1x,z16.16,1x,i0)') 'step ', s, v(3), total(3)
        flush (6)
     end if
  end do
  call MPI_Comm_free(inter, ierr)
  call MPI_Comm_free(half, ierr)
  call MPI_Comm_free(graph, ierr)
  if (rank == 0) write (*, '(a)') 'ok'
  call MPI_Finalize(ierr)
contains
  subroutine fail(n)
    integer, intent(in) :: n
    integer :: e
    write (*, '(a,i0,a,i0)') 'not ok: check ', n, ' at step ', s
    flush (6)
    call MPI_Abort(MPI_COMM_WORLD, 1, e)
  end subroutine fail
end program ring_mpimod
