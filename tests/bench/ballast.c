/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A rank that holds argv[1] MiB of random memory and watches the clock: a gap in its own time is time that it stood still. Prints
 *   ready T                  the memory is filled
 *   gap MS at T              longest pause of the last 100 ms, when it was over 2 ms
 *   alive T                  each 100 ms (rank 0)
 * and checks all of its memory when the file argv[2] appears. With argv[3]: only writes the same bytes to that file, for comparison.
 */
#include <fcntl.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* The same bytes by write(2) in 1 MiB pieces, and by memcpy into a mapping. */
static void copy(const char *from, size_t bytes, const char *name)
{
	double t = now();
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *to;

	for (size_t at = 0; fd >= 0 && at < bytes; at += 1 << 20)
		if (write(fd, from + at, 1 << 20) != 1 << 20)
			perror(name);
	printf("write %.3f\n", now() - t);
	if (fd < 0 || ftruncate(fd, 0) || ftruncate(fd, (off_t)bytes))
		perror(name);
	t = now();
	to = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (to != MAP_FAILED)
		memcpy(to, from, bytes);
	printf("memcpy %.3f\n", now() - t);
	unlink(name);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	size_t bytes = (size_t)(argc > 1 ? atol(argv[1]) : 64) << 20;
	const char *stop = argc > 2 ? argv[2] : "stop";
	uint64_t *m, s = 0, bad = 0;
	double last, shown, gap = 0, t;
	int rank;
	char name[4096];

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return 3;
	s = (uint64_t)rank + 88172645463325252ULL;
	for (size_t i = 0; i < bytes / 8; i++)
		m[i] = next(&s);
	MPI_Barrier(MPI_COMM_WORLD);
	if (argc > 3) {
		snprintf(name, sizeof(name), "%s.%d", argv[3], rank);
		copy((char *)m, bytes, name);
		MPI_Finalize();
		return 0;
	}
	printf("ready %.6f\n", now());
	fflush(stdout);
	for (last = shown = now();; last = t) {
		t = now();
		if (t - last > gap)
			gap = t - last;
		if (t - shown < 0.1)
			continue;
		if (gap > 0.002)
			printf("gap %.2f at %.6f\n", gap * 1e3, t);
		if (rank == 0)
			printf("alive %.6f\n", t);
		fflush(stdout);
		gap = 0;
		shown = t = now();
		if (access(stop, F_OK) == 0)
			break;
	}
	s = (uint64_t)rank + 88172645463325252ULL;
	for (size_t i = 0; i < bytes / 8; i++)
		bad += m[i] != next(&s);
	printf("%s\n", bad ? "DAMAGED" : "verified");
	MPI_Finalize();
	return bad != 0;
}
