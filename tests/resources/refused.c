/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a checkpoint refuses: the argument names it. refused.list says which words the reason holds.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/perf_event.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "resource.h"

static int fd = -1;

static int listening(struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CHECK(s >= 0 && bind(s, (void *)ret, sizeof(*ret)) == 0 && listen(s, 3) == 0 && getsockname(s, (void *)ret, &len) == 0);
	return s;
}

static void tcp_connected(void)
{
	struct sockaddr_in at;
	int s = listening(&at);

	CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && connect(fd, (void *)&at, sizeof(at)) == 0 && accept(s, NULL, NULL) >= 0 && close(s) == 0);
}

static void tcp_waiting(void)
{
	struct sockaddr_in at;

	fd = listening(&at);
	CHECK(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&at, sizeof(at)) == 0);
}

static void udp_connected(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(9) };

	CHECK((fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0 && connect(fd, (void *)&at, sizeof(at)) == 0);
}

static void udp_waiting(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	CHECK((fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0 && bind(fd, (void *)&at, sizeof(at)) == 0 && getsockname(fd, (void *)&at, &len) == 0);
	CHECK(sendto(fd, "x", 1, 0, (void *)&at, sizeof(at)) == 1);
}

static void multicast(void)
{
	struct ip_mreqn group = { .imr_multiaddr.s_addr = inet_addr("239.1.2.3"), .imr_address.s_addr = htonl(INADDR_LOOPBACK) };

	CHECK((fd = socket(AF_INET, SOCK_DGRAM, 0)) >= 0 && setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) == 0);
}

static void unix_waiting(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "service" };
	int client;

	CHECK((fd = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && bind(fd, (void *)&at, sizeof(at)) == 0 && listen(fd, 3) == 0);
	CHECK(connect(client = socket(AF_UNIX, SOCK_STREAM, 0), (void *)&at, sizeof(at)) == 0 && write(client, "early", 5) == 5);
}

static void passed(void)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { .h = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	int p[2], gone = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	CHECK(gone >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	memcpy(CMSG_DATA(&c.h), &gone, sizeof(int));
	CHECK(write(p[0], "before", 6) == 6 && sendmsg(p[0], &m, 0) == 1 && close(gone) == 0);
}

static void urgent(void)
{
	int p[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && send(p[0], "ab", 2, MSG_OOB) == 2);
}

/* The other end was closed with something unread: told once. */
static void unseen_error(void)
{
	int p[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && write(p[0], "x", 1) == 1 && close(p[1]) == 0);
	fd = p[0];
}

static void filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog all = { .len = 1, .filter = &allow };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) == 0);
}

static void netlink(void)
{
	CHECK((fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)) >= 0);
}

static void packet(void)
{
	CHECK((fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP))) >= 0);
}

static void raw_ip(void)
{
	CHECK((fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)) >= 0);
}

static void uring(void)
{
	unsigned int params[64] = { 0 };

	CHECK((fd = (int)syscall(SYS_io_uring_setup, 4, params)) >= 0);
}

static void aio(void)
{
	aio_context_t context = 0;

	CHECK(syscall(SYS_io_setup, 4, &context) == 0);
}

static void userfault(void)
{
	CHECK((fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC)) >= 0);
}

static void perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_TASK_CLOCK };

	CHECK((fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0)) >= 0);
}

static void fanotify(void)
{
	CHECK((fd = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY)) >= 0);
}

static void bpf(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 };

	CHECK((fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr))) >= 0);
}

static void namespace(void)
{
	CHECK((fd = open("/proc/self/ns/net", O_RDONLY)) >= 0);
}

static void pty(void)
{
	CHECK((fd = posix_openpt(O_RDWR | O_NOCTTY)) >= 0);
}

static void other_pidfd(void)
{
	CHECK((fd = (int)syscall(SYS_pidfd_open, 1, 0)) >= 0);
}

static void events(void)
{
	CHECK((fd = inotify_init1(0)) >= 0 && inotify_add_watch(fd, ".", IN_CREATE) > 0);
	CHECK(close(open("new", O_WRONLY | O_CREAT, 0600)) == 0);
}

static void lost_name(void)
{
	CHECK(mkdir("elsewhere", 0700) == 0 && (fd = open("first", O_RDWR | O_CREAT, 0600)) >= 0 && link("first", "elsewhere/second") == 0 && unlink("first") == 0);
}

static void foreign_proc(void)
{
	CHECK((fd = open("/proc/1/comm", O_RDONLY)) >= 0);
}

static void owner(void)
{
	int p[2];

	CHECK(pipe(p) == 0 && fcntl(p[0], F_SETOWN, 1) == 0);
}

static pthread_mutex_t inherit;

static void *waits(void *arg)
{
	*(volatile pid_t *)arg = (pid_t)syscall(SYS_gettid);
	CHECK(pthread_mutex_lock(&inherit) == 0);
	return NULL;
}

static void inheritance(void)
{
	static volatile pid_t tid;
	pthread_mutexattr_t attr;
	pthread_t t;
	char path[64], text[64];

	CHECK(pthread_mutexattr_init(&attr) == 0 && pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT) == 0);
	CHECK(pthread_mutex_init(&inherit, &attr) == 0 && pthread_mutex_lock(&inherit) == 0);
	CHECK(pthread_create(&t, NULL, waits, (void *)&tid) == 0);
	for (text[0] = '\0'; strncmp(text, "202 ", 4) != 0; usleep(1000)) { /* it is in futex(2) */
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
		f = tid ? fopen(path, "r") : NULL;
		if (f && !fgets(text, sizeof(text), f))
			text[0] = '\0';
		if (f)
			fclose(f);
	}
}

static int ipc_id = -1, ipc_is_queue;

/* A process that is not this one's child uses what this one uses, and ends a moment after it. */
static void outsider(void (*use)(void))
{
	pid_t self = getpid(), between = fork();
	int status;

	if (between == 0) {
		if (fork() != 0)
			_exit(0);
		use();
		close(0);
		close(1);
		for (;;) {
			usleep(20000);
			if (kill(self, 0) < 0)
				_exit(0);
		}
	}
	CHECK(between > 0 && waitpid(between, &status, 0) == between);
}

static void ipc_remove(void)
{
	if (ipc_is_queue)
		msgctl(ipc_id, IPC_RMID, NULL);
	else
		semctl(ipc_id, 0, IPC_RMID);
}

static void up(void)
{
	struct sembuf op = { .sem_num = 1, .sem_op = 1 };

	CHECK(semop(ipc_id, &op, 1) == 0);
}

static void semaphores(void)
{
	CHECK((ipc_id = semget(IPC_PRIVATE, 2, 0600)) >= 0 && atexit(ipc_remove) == 0);
	outsider(up);
	while (semctl(ipc_id, 1, GETVAL) != 1)
		usleep(1000);
}

static void send_one(void)
{
	struct {
		long type;
		char text[4];
	} m = { 1, "abc" };

	CHECK(msgsnd(ipc_id, &m, 4, 0) == 0);
}

static void queue(void)
{
	struct msqid_ds ds = { .msg_qnum = 0 };

	ipc_is_queue = 1;
	CHECK((ipc_id = msgget(IPC_PRIVATE, 0600)) >= 0 && atexit(ipc_remove) == 0);
	outsider(send_one);
	while (ds.msg_qnum != 1) {
		usleep(1000);
		CHECK(msgctl(ipc_id, IPC_STAT, &ds) == 0);
	}
}

static char mqueue_name[64];

static void mqueue_send(void)
{
	CHECK(mq_send(fd, "x", 1, 0) == 0);
}

static void mqueue_make(void)
{
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 8 };

	snprintf(mqueue_name, sizeof(mqueue_name), "/ompi-cr-refused-%d", (int)getpid());
	CHECK((fd = mq_open(mqueue_name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr)) >= 0 && mq_unlink(mqueue_name) == 0);
}

static void mqueue_outside(void)
{
	struct mq_attr attr = { .mq_curmsgs = 0 };

	mqueue_make();
	outsider(mqueue_send);
	while (attr.mq_curmsgs != 1) {
		usleep(1000);
		CHECK(mq_getattr(fd, &attr) == 0);
	}
}

static int notified_of;

static void mqueue_notify(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

	mqueue_make();
	CHECK(mq_notify(fd, &ev) == 0);
	notified_of = 1;
}

static void other_root(void)
{
	char path[16];

	CHECK(mkdir("root", 0700) == 0 && chdir("root") == 0 && chroot(".") == 0 && getcwd(path, sizeof(path)));
}

static void deadline(void)
{
	struct {
		uint32_t bytes, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = { .bytes = sizeof(attr), .policy = 6, .runtime = 1000000, .deadline = 1000000000, .period = 1000000000 };

	CHECK(syscall(SYS_sched_setattr, 0, &attr, 0) == 0);
}

static void identity(void)
{
	CHECK(setegid(65534) == 0); /* keeps its user: a checkpoint may be asked for by the same one */
}

static const struct {
	const char *name;
	void (*make)(void);
} objects[] = {
	{ "tcp_connected", tcp_connected }, { "tcp_waiting", tcp_waiting },   { "udp_connected", udp_connected }, { "udp_waiting", udp_waiting },
	{ "multicast", multicast },	    { "unix_waiting", unix_waiting }, { "passed", passed },		  { "netlink", netlink },
	{ "packet", packet },		    { "raw_ip", raw_ip },	      { "io_uring", uring },		  { "aio", aio },
	{ "userfaultfd", userfault },	    { "perf_event", perf },	      { "fanotify", fanotify },		  { "bpf", bpf },
	{ "namespace", namespace },	    { "pty", pty },		      { "other_pidfd", other_pidfd },	  { "events", events },
	{ "urgent", urgent }, { "unseen_error", unseen_error }, { "filter", filter },
	{ "lost_name", lost_name }, { "foreign_proc", foreign_proc },
	{ "owner", owner },		    { "identity", identity },	      { "inheritance", inheritance },	  { "chroot", other_root },
	{ "deadline", deadline },	    { "semaphores", semaphores },     { "queue", queue },
	{ "mqueue_outside", mqueue_outside }, { "mqueue_notify", mqueue_notify },
};

static void setup(void)
{
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		if (strcmp(objects[i].name, argument) == 0) {
			objects[i].make();
			return;
		}
	}
	CHECK(!"known");
}

static void verify(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	char got;

	CHECK(fd < 0 || fcntl(fd, F_GETFD) >= 0);
	if (strcmp(argument, "unseen_error") == 0)
		CHECK(read(fd, &got, 1) == -1 && errno == ECONNRESET);
	/* Nobody has taken it back. */
	CHECK(!notified_of || (mq_notify(fd, &ev) < 0 && errno == EBUSY));
}
