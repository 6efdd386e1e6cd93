/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that meet at run time. Two ranks; each way leads to a state in which they are bound to something outside of the job, and out of it again.
 *
 *   mpi_dynamic spawn | multiple | connect | port | publish | join     in it rank 0 says "bound" until the file "free" is there, then "alone" until "end" is there
 */
#include <arpa/inet.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "step.h"

static int rank, size;
static char port[MPI_MAX_PORT_NAME];

static void hold(const char *word, const char *file)
{
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 0)
		puts(word), fflush(stdout);
	while (access(file, F_OK) != 0)
		usleep(20000);
}

static void talk(MPI_Comm other)
{
	int one = 1, sum = 0;

	MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, other);
	STEP_CHECK(sum >= 1);
}

static void child(MPI_Comm parent)
{
	talk(parent);
	MPI_Comm_disconnect(&parent);
	MPI_Finalize();
	exit(0);
}

static void spawn(char *self, int multiple)
{
	char *commands[2] = { self, self };
	int ones[2] = { 1, 1 };
	MPI_Info infos[2] = { MPI_INFO_NULL, MPI_INFO_NULL };
	MPI_Comm children;

	if (multiple)
		MPI_Comm_spawn_multiple(2, commands, MPI_ARGVS_NULL, ones, infos, 0, MPI_COMM_WORLD, &children, MPI_ERRCODES_IGNORE);
	else
		MPI_Comm_spawn(self, MPI_ARGV_NULL, 1, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children, MPI_ERRCODES_IGNORE);
	hold("bound", "free");
	talk(children);
	MPI_Comm_disconnect(&children);
}

/* Rank 0 is the server of rank 1. */
static void connect_ranks(void)
{
	MPI_Comm other;

	if (rank == 0)
		MPI_Open_port(MPI_INFO_NULL, port);
	MPI_Bcast(port, sizeof(port), MPI_CHAR, 0, MPI_COMM_WORLD);
	if (rank == 0)
		MPI_Comm_accept(port, MPI_INFO_NULL, 0, MPI_COMM_SELF, &other);
	else
		MPI_Comm_connect(port, MPI_INFO_NULL, 0, MPI_COMM_SELF, &other);
	if (rank == 0)
		MPI_Close_port(port);
	hold("bound", "free");
	talk(other);
	MPI_Comm_disconnect(&other);
}

static void open_port(int publish)
{
	char found[MPI_MAX_PORT_NAME];

	if (rank == 0)
		MPI_Open_port(MPI_INFO_NULL, port);
	if (rank == 0 && publish)
		MPI_Publish_name("a service", MPI_INFO_NULL, port);
	hold("bound", "free");
	if (rank == 0 && publish) {
		MPI_Lookup_name("a service", MPI_INFO_NULL, found);
		STEP_CHECK(strcmp(found, port) == 0);
		MPI_Unpublish_name("a service", MPI_INFO_NULL, port);
	}
	if (rank == 0)
		MPI_Close_port(port);
}

/* A connection that the two ranks have made by themselves */
static void join(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0), listener = fd;
	MPI_Comm other;

	if (rank == 0) {
		STEP_CHECK(bind(fd, (struct sockaddr *)&address, n) == 0 && listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&address, &n) == 0);
		MPI_Send(&address, sizeof(address), MPI_BYTE, 1, 0, MPI_COMM_WORLD);
		fd = accept(listener, NULL, NULL);
		close(listener);
	} else {
		MPI_Recv(&address, sizeof(address), MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		STEP_CHECK(connect(fd, (struct sockaddr *)&address, n) == 0);
	}
	MPI_Comm_join(fd, &other);
	close(fd);
	hold("bound", "free");
	talk(other);
	MPI_Comm_disconnect(&other);
}

int main(int argc, char **argv)
{
	MPI_Comm parent;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Comm_get_parent(&parent);
	if (parent != MPI_COMM_NULL)
		child(parent);
	STEP_CHECK(argc == 2 && size == 2);
	if (strcmp(argv[1], "spawn") == 0 || strcmp(argv[1], "multiple") == 0)
		spawn(argv[0], argv[1][0] == 'm');
	else if (strcmp(argv[1], "connect") == 0)
		connect_ranks();
	else if (strcmp(argv[1], "join") == 0)
		join();
	else
		open_port(strcmp(argv[1], "publish") == 0);
	hold("alone", "end");
	MPI_Finalize();
	if (rank == 0)
		puts("ok");
	return 0;
}
