/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Busy threads that check every step they take: a hand-off by mutex and condition, memory that is filled and compared, threads that come and
 * go, records appended to a file and read back, signals that are raised, queued, waited for and left by siglongjmp, timers.
 *
 * Each thread keeps a hash of all its steps; it also computes the hash that it must have. Runs until SIGTERM comes; then it says how many
 * steps there were and ends with "ok".
 * argv[1]: the file for the records.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "step.h"

static volatile sig_atomic_t stop;
static uint64_t steps[6];

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

/* ---- two threads hand a number to each other, in turn */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned[2] = { PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER };
static uint64_t token = 1, handed;
static int over;

static void *hand_off(void *arg)
{
	unsigned int me = arg != NULL;
	uint64_t mine = 1, n = 0;

	pthread_mutex_lock(&lock);
	for (;;) {
		struct timespec t;

		while ((handed & 1) != me && !over) {
			if (n % 3) {
				STEP_CHECK(pthread_cond_wait(&turned[me], &lock) == 0);
			} else {
				clock_gettime(CLOCK_REALTIME, &t);
				t.tv_sec += 3600;
				STEP_CHECK(pthread_cond_timedwait(&turned[me], &lock, &t) == 0);
			}
		}
		if ((handed & 1) != me)
			break;
		STEP_CHECK(handed == 2 * n + me);
		/* what the other one must have made of it since */
		if (me)
			mine = step_mix(mine + 2 * n);
		else if (n)
			mine = step_mix(mine + 2 * n - 1);
		STEP_CHECK(token == mine);
		mine = token = step_mix(token + handed);
		handed++;
		n++;
		steps[me] = n;
		if (stop && !me)
			over = 1;
		if (n % 512 == 0)
			usleep(2000); /* not the whole machine */
		pthread_cond_signal(&turned[!me]);
		if (over && !me)
			break;
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* ---- memory, records, short-lived threads */

struct record {
	uint64_t number, hash;
};

static void *short_lived(void *arg)
{
	uint64_t *x = arg;
	char *p = malloc(100);

	STEP_CHECK(p);
	memset(p, 1, 100);
	free(p);
	*x = step_mix(*x);
	return x;
}

static void *memory(void *arg)
{
	enum { BLOCKS = 64 };
	unsigned char *block[BLOCKS] = { NULL };
	size_t bytes[BLOCKS] = { 0 };
	uint64_t hash = 7, sums[2], n;
	struct record r, back;
	int fd = open(arg, O_RDWR | O_CREAT | O_APPEND | O_TRUNC, 0600);

	STEP_CHECK(fd >= 0);
	for (n = 0; !stop; n++) {
		size_t k = hash % BLOCKS, was = bytes[k], want = 16 + (hash >> 8) % (n % 50 ? 3000 : 300000);
		volatile double a = 0, b = 0;

		for (size_t i = 0; i < was; i++)
			STEP_CHECK(block[k][i] == (unsigned char)(was + k));
		if (hash & 64) {
			free(block[k]);
			block[k] = malloc(want);
		} else {
			block[k] = realloc(block[k], want);
			for (size_t i = 0; block[k] && i < was && i < want; i++)
				STEP_CHECK(block[k][i] == (unsigned char)(was + k));
		}
		STEP_CHECK(block[k]);
		memset(block[k], (int)((want + k) & 255), want);
		bytes[k] = want;
		for (int round = 0; round < 2; round++) {
			double x = 0;

			for (int i = 1; i < 400; i++)
				x += 1.0 / i;
			if (round)
				b = x;
			else
				a = x;
		}
		STEP_CHECK(a == b);
		hash = step_mix(hash + n);
		r = (struct record){ n, hash };
		STEP_CHECK(write(fd, &r, sizeof(r)) == sizeof(r));
		STEP_CHECK(lseek(fd, 0, SEEK_CUR) == (off_t)((n + 1) * sizeof(r)));
		STEP_CHECK(pread(fd, &back, sizeof(back), (off_t)(n * sizeof(r))) == sizeof(back) && !memcmp(&r, &back, sizeof(r)));
		if (n % 4 == 0) {
			pthread_t t[2];

			for (int i = 0; i < 2; i++) {
				sums[i] = hash + (uint64_t)i;
				STEP_CHECK(pthread_create(&t[i], NULL, short_lived, &sums[i]) == 0);
			}
			for (int i = 0; i < 2; i++) {
				void *ret = NULL;

				STEP_CHECK(pthread_join(t[i], &ret) == 0 && ret == &sums[i] && sums[i] == step_mix(hash + (uint64_t)i));
			}
		}
		if (n % 1000 == 999)
			malloc_trim(0);
		if (n % 16 == 0)
			usleep(500);
		steps[2] = n + 1;
	}
	/* the whole file once more, from its beginning */
	hash = 7;
	for (uint64_t i = 0; i < n; i++) {
		hash = step_mix(hash + i);
		STEP_CHECK(pread(fd, &back, sizeof(back), (off_t)(i * sizeof(r))) == sizeof(back) && back.number == i && back.hash == hash);
	}
	return NULL;
}

/* ---- signals of one thread to itself */

static __thread sigjmp_buf *leave;
static __thread volatile uint64_t raised;
static volatile uint64_t ticks;

static void on_raise(int sig)
{
	(void)sig;
	raised++;
	if (leave)
		siglongjmp(*leave, 1);
}

static void on_tick(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	STEP_CHECK(si->si_code == SI_TIMER);
	ticks++;
}

static void queue_and_take(uint64_t n)
{
	union sigval v = { .sival_int = (int)(n & 0xffffff) };
	sigset_t queued;
	siginfo_t si;

	sigemptyset(&queued);
	sigaddset(&queued, SIGRTMIN + 1);
	pthread_sigmask(SIG_BLOCK, &queued, NULL);
	STEP_CHECK(pthread_sigqueue(pthread_self(), SIGRTMIN + 1, v) == 0);
	while (sigwaitinfo(&queued, &si) < 0)
		STEP_CHECK(errno == EINTR);
	STEP_CHECK(si.si_value.sival_int == v.sival_int && si.si_code == SI_QUEUE && si.si_pid == getpid());
}

static void *signals(void *arg)
{
	for (volatile uint64_t n = 0; !stop; n = n + 1) {
		sigjmp_buf out;

		STEP_CHECK(raise(SIGUSR1) == 0);
		STEP_CHECK(raised == 3 * n + 1);
		if (sigsetjmp(out, 1) == 0) {
			leave = &out;
			raise(SIGUSR1);
			STEP_CHECK(!"raise() returned");
		}
		leave = NULL;
		STEP_CHECK(raised == 3 * n + 2);
		STEP_CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0);
		STEP_CHECK(raised == 3 * n + 3);
		queue_and_take(n);
		steps[3] = n + 1;
		if (n % 64 == 0)
			usleep(500);
	}
	return arg;
}

/* ---- a timer and who waits for it */

static volatile uint64_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* Every period a signal that only this thread takes; each wait is ended by exactly one. */
static void *alarmed(void *arg)
{
	struct itimerval once = { .it_value = { 0, 300 } };
	sigset_t in_wait, only;

	sigemptyset(&only);
	sigaddset(&only, SIGALRM);
	pthread_sigmask(SIG_SETMASK, NULL, &in_wait);
	sigdelset(&in_wait, SIGALRM);
	for (uint64_t n = 0; !stop; n++) {
		STEP_CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
		while (alarms == n) {
			if (n & 1)
				STEP_CHECK(sigsuspend(&in_wait) < 0 && errno == EINTR);
			else
				STEP_CHECK(ppoll(NULL, 0, NULL, &in_wait) < 0 && errno == EINTR);
		}
		STEP_CHECK(alarms == n + 1);
		steps[4] = n + 1;
	}
	return arg;
}

int main(int argc, char **argv)
{
	struct sigaction term = { .sa_handler = on_term }, up = { .sa_handler = on_raise }, alarm = { .sa_handler = on_alarm },
			 tick = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2 };
	struct itimerspec every = { { 0, 700000 }, { 0, 700000 } };
	pthread_t t[5];
	sigset_t block, mine;
	timer_t timer;

	if (argc < 2)
		return 2;
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGUSR1, &up, NULL);
	sigaction(SIGALRM, &alarm, NULL);
	sigaction(SIGRTMIN + 2, &tick, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigaddset(&block, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &block, &mine);
	STEP_CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0 && timer_settime(timer, 0, &every, NULL) == 0);
	STEP_CHECK(pthread_create(&t[0], NULL, hand_off, NULL) == 0 && pthread_create(&t[1], NULL, hand_off, &t) == 0);
	STEP_CHECK(pthread_create(&t[2], NULL, memory, argv[1]) == 0 && pthread_create(&t[3], NULL, signals, NULL) == 0);
	STEP_CHECK(pthread_create(&t[4], NULL, alarmed, NULL) == 0);
	sigdelset(&mine, SIGTERM);
	sigaddset(&mine, SIGALRM);
	while (!stop) {
		uint64_t before = ticks;

		STEP_CHECK(sigsuspend(&mine) < 0 && errno == EINTR);
		steps[5] += ticks != before;
	}
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], NULL);
	printf("steps:");
	for (int i = 0; i < 6; i++)
		printf(" %llu", (unsigned long long)steps[i]);
	puts("\nok");
	return 0;
}
