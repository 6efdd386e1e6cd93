/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cannot be saved is refused by number and name, never left out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcr/lower/files_set.h"
#include "tests/unit/test_files_harness.h"

#define TEXTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void to_five(int fd)
{
	CHECK(fd >= 0);
	CHECK(dup2(fd, 5) == 5);
	if (fd != 5)
		close(fd);
}

/* The harness holds it too. */
static int outer_event = -1;

static void make_inherited_eventfd(void)
{
	CHECK(dup2(outer_event, 5) == 5 && dup2(5, 9) == 9);
}

static void make_pidfd(void)
{
	to_five((int)syscall(SYS_pidfd_open, getppid(), 0));
}

static void make_memfd(void)
{
	to_five(memfd_create("buffer", MFD_HUGETLB));
}

static void make_namespace(void)
{
	to_five(open("/proc/self/ns/net", O_RDONLY));
}

static void make_mqueue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	char name[64];

	snprintf(name, sizeof(name), "/cr-test-%d", (int)getpid());
	to_five(mq_open(name, O_RDWR | O_CREAT, 0600, &attr));
	CHECK(mq_unlink(name) == 0 && mq_notify(5, &ev) == 0);
}

/* The description goes on where the program cannot reach it. */
static void make_epoll_of_lost(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = eventfd(0, 0);

	to_five(epoll_create1(0));
	CHECK(epoll_ctl(5, EPOLL_CTL_ADD, fd, &ev) == 0 && fcntl(fd, F_DUPFD, TEST_FLOOR) >= 0 && close(fd) == 0);
}

static void make_kernel_log(void)
{
	to_five(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
}

static void make_pty_master(void)
{
	to_five(posix_openpt(O_RDWR | O_NOCTTY));
}

static void test_kernel_objects(void **state)
{
	int fd;

	(void)state;
	outer_event = fcntl(eventfd(0, EFD_CLOEXEC), F_DUPFD, TEST_FLOOR + 80);
	assert_true(outer_event >= 0);
	test_refused(make_inherited_eventfd, TEXTS("descriptors 5, 9 ", "an eventfd", "the process that launched this one holds it too"));
	close(outer_event);
	test_refused(make_pidfd, TEXTS("descriptor 5 ", "pidfd"));
	test_refused(make_epoll_of_lost, TEXTS("descriptor 5 ", "an epoll instance", "no descriptor refers to any more"));
	test_refused(make_memfd, TEXTS("descriptor 5 ", "a memfd of huge TLB pages", "buffer"));
	test_refused(make_namespace, TEXTS("descriptor 5 ", "a network namespace"));
	test_refused(make_mqueue, TEXTS("descriptor 5 ", "/cr-test-", "mq_notify"));
	test_refused(make_pty_master, TEXTS("descriptor 5 ", "character device", "5:2"));
	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return; /* not everybody may */
	close(fd);
	test_refused(make_kernel_log, TEXTS("descriptor 5 ", "/dev/kmsg", "1:11"));
}

/* --- sockets --- */

static void make_connection(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to_five(socket(AF_INET, SOCK_STREAM, 0));
	CHECK(bind(5, (void *)&in, sizeof(in)) == 0 && listen(5, 1) == 0);
	CHECK(getsockname(5, (void *)&in, &len) == 0);
	CHECK(fcntl(5, F_DUPFD, TEST_FLOOR) >= 0);
	CHECK(connect(fd, (void *)&in, sizeof(in)) == 0);
	to_five(fd);
}

static void make_socketpair(void)
{
	int p[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	CHECK(fcntl(p[1], F_DUPFD, TEST_FLOOR) >= 0);
	close(p[1]);
	to_five(p[0]);
}

static void make_netlink(void)
{
	to_five(socket(AF_NETLINK, SOCK_RAW, 0));
}

static void test_sockets(void **state)
{
	(void)state;
	test_refused(make_connection, TEXTS("descriptor 5 ", "a TCP socket connected to 127.0.0.1:"));
	test_refused(make_socketpair, TEXTS("descriptor 5 ", "a UNIX socket connected to an unnamed socket"));
	test_refused(make_netlink, TEXTS("descriptor 5 ", "a netlink socket"));
}

/* --- pipes of others --- */

static void make_reader(void)
{
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(fcntl(p[1], F_DUPFD, TEST_FLOOR) >= 0);
	close(p[1]);
	to_five(p[0]);
}

static void make_writer(void)
{
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(fcntl(p[0], F_DUPFD, TEST_FLOOR) >= 0);
	close(p[0]);
	to_five(p[1]);
}

static int outer_pipe[2];

static void make_inherited(void)
{
	CHECK(dup2(outer_pipe[0], 5) == 5 && dup2(outer_pipe[1], 6) == 6);
}

static void inherited_refused(void)
{
	static struct test_reasons reasons;

	make_inherited();
	CHECK(cr_files_check(TEST_FLOOR, NULL, test_collect, &reasons) == 2);
	CHECK(strstr(reasons.text[0], "descriptor 5 ") && strstr(reasons.text[0], "the process that launched this one holds it too"));
	CHECK(strstr(reasons.text[1], "descriptor 6 "));
}

static void inherited_side(void)
{
	close(0);
	close(1);
	close(2);
	inherited_refused();
}

static void make_fifo_end(void)
{
	int writer;

	CHECK(mkfifo("fifo-end", 0600) == 0 && (writer = open("fifo-end", O_RDWR)) >= 0 && fcntl(writer, F_DUPFD, TEST_FLOOR) >= 0);
	close(writer);
	to_five(open("fifo-end", O_RDONLY | O_NONBLOCK));
}

static void test_pipes_of_others(void **state)
{
	int p[2];

	(void)state;
	test_refused(make_reader, TEXTS("descriptor 5 ", "pipe:[", "its writing end is held by another process"));
	test_refused(make_writer, TEXTS("descriptor 5 ", "pipe:[", "its reading end is held by another process"));
	test_refused(make_fifo_end, TEXTS("descriptor 5 ", "/fifo-end", "its writing end is held by another process"));
	assert_int_equal(pipe(p), 0);
	outer_pipe[0] = fcntl(p[0], F_DUPFD, TEST_FLOOR + 80);
	outer_pipe[1] = fcntl(p[1], F_DUPFD, TEST_FLOOR + 80);
	close(p[0]);
	close(p[1]);
	test_in_child(inherited_side);
	close(outer_pipe[0]);
	close(outer_pipe[1]);
}

/* --- locks, signals, lost names --- */

static void make_owner(void)
{
	to_five(open("/dev/null", O_RDWR));
	CHECK(fcntl(5, F_SETOWN, getppid()) == 0);
}

static void make_replaced(void)
{
	to_five(open("first", O_RDWR | O_CREAT, 0600));
	CHECK(mkdir("elsewhere", 0700) == 0 && link("first", "elsewhere/second") == 0 && unlink("first") == 0);
}

static void make_foreign_proc(void)
{
	to_five(open("/proc/1/comm", O_RDONLY));
}

static void make_task_proc(void)
{
	to_five(open("/proc/thread-self/comm", O_RDONLY));
}

static void test_locks_and_names(void **state)
{
	(void)state;
	test_refused(make_owner, TEXTS("descriptor 5 ", "/dev/null", "process ", "F_SETOWN"));
	test_refused(make_replaced, TEXTS("descriptor 5 ", "can no longer be reached under its name", "/first"));
	test_refused(make_foreign_proc, TEXTS("descriptor 5 ", "/proc/1/comm"));
	test_refused(make_task_proc, TEXTS("descriptor 5 ", "/task/"));
}

/* Each reason is told, and the save says how many there are. */
static void many_side(void)
{
	static struct test_reasons reasons;
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	struct cr_stdio stdio;
	int fd;

	cr_stdio_record(&stdio);
	make_namespace();
	CHECK(socket(AF_NETLINK, SOCK_RAW, 0) == 3);
	CHECK(cr_files_check(TEST_FLOOR, &stdio, test_collect, &reasons) == 2 && reasons.n == 2);
	fd = open("image", O_RDWR | O_CREAT | O_TRUNC, 0600);
	fd = fcntl(fd, F_DUPFD, TEST_FLOOR);
	close(4);
	CHECK(cr_image_writer_create(fd, &w, &err) == 0);
	CHECK(cr_files_save(TEST_FLOOR, &stdio, w, &err) == -ENOTSUP);
	if (!strstr(err.text, "(and 1 more reason)"))
		test_child_fail(__FILE__, __LINE__, "%s", err.text);
	cr_image_writer_destroy(w);
}

static void test_save_refuses(void **state)
{
	(void)state;
	test_in_child(many_side);
}

/* --- where kcmp is forbidden --- */

static void forbid_kcmp(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kcmp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void without_kcmp(void)
{
	int p[2];

	forbid_kcmp();
	CHECK(open("same", O_RDWR | O_CREAT, 0600) == 3);
	CHECK(open("same", O_RDWR) == 4);
	CHECK(dup(3) == 5);
	CHECK(!cr_file_same_description(3, 4, true));
	CHECK(cr_file_same_description(3, 5, true));
	CHECK(!(fcntl(3, F_GETFL) & O_NONBLOCK) && !(fcntl(4, F_GETFL) & O_NONBLOCK));
	CHECK(pipe2(p, O_NONBLOCK) == 0 && dup(p[0]) == 8);
	CHECK(cr_file_same_description(p[0], 8, true));
	CHECK(fcntl(8, F_GETFL) & O_NONBLOCK);
}

static void test_without_kcmp(void **state)
{
	(void)state;
	test_in_child(without_kcmp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_objects),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_pipes_of_others),
		cmocka_unit_test(test_locks_and_names),
		cmocka_unit_test(test_save_refuses),
		cmocka_unit_test(test_without_kcmp),
	};

	return cmocka_run_group_tests_name("files_refuse", tests, test_group_setup, test_group_teardown);
}
