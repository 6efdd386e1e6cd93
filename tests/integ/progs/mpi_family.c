/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ranks that have children: rank 0 a filter made by fork and exec that lives as long as the rank, and one that has ended and is waited for some
 * steps later; every rank now and then a command of system(3), or the output of one by popen(3). The ranks add up what the children have said.
 *
 * Usage: mpi_family STEPS [FILE]: after the steps, goes on without a word until there is that file
 */
#include <mpi.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "step.h"

static int rank, filter_fd;

/* A line to it comes back. */
static pid_t filter_start(void)
{
	int fds[2];
	pid_t pid;

	STEP_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	pid = fork();
	STEP_CHECK(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		dup2(fds[1], 0);
		dup2(fds[1], 1);
		close(fds[1]);
		execl("/bin/cat", "cat", NULL);
		_exit(127);
	}
	close(fds[1]);
	filter_fd = fds[0];
	return pid;
}

static uint64_t by_filter(uint64_t x)
{
	uint64_t y = 0;

	STEP_CHECK(write(filter_fd, &x, sizeof(x)) == sizeof(x));
	STEP_CHECK(recv(filter_fd, &y, sizeof(y), MSG_WAITALL) == sizeof(y));
	STEP_CHECK(x == y);
	return y;
}

static uint64_t by_system(int step)
{
	char command[64];
	int status;

	snprintf(command, sizeof(command), "/bin/sleep 0.05; exit %d", step % 100);
	status = system(command);
	STEP_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == step % 100);
	return (uint64_t)status;
}

static uint64_t by_popen(int step)
{
	char command[96], line[64];
	uint64_t sum = 0;
	FILE *f;

	snprintf(command, sizeof(command), "for i in 1 2 3; do echo $((i * %d)); /bin/sleep 0.02; done", step);
	f = popen(command, "r");
	STEP_CHECK(f);
	while (fgets(line, sizeof(line), f))
		sum = step_mix(sum + strtoull(line, NULL, 10));
	STEP_CHECK(pclose(f) == 0);
	return sum;
}

/* It ends at once; its parent finds that out three steps later. */
static uint64_t by_zombie(int step)
{
	static pid_t left;
	int status = 0;

	if (step % 4 == 0) {
		left = fork();
		STEP_CHECK(left >= 0);
		if (left == 0)
			_exit(step / 4 % 100);
	} else if (step % 4 == 3) {
		STEP_CHECK(waitpid(left, &status, 0) == left && WIFEXITED(status) && WEXITSTATUS(status) == step / 4 % 100);
	}
	return (uint64_t)status;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 50), status;
	uint64_t sum = 1, all;
	pid_t filter = 0;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank == 0)
		filter = filter_start();
	for (int i = 0; i < steps; i++) {
		sum = step_mix(sum + (uint64_t)rank);
		if (rank == 0)
			sum = by_filter(sum) + by_zombie(i);
		/* one rank alone has a command under way, then the other, then both */
		if (i % 3 != rank % 3)
			sum += i % 2 ? by_system(i) : by_popen(i);
		sum = step_work(sum, 5);
		MPI_Allreduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
		sum = step_mix(sum ^ all);
		if (rank == 0)
			step_print(i, all);
	}
	for (int there = argc < 3, mine; !there; step_work(1, 5)) {
		mine = access(argv[2], F_OK) == 0;
		MPI_Allreduce(&mine, &there, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
	}
	if (rank == 0) {
		close(filter_fd);
		STEP_CHECK(waitpid(filter, &status, 0) == filter && status == 0);
	}
	MPI_Finalize();
	return 0;
}
