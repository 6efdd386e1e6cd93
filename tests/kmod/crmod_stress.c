// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random commands with random and half-right arguments from several processes at once, while their targets fork and die. Nothing is expected of any single
 * call but that it returns; at the end everybody must run and a plain request must work. SEED repeats the calls.
 */
#include "crmod_request.h"

#define CALLERS 4
#define CALLS	4000u

static const unsigned long commands[] = { CR_IOC_VERSION, CR_IOC_REQUEST, CR_IOC_REQUEST, CR_IOC_WAIT, CR_IOC_WAIT, CR_IOC_LIST, CR_IOC_RESUME,
					  CR_IOC_PAGES, CR_IOC_PAGES, CR_IOC_AREAS, CR_IOC_PHASE1, CR_IOC_PHASE1_READY, CR_IOC_NOCR_SET, CR_IOC_NOCR_CLEAR, CR_IOC_NOCR_GET,
					  _IO(CR_IOC_TYPE, 0x60), _IOWR(CR_IOC_TYPE, 0x41, char[3]) };
static pid_t targets[3];

static uint64_t pick(unsigned int *seed, const uint64_t *from, unsigned int n)
{
	return from[(unsigned int)rand_r(seed) % n];
}

/* A good address, one in the kernel, one that is not there, or the edge of the buffer. */
static uint64_t address(unsigned int *seed, unsigned char *buf)
{
	const uint64_t from[] = { (uintptr_t)buf, (uintptr_t)buf, (uintptr_t)buf, (uintptr_t)buf + 65536 - 8, 0, 0xffff888000000000ul, 1ul << 46 };

	return pick(seed, from, 7);
}

static void call(int fd, unsigned int *seed, unsigned char *buf)
{
	unsigned long cmd = commands[(unsigned int)rand_r(seed) % (sizeof(commands) / sizeof(commands[0]))];
	union {
		struct cr_ioc_request request;
		struct cr_ioc_wait wait;
		struct cr_ioc_list list;
		struct cr_ioc_pages pages;
		struct cr_ioc_areas areas;
		struct cr_ioc_ready ready;
		struct cr_ioc_nocr nocr;
		unsigned char bytes[256];
	} a;
	pid_t target = rand_r(seed) % 8 ? targets[(unsigned int)rand_r(seed) % 3] : (rand_r(seed) % 70000) - 1000;

	memset(&a, 0, sizeof(a));
	switch (cmd) {
	case CR_IOC_REQUEST:
		a.request = request_of((uint32_t)rand_r(seed) % 5, target);
		a.request.deadline_ns = now_ns() + (uint64_t)rand_r(seed) % (SECOND / 2);
		a.request.hold_ns = 1 + (uint64_t)rand_r(seed) % (SECOND / 4);
		if (a.request.scope == CR_IOC_PIDS || rand_r(seed) % 8 == 0) {
			a.request.target = 0;
			a.request.count = (uint32_t)rand_r(seed) % 4;
			a.request.pids = rand_r(seed) % 4 ? (uintptr_t)targets : address(seed, buf);
		}
		break;
	case CR_IOC_LIST:
		a.list.processes = address(seed, buf);
		a.list.count = (uint32_t)rand_r(seed) % 64;
		break;
	case CR_IOC_PAGES:
		a.pages = (struct cr_ioc_pages){ .pid = rand_r(seed) % 4 ? target : 0, .start = (uintptr_t)buf - 65536, .end = (uintptr_t)buf + 65536, .buf = address(seed, buf),
						 .buf_bytes = 65536, .runs = address(seed, buf), .max_runs = 1 + (uint32_t)rand_r(seed) % 16 };
		if (rand_r(seed) % 2) {
			a.pages.start = 4096;
			a.pages.end = 0x7ffffffff000ul;
		}
		break;
	case CR_IOC_AREAS:
		a.areas = (struct cr_ioc_areas){ .start = rand_r(seed) % 2 ? 0 : (uintptr_t)buf, .areas = address(seed, buf), .max = (uint32_t)rand_r(seed) % 64 };
		break;
	case CR_IOC_PHASE1_READY:
		a.ready.outcome = (uint32_t)rand_r(seed) % 6;
		a.ready.request = (uint64_t)rand_r(seed) % 100;
		break;
	case CR_IOC_NOCR_SET:
	case CR_IOC_NOCR_CLEAR:
	case CR_IOC_NOCR_GET:
		a.nocr.pid = target;
		if (cmd == CR_IOC_NOCR_SET)
			memcpy(a.nocr.reason, "stress", 7);
		break;
	default:
		break;
	}
	for (int flips = rand_r(seed) % 6 - 3; flips > 0; flips--)
		a.bytes[(unsigned int)rand_r(seed) % 72] ^= (unsigned char)(1 << rand_r(seed) % 8);
	ioctl(fd, cmd, rand_r(seed) % 16 ? (uintptr_t)&a : address(seed, buf));
}

static void caller(unsigned int seed)
{
	unsigned char *buf = mmap(NULL, 65536 * 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd[3] = { dev_open(), dev_open(), dev_open() };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int i = 0; i < CALLS; i++) {
		unsigned int which = (unsigned int)rand_r(&seed) % 3;

		call(fd[which], &seed, buf + 65536);
		if (rand_r(&seed) % 64 == 0) {
			close(fd[which]);
			fd[which] = dev_open();
		}
	}
	_exit(0);
}

static void target(unsigned int i)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		pid_t pid = fork();

		if (!pid) {
			usleep(1000);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		atomic_fetch_add(&counter[i], 1);
	}
}

int main(void)
{
	unsigned int seed = getenv("SEED") ? (unsigned int)atoi(getenv("SEED")) : (unsigned int)now_ns();
	pid_t callers[CALLERS];
	struct cr_ioc_wait w;
	int fd, status, good = 0;

	printf("# SEED=%u\n", seed);
	fflush(stdout);
	counters_init();
	for (unsigned int i = 0; i < 3; i++) {
		targets[i] = fork();
		if (!targets[i])
			target(i);
	}
	for (unsigned int i = 0; i < CALLERS; i++) {
		callers[i] = fork();
		if (!callers[i])
			caller(seed + i);
	}
	for (unsigned int i = 0; i < CALLERS; i++) {
		waitpid(callers[i], &status, 0);
		good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	ok(good == CALLERS, "%d processes made %u random calls each", good, CALLS);
	ok(counters_run(0, 3), "every target runs");
	fd = dev_open();
	for (unsigned int i = 0; i < 3; i++) {
		is(stop_pid(fd, CR_IOC_PROC, targets[i], &w), 0, "a plain request works");
		dev_call(fd, CR_IOC_RESUME, NULL);
		end_child(targets[i]);
	}
	return tap_end();
}
