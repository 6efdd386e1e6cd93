/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Heap by brk and by mmap, a file that is written all along, argv, environment, identity: nothing may change under a checkpoint. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "step.h"

#define WORDS (512 * 1024)

static uint64_t table[4096] = {1, 2, 3};
static __thread uint64_t in_tls = 42;

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 300);
	const char *name = argc > 2 ? argv[2] : NULL;
	FILE *out = name ? fopen(name, "w") : NULL;
	uint64_t *heap = malloc(WORDS * sizeof(*heap));
	uint64_t sum = 1;
	pid_t pid = getpid();
	long tid = syscall(SYS_gettid);
	struct timespec last = {0, 0};
	char cwd[4096], exe[4096];

	STEP_CHECK(heap && getcwd(cwd, sizeof(cwd)));
	umask(027);
	for (size_t i = 0; i < WORDS; i++)
		heap[i] = step_mix(i);
	for (int s = 0; s < steps; s++) {
		uint64_t *more = sbrk(4096), *map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct timespec now;
		char here[4096];
		ssize_t n;

		STEP_CHECK(more != (void *)-1 && map != MAP_FAILED);
		more[0] = map[17] = sum;
		for (size_t i = (size_t)s; i < WORDS; i += 61)
			sum = heap[i] = step_mix(heap[i] ^ sum);
		sum ^= step_work(sum, 3) + in_tls + table[s % 4096];
		table[(s * 7) % 4096] = sum;
		in_tls++;
		STEP_CHECK(more[0] == map[17]);
		if (s % 3)
			munmap(map, 65536);
		STEP_CHECK(getpid() == pid && syscall(SYS_gettid) == tid && kill(pid, 0) == 0);
		STEP_CHECK(getcwd(here, sizeof(here)) && !strcmp(here, cwd));
		n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
		STEP_CHECK(n > 0);
		exe[n] = '\0';
		STEP_CHECK(strstr(exe, "plain_basic"));
		errno = 0;
		STEP_CHECK(access("/nonexistent/file", R_OK) == -1 && errno == ENOENT);
		clock_gettime(CLOCK_MONOTONIC, &now);
		STEP_CHECK(now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec));
		last = now;
		if (out)
			fprintf(out, "line %d %016llx\n", s, (unsigned long long)sum);
		step_print(s, sum);
		usleep(3000);
	}
	STEP_CHECK(umask(0) == 027);
	if (out)
		fclose(out);
	printf("ok %s\n", getenv("STEP_WORD") ? getenv("STEP_WORD") : "");
	return 0;
}
