/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A job without MPI and without checkpoints, to test snapcd with: this process plays mpirun and its component, a child per rank plays the
 * agent.  What the agents send is what include/cr_proto.h says, written independently of snapc/wire.c.
 *
 * Usage: fake_job --snapcd FILE --np N --dir DIR --ref NAME [OPTION]...
 *   --no-mpi             the ranks never say that MPI is ready
 *   --late RANK          this rank has not passed MPI_Init
 *   --finalized RANK     this rank has entered MPI_Finalize
 *   --absent RANK        this rank has no process
 *   --shell              a second process (a shell) stands before each rank
 *   --rival              a process that rank 0 has spawned: also rank 0, of another MPI_COMM_WORLD
 *   --fork               every rank has a child that holds its connection
 *   --private MIB        memory of every rank in the window
 *   --behave N:MSG:RANK:ACTION  at the Nth MSG (check begin stop drain freeze dump snap resume) the rank does: die fail hang nocr
 *   --delay MS           between SNAPPED and DUMPED
 *   --deaf               mpirun ignores "terminate"
 *   --nodes M            the ranks are on M other nodes, each with a snapcd of its own; rank R on node R % M, whose log is LOG.node<R % M>
 *
 * A rank whose connection ends connects again, as a real one does.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cr_proto.h"
#include "libcr/cr_board.h"
#include "libcr/cr_layout.h"

#define WORLD_CLOCK 0x1111u
#define MAX_BEHAVE 8

struct behave {
	int nth;
	int rank;
	char message[16];
	char action[16];
};

struct settings {
	const char *snapcd, *dir, *ref, *log;
	int np, late, finalized, absent, nodes;
	char coordinator[8300]; /* for the other nodes */
	bool no_mpi, shell, deaf, rival, fork;
	long private_mib, delay_ms;
	struct behave behave[MAX_BEHAVE];
	int nbehave;
	char socket[64], tool[64];
};

static struct settings set = { .late = -1, .finalized = -1, .absent = -1, .np = 2 };

struct agent {
	int fd, rank;
	uint32_t checkpoint;
	int count[32]; /* of each message type */
	uint64_t entered;
	bool asking;
	int dump_fd;
	char path[CR_PATH_BYTES];
};

static void die(const char *what)
{
	fprintf(stderr, "fake_job: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(struct agent *a, uint32_t type, const void *payload, size_t bytes)
{
	unsigned char buf[sizeof(struct cr_msg_head) + 8192];
	struct cr_msg_head head = { CR_PROTO_MAGIC, CR_PROTO_VERSION, type, (uint32_t)bytes, a->checkpoint };

	memcpy(buf, &head, sizeof(head));
	if (bytes)
		memcpy(buf + sizeof(head), payload, bytes);
	if (send(a->fd, buf, sizeof(head) + bytes, MSG_NOSIGNAL) < 0)
		return; /* the coordinator is gone, which the next recv() tells */
}

static void put_clocks(struct agent *a)
{
	struct {
		struct cr_msg_clocks head;
		struct cr_msg_clock clock;
	} out = { .head = { .state = a->asking ? CR_RANK_BLOCKED : CR_RANK_RUNNING, .n = 1, .asking = a->asking,
			    .ask_clock = a->asking ? WORLD_CLOCK : 0, .ask_count = a->asking ? a->entered + 1 : 0 },
		  .clock = { .id = WORLD_CLOCK, .count = a->entered + a->asking, .size = (uint32_t)set.np } };

	if (set.no_mpi)
		out.head.n = 0;
	put(a, CR_MSG_CLOCKS, &out, set.no_mpi ? sizeof(out.head) : sizeof(out));
}

static void put_failed(struct agent *a, const char *message)
{
	struct cr_msg_failed failed = { .error = EIO };

	snprintf(failed.text, sizeof(failed.text), "told to fail at %s", message);
	put(a, CR_MSG_FAILED, &failed, sizeof(failed));
}

/* Return: true when the message is not to be served. */
static bool behaves(struct agent *a, const char *message, int nth)
{
	for (int i = 0; i < set.nbehave; i++) {
		const struct behave *b = &set.behave[i];

		if (b->rank != a->rank || b->nth != nth || strcmp(b->message, message))
			continue;
		if (!strcmp(b->action, "die"))
			raise(SIGKILL);
		if (!strcmp(b->action, "fail"))
			put_failed(a, message);
		if (!strcmp(b->action, "nocr")) {
			static const char reason[] = "fd 7: TCP socket to 10.0.0.1:80\naddress 0x1000: device memory";

			put(a, CR_MSG_CHECK_REPLY, reason, sizeof(reason) - 1);
		}
		return true;
	}
	return false;
}

static void agent_dump(struct agent *a, const void *payload)
{
	struct cr_msg_dump dump;
	struct cr_msg_dumped done = { .pages = 1, .checksum = 42, .dump_ns = 1000 };
	char page[4096];

	memcpy(&dump, payload, sizeof(dump));
	snprintf(a->path, sizeof(a->path), "%s", dump.path);
	a->dump_fd = open(dump.path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (a->dump_fd < 0)
		die(dump.path);
	memset(page, 'a' + a->rank % 26, sizeof(page));
	if (write(a->dump_fd, page, sizeof(page)) != (ssize_t)sizeof(page))
		die(dump.path);
	put(a, CR_MSG_SNAPPED, NULL, 0);
	if (behaves(a, "snap", a->count[CR_MSG_DUMP]))
		return;
	if (set.delay_ms) {
		struct timespec t = { set.delay_ms / 1000, set.delay_ms % 1000 * 1000000 };

		nanosleep(&t, NULL);
	}
	fsync(a->dump_fd);
	close(a->dump_fd);
	a->dump_fd = -1;
	done.file_bytes = sizeof(page);
	put(a, CR_MSG_DUMPED, &done, sizeof(done));
}

static void agent_undo(struct agent *a)
{
	if (a->dump_fd >= 0) {
		close(a->dump_fd);
		unlink(a->path);
		a->dump_fd = -1;
	}
	a->asking = false;
}

static void agent_serve(struct agent *a, const struct cr_msg_head *head, const void *payload)
{
	static const char *const names[] = { [CR_MSG_CHECK] = "check", [CR_MSG_BEGIN] = "begin", [CR_MSG_STOP] = "stop",
					     [CR_MSG_DRAIN] = "drain", [CR_MSG_FREEZE] = "freeze", [CR_MSG_DUMP] = "dump",
					     [CR_MSG_RESUME] = "resume", [CR_MSG_EXIT] = "exit" };
	struct cr_msg_drained drained = { (uint64_t)a->rank + 1, 100 };
	struct cr_msg_frozen frozen = { .threads = 1 };
	struct cr_msg_resumed resumed = { 1000000 };
	struct cr_msg_permit permit;
	const char *name = head->type < sizeof(names) / sizeof(names[0]) ? names[head->type] : NULL;

	a->count[head->type]++;
	a->checkpoint = head->checkpoint;
	if (name && behaves(a, name, a->count[head->type]))
		return;
	switch (head->type) {
	case CR_MSG_CHECK:
		put(a, CR_MSG_CHECK_REPLY, NULL, 0);
		break;
	case CR_MSG_BEGIN: /* odd ranks are one collective ahead, even ones ask for it a moment later */
		put_clocks(a);
		if (a->entered % 2 == 0) {
			usleep(2000);
			a->asking = true;
			put_clocks(a);
		}
		break;
	case CR_MSG_PERMIT:
		memcpy(&permit, payload, sizeof(permit));
		if (a->asking && permit.clock == WORLD_CLOCK && permit.count >= a->entered + 1) {
			a->asking = false;
			a->entered++;
			put_clocks(a);
		}
		break;
	case CR_MSG_STOP:
		put(a, CR_MSG_ARRIVED, NULL, 0);
		break;
	case CR_MSG_DRAIN:
		put(a, CR_MSG_DRAINED, &drained, sizeof(drained));
		break;
	case CR_MSG_FREEZE:
		put(a, CR_MSG_FROZEN, &frozen, sizeof(frozen));
		break;
	case CR_MSG_DUMP:
		agent_dump(a, payload);
		break;
	case CR_MSG_RESUME:
		agent_undo(a);
		put(a, CR_MSG_RESUMED, &resumed, sizeof(resumed));
		break;
	case CR_MSG_EXIT:
		exit(0);
	case CR_MSG_ALIVE:
		break;
	default:
		fprintf(stderr, "fake_job: unexpected message %u\n", head->type);
		exit(1);
	}
}

static int agent_connect(bool again)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path + 1, set.socket, strlen(set.socket));
	while (fd < 0 || connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(set.socket))) < 0) {
		if (!again)
			die("connect");
		nanosleep(&pause, NULL);
	}
	return fd;
}

static void agent_hello(struct agent *a)
{
	struct cr_msg_hello hello = { .pid = getpid(), .program_pid = getpid(), .rank = a->rank, .size = set.np, .epoch = 1, .start_time = 1 };

	strcpy(hello.exe, "/bin/fake");
	strcpy(hello.engine, "user");
	put(a, CR_MSG_HELLO, &hello, sizeof(hello));
}

/* The connection has ended. */
static void agent_again(struct agent *a, const struct cr_msg_mpi_state *last)
{
	struct cr_msg_mpi_state mpi = *last;

	agent_undo(a);
	close(a->fd);
	a->checkpoint = 0;
	a->fd = agent_connect(true);
	agent_hello(a);
	mpi.ready = a->rank != set.finalized;
	if (!set.no_mpi && a->rank != set.late)
		put(a, CR_MSG_MPI_STATE, &mpi, sizeof(mpi));
}

static void agent_main(int rank)
{
	struct agent a = { .rank = rank, .dump_fd = -1, .entered = 10 + (unsigned)rank % 2 };
	struct cr_msg_mpi_state mpi = { .ready = 1, .rank = rank, .size = set.np };
	struct cr_msg_head head;
	unsigned char payload[8192];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (set.private_mib) {
		size_t bytes = (size_t)set.private_mib << 20;
		char *p = mmap((void *)CR_MMAP_ADDR, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p == MAP_FAILED)
			die("mmap");
		memset(p, 1, bytes);
	}
	a.fd = agent_connect(false);
	agent_hello(&a);
	if (set.shell && fork() == 0) { /* the program behind the shell: a process of its own with the same rank */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		a.fd = agent_connect(false);
		agent_hello(&a);
	} else if (set.shell) {
		set.no_mpi = true;
	}
	if (set.rival && rank == 0 && fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		a.fd = agent_connect(false);
		agent_hello(&a);
	}
	if (set.fork && fork() == 0) {
		sleep(20);
		_exit(0);
	}
	if (!set.no_mpi && rank != set.late)
		put(&a, CR_MSG_MPI_STATE, &mpi, sizeof(mpi));
	mpi.ready = 0;
	if (rank == set.finalized)
		put(&a, CR_MSG_MPI_STATE, &mpi, sizeof(mpi));
	for (;;) {
		if (recv(a.fd, &head, sizeof(head), MSG_WAITALL) != (ssize_t)sizeof(head) || head.bytes > sizeof(payload) ||
		    (head.bytes && recv(a.fd, payload, head.bytes, MSG_WAITALL) != (ssize_t)head.bytes))
			agent_again(&a, &mpi);
		else
			agent_serve(&a, &head, payload);
	}
}

/* @node: 0: beside mpirun */
static int start_snapcd(pid_t *ret_pid, int node)
{
	const char *network = getenv("OMPI_CR_NETWORK"), *auth = getenv("OMPI_CR_AUTH");
	char pid[16], fd[16], log[4096];
	int pair[2];
	ssize_t n;
	size_t used = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	snprintf(fd, sizeof(fd), "%d", pair[1]);
	snprintf(log, sizeof(log), "%s.node%d", set.log, node - 1);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		fcntl(pair[1], F_SETFD, 0);
		if (node)
			execl(set.snapcd, "snapcd", "--node", "--job", pid, "--mpirun-pid", pid, "--mpirun-fd", fd, "--socket", set.socket, "--log", log, NULL);
		else
			execl(set.snapcd, "snapcd", "--job", pid, "--mpirun-pid", pid, "--mpirun-fd", fd, "--socket", set.socket, "--tool-socket",
			      set.tool, "--np", "0", "--snapshot-dir", set.dir, "--ref", set.ref, "--log", set.log, "--network",
			      network ? network : "", "--auth", auth ? auth : "auto", NULL);
		die(set.snapcd);
	}
	close(pair[1]);
	do {
		n = read(pair[0], set.coordinator + used, sizeof(set.coordinator) - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0 && set.coordinator[used - 1] != '\n');
	set.coordinator[used] = 0;
	/* with or without what other nodes have to know */
	if (strcmp(set.coordinator, "ready\n") && (strncmp(set.coordinator, "ready: coordinator ", 19) || !strchr(set.coordinator, '\n'))) {
		printf("snapcd: %s", set.coordinator);
		exit(3);
	}
	return pair[0];
}

/* A process that plays orted: it has a snapcd, and its ranks. */
static pid_t start_node(int node)
{
	pid_t orted = fork(), snapcd;

	if (orted)
		return orted;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(set.socket, sizeof(set.socket), "fake-agent-%d", (int)getpid());
	*strchr(set.coordinator, '\n') = 0;
	setenv(CR_ENV_COORDINATOR, set.coordinator + strlen("ready: "), 1);
	start_snapcd(&snapcd, node + 1);
	for (int r = node; r < set.np; r += set.nodes)
		if (r != set.absent && fork() == 0)
			agent_main(r);
	for (;;)
		pause();
}

static volatile sig_atomic_t ended;

static void on_term(int number)
{
	(void)number;
	ended = 1;
}

static void options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "snapcd", 1, NULL, 's' }, { "np", 1, NULL, 'n' },	  { "dir", 1, NULL, 'd' },	 { "ref", 1, NULL, 'r' },
		{ "no-mpi", 0, NULL, 'N' }, { "late", 1, NULL, 'l' },	  { "finalized", 1, NULL, 'f' }, { "absent", 1, NULL, 'a' },
		{ "shell", 0, NULL, 'S' },  { "private", 1, NULL, 'p' }, { "behave", 1, NULL, 'b' },	 { "delay", 1, NULL, 'D' },
		{ "rival", 0, NULL, 'R' },  { "fork", 0, NULL, 'F' },	  { "nodes", 1, NULL, 'M' },
		{ "deaf", 0, NULL, 'x' },   { "log", 1, NULL, 'L' },	  { NULL, 0, NULL, 0 },
	};
	struct behave *b;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 's': set.snapcd = optarg; break;
		case 'n': set.np = atoi(optarg); break;
		case 'd': set.dir = optarg; break;
		case 'r': set.ref = optarg; break;
		case 'L': set.log = optarg; break;
		case 'N': set.no_mpi = true; break;
		case 'l': set.late = atoi(optarg); break;
		case 'f': set.finalized = atoi(optarg); break;
		case 'a': set.absent = atoi(optarg); break;
		case 'S': set.shell = true; break;
		case 'p': set.private_mib = atol(optarg); break;
		case 'D': set.delay_ms = atol(optarg); break;
		case 'R': set.rival = true; break;
		case 'F': set.fork = true; break;
		case 'M': set.nodes = atoi(optarg); break;
		case 'x': set.deaf = true; break;
		case 'b':
			b = &set.behave[set.nbehave++];
			if (set.nbehave > MAX_BEHAVE || sscanf(optarg, "%d:%15[a-z]:%d:%15[a-z]", &b->nth, b->message, &b->rank, b->action) != 4)
				exit(2);
			break;
		default: exit(2);
		}
	}
	if (!set.snapcd || !set.dir || !set.ref || !set.log)
		exit(2);
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_term };
	struct pollfd in = { .events = POLLIN };
	pid_t snapcd, *ranks;
	char word[64];
	ssize_t n;

	options(argc, argv);
	snprintf(set.socket, sizeof(set.socket), "fake-agent-%d", (int)getpid());
	snprintf(set.tool, sizeof(set.tool), "fake-tool-%d", (int)getpid());
	in.fd = start_snapcd(&snapcd, 0);
	ranks = calloc((size_t)(set.np > set.nodes ? set.np : set.nodes), sizeof(*ranks));
	for (int m = 0; m < set.nodes; m++)
		ranks[m] = start_node(m);
	for (int r = 0; r < set.np && !set.nodes; r++) {
		if (r == set.absent)
			continue;
		ranks[r] = fork();
		if (ranks[r] == 0)
			agent_main(r);
	}
	sigaction(SIGTERM, &act, NULL);
	printf("pid %d\n", (int)getpid());
	for (int r = 0; r < (set.nodes ? set.nodes : set.np); r++)
		printf("%s %d %d\n", set.nodes ? "node" : "rank", r, (int)ranks[r]);
	printf("go\n");
	fflush(stdout);
	while (!ended) {
		if (poll(&in, 1, -1) <= 0)
			continue;
		n = read(in.fd, word, sizeof(word) - 1);
		if (n <= 0) {
			in.fd = -1; /* snapcd has ended */
			continue;
		}
		word[n] = 0;
		if (!strcmp(word, "terminate\n") && !set.deaf)
			break;
	}
	for (int r = 0; r < (set.nodes ? set.nodes : set.np); r++)
		if (ranks[r] > 0)
			kill(ranks[r], SIGKILL);
	for (int r = 0; r < (set.nodes ? set.nodes : set.np); r++)
		if (ranks[r] > 0)
			waitpid(ranks[r], NULL, 0);
	printf("ended\n");
	return 0;
}
