/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open things: pipes with data under way, dup'ed descriptors with one offset, an append-only log, an unlinked file, a shared mapping of a file,
 * directories, /dev/null, close-on-exec and status flags, descriptors with large numbers. argv[2]: a directory to work in.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "step.h"

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200), p[2], file, twin, far, gone, log, null, dir, shared;
	uint64_t sum = 9, *map;
	off_t at = 0, written = 0;

	if (argc > 2)
		STEP_CHECK(chdir(argv[2]) == 0);
	STEP_CHECK(pipe2(p, O_NONBLOCK) == 0);
	STEP_CHECK((file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0 && (twin = dup(file)) >= 0);
	STEP_CHECK((far = fcntl(file, F_DUPFD_CLOEXEC, 400)) == 400);
	STEP_CHECK((gone = open("gone", O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0 && unlink("gone") == 0);
	STEP_CHECK((log = open("log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600)) >= 0);
	STEP_CHECK((null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && (dir = open(".", O_RDONLY | O_DIRECTORY)) >= 0);
	STEP_CHECK((shared = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0 && ftruncate(shared, 8192) == 0);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
	STEP_CHECK(map != MAP_FAILED);
	STEP_CHECK(write(p[1], "0123456789", 10) == 10);
	for (int s = 0; s < steps; s++) {
		char got[16] = "", line[64];
		uint64_t back;

		sum = step_mix(sum) + step_work(sum, 3);
		STEP_CHECK(write(p[1], "ab", 2) == 2 && read(p[0], got, 2) == 2); /* eight or ten old bytes stay in the pipe */
		sum += (unsigned char)got[0];
		STEP_CHECK(write(s % 2 ? file : twin, &sum, sizeof(sum)) == sizeof(sum));
		at += (off_t)sizeof(sum);
		STEP_CHECK(lseek(file, 0, SEEK_CUR) == at && lseek(twin, 0, SEEK_CUR) == at && lseek(far, 0, SEEK_CUR) == at);
		STEP_CHECK(pread(far, &back, sizeof(back), at - (off_t)sizeof(back)) == sizeof(back) && back == sum);
		STEP_CHECK(pwrite(gone, &sum, sizeof(sum), (s % 900) * 1000) == sizeof(sum));
		STEP_CHECK(pread(gone, &back, sizeof(back), ((s / 2) % 900) * 1000) == sizeof(back));
		sum ^= back;
		map[s % 1024] = sum; /* what a run that went on too far wrote is written again: a shared file is not rolled back */
		STEP_CHECK(pread(shared, &back, sizeof(back), (s % 1024) * 8) == sizeof(back) && back == map[s % 1024]);
		sum += map[(s / 3) % 1024];
		STEP_CHECK(snprintf(line, sizeof(line), "%d %016llx\n", s, (unsigned long long)sum) > 0);
		STEP_CHECK(write(log, line, strlen(line)) == (ssize_t)strlen(line));
		written += (off_t)strlen(line);
		STEP_CHECK(write(null, line, 5) == 5);
		STEP_CHECK((fcntl(p[0], F_GETFL) & O_NONBLOCK) && (fcntl(log, F_GETFL) & O_APPEND));
		STEP_CHECK((fcntl(null, F_GETFD) & FD_CLOEXEC) && (fcntl(far, F_GETFD) & FD_CLOEXEC) && !(fcntl(file, F_GETFD) & FD_CLOEXEC));
		STEP_CHECK(faccessat(dir, "log", R_OK, 0) == 0 && faccessat(dir, "gone", R_OK, 0) == -1);
		step_print(s, sum);
		usleep(2000);
	}
	close(p[1]);
	STEP_CHECK(lseek(log, 0, SEEK_END) == written);
	puts("ok");
	return 0;
}
