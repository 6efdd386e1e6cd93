! SPDX-License-Identifier: GPL-2.0-or-later
! Fortran without MPI: allocatable arrays, formatted and unformatted files that stay open.
program fort_plain
  use, intrinsic :: iso_fortran_env, only: real64, int64, output_unit
  implicit none
  real(real64), allocatable :: a(:,:), b(:)
  integer :: s, steps, i, n
  integer(int64) :: k
  character(len=32) :: word
  real(real64) :: x

  steps = 150
  if (command_argument_count() >= 1) then
     call get_command_argument(1, word)
     read (word, *) steps
  end if
  n = 120
  allocate (a(n,n), b(n))
  do i = 1, n
     a(:,i) = [(sin(real(i * 7 + s, real64)), s = 1, n)]
     b(i) = 1.0_real64 / i
  end do
  x = 0
  k = 0
  open (unit=21, status='scratch', form='unformatted')
  do s = 1, steps
     do i = 1, 40
        b = matmul(a, b)
        b = b / maxval(abs(b))
     end do
     a(mod(s, n) + 1, :) = a(mod(s, n) + 1, :) + 0.001_real64 * b
     x = sum(b)
     k = transfer(x, k)
     write (21) k
     write (output_unit, '(a,i0,1x,z16.16)') 'step ', s, k
     flush (output_unit)
     call hold(s)
     call pause_ms(5)
  end do
  rewind (21)
  do s = 1, steps
     read (21) k
  end do
  close (21)
  if (k /= transfer(x, k)) then
     print '(a)', 'not ok: scratch file'
     stop 1
  end if
  print '(a)', 'ok'
contains
  ! As in step.h, counted from the end
  subroutine hold(step)
    integer, intent(in) :: step
    character(len=1024) :: words
    integer :: at, colon
    logical :: there
    call get_environment_variable('STEP_HOLD', words)
    colon = index(words, ':')
    if (colon < 2) return
    read (words(:colon - 1), *) at
    there = step < steps + at
    do while (.not. there)
       call pause_ms(10)
       inquire (file=trim(words(colon + 1:)), exist=there)
    end do
  end subroutine hold

  subroutine pause_ms(ms)
    use, intrinsic :: iso_c_binding, only: c_int
    interface
       integer(c_int) function usleep(usec) bind(c, name='usleep')
         import :: c_int
         integer(c_int), value :: usec
       end function usleep
    end interface
    integer, intent(in) :: ms
    integer(c_int) :: rc
    rc = usleep(int(ms * 1000, c_int))
  end subroutine pause_ms
end program fort_plain
