! SPDX-License-Identifier: GPL-2.0-or-later
! mpi_f08: derived types, non-blocking and persistent point-to-point, collectives, a communicator and an operator of its own.
module ring_ops
  use mpi_f08
  implicit none
contains
  subroutine combine(invec, inoutvec, len, datatype)
    use, intrinsic :: iso_c_binding, only: c_ptr, c_f_pointer
    type(c_ptr), value :: invec, inoutvec
    integer :: len
    type(MPI_Datatype) :: datatype
    integer, pointer :: a(:), b(:)
    call c_f_pointer(invec, a, [len])
    call c_f_pointer(inoutvec, b, [len])
    if (datatype == MPI_INTEGER) b = ieor(a, b)
  end subroutine combine
end module ring_ops

program ring_f08
  use, intrinsic :: iso_fortran_env, only: real64, output_unit
  use mpi_f08
  use ring_ops
  implicit none
  integer, parameter :: n = 24
  type(MPI_Comm) :: ring, pair
  type(MPI_Datatype) :: column, block
  type(MPI_Op) :: mix
  type(MPI_Request) :: req(4), again(2)
  type(MPI_Status) :: st(4), one
  real(real64) :: a(n, n), halo(n), total, out(4), back(4)
  integer :: rank, size, left, right, s, i, steps, word, got, count
  logical :: flag
  character(len=32) :: arg

  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_size(MPI_COMM_WORLD, size)
  steps = 1000
  if (command_argument_count() >= 1) then
     call get_command_argument(1, arg)
     read (arg, *) steps
  end if
  call MPI_Cart_create(MPI_COMM_WORLD, 1, [size], [.true.], .false., ring)
  call MPI_Cart_shift(ring, 0, 1, left, right)
  call MPI_Comm_split(MPI_COMM_WORLD, mod(rank, 2), -rank, pair)
  call MPI_Type_vector(n, 1, n, MPI_DOUBLE_PRECISION, column)      ! one row of a: strided
  call MPI_Type_commit(column)
  call MPI_Type_contiguous(4, MPI_DOUBLE_PRECISION, block)
  call MPI_Type_commit(block)
  call MPI_Op_create(combine, .true., mix)
  out = real(rank, real64)
  call MPI_Send_init(out, 1, block, right, 77, ring, again(1))
  call MPI_Recv_init(back, 1, block, left, 77, ring, again(2))
  do i = 1, n
     a(:, i) = [(real(i * 13 + s * 7 + rank, real64), s = 1, n)]
  end do
  word = rank + 1
  do s = 1, steps
     call MPI_Irecv(halo, n, MPI_DOUBLE_PRECISION, MPI_ANY_SOURCE, 5, ring, req(1))
     call MPI_Isend(a(mod(s, n) + 1, 1), 1, column, right, 5, ring, req(2))
     call MPI_Startall(2, again)
     do i = 1, 20
        a = cshift(a, 1, 2) * 0.999_real64 + 0.25_real64
     end do
     call MPI_Waitall(2, req, st)
     if (st(1)%MPI_SOURCE /= left) call fail('source')
     call MPI_Get_count(st(1), MPI_DOUBLE_PRECISION, count)
     if (count /= n) call fail('count')
     call MPI_Waitall(2, again, st)
     if (any(back /= out - rank + left)) call fail('persistent')
     a(1, :) = a(1, :) + halo
     out = real(rank, real64) + s
     call MPI_Allreduce(sum(a), total, 1, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD)
     call MPI_Allreduce(word + s, got, 1, MPI_INTEGER, mix, pair)
     word = ieor(got, word * 3)
     if (mod(s, 7) == 0) then
        call MPI_Sendrecv_replace(word, 1, MPI_INTEGER, left, 9, right, 9, ring, one)
        call MPI_Bcast(total, 1, MPI_DOUBLE_PRECISION, mod(s, size), ring)
        call MPI_Iprobe(MPI_ANY_SOURCE, 1234, ring, flag, one)
        if (flag) call fail('probe')
     end if
     a = a / (1 + abs(total) / 1e4_real64)
     if (rank == 0 .and. mod(s, 10) == 0) then
        write (output_unit, '(a,i0,1x,z16.16,1x,z8.8)') 'step ', s, transfer(total, 1_8), word
        flush (output_unit)
     end if
  end do
  call MPI_Request_free(again(1))
  call MPI_Request_free(again(2))
  call MPI_Op_free(mix)
  call MPI_Type_free(column)
  call MPI_Type_free(block)
  call MPI_Comm_free(ring)
  call MPI_Comm_free(pair)
  if (rank == 0) write (output_unit, '(a)') 'ok'
  call MPI_Finalize()
contains
  subroutine fail(what)
    character(len=*), intent(in) :: what
    write (output_unit, '(2a,i0)') 'not ok: ', what // ' at step ', s
    flush (output_unit)
    call MPI_Abort(MPI_COMM_WORLD, 1)
  end subroutine fail
end program ring_f08
