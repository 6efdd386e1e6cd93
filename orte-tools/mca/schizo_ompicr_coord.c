/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting snapcd beside mpirun or orted: a grandchild in a session of its own, so that neither mpirun's signals nor its reaping of children
 * concern it. The dialogue over the socket pair is described in snapc/snapshot.h.
 */
#include "orte-tools/mca/schizo_ompicr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "include/cr_proto.h"
#include "snapc/registry.h"
#include "snapc/snapshot.h"

#define READY_TIMEOUT_MS 10000
#define SNAPCD_FD 3
#define LOG_KEPT_DAYS 7
/* As its supervisor does: so many deaths within so long, and it would die for ever. */
#define DEATHS_MOST 5
#define DEATHS_MS 600000

extern char **environ;

int ompicr_snapshot_dir(char *ret_dir, size_t bytes)
{
	const char *dir = getenv("OMPI_MCA_ompi_cr_snapshot_dir");
	char cwd[PATH_MAX];
	int n;

	if (!dir || !dir[0])
		dir = getenv(SNAPC_ENV_DIR);
	if (!dir || !dir[0])
		dir = getenv("HOME");
	if (!dir || !dir[0])
		dir = "/tmp";
	if (dir[0] == '/')
		n = snprintf(ret_dir, bytes, "%s", dir);
	else if (getcwd(cwd, sizeof(cwd)))
		n = snprintf(ret_dir, bytes, "%s/%s", cwd, dir);
	else
		return -1;
	return n > 0 && (size_t)n < bytes ? 0 : -1;
}

/* Logs of jobs that nobody asks about any more. */
static void logs_sweep(const char *dir)
{
	time_t old = time(NULL) - LOG_KEPT_DAYS * 86400;
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		if (fnmatch("snapcd-*.log", e->d_name, 0) == 0 && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtime < old)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
}

/* The user's directory for the log, the one of snapcd's registry: private, ours, no symbolic link. */
static int log_open(struct ompicr_coord *c)
{
	const char *set = getenv(SNAPC_REGISTRY_ENV), *runtime = getenv("XDG_RUNTIME_DIR");
	char dir[200];
	struct stat st;
	int n, fd;

	if (set && set[0])
		n = snprintf(dir, sizeof(dir), "%s", set);
	else if (runtime && runtime[0] == '/' && stat(runtime, &st) == 0 && st.st_uid == geteuid() && S_ISDIR(st.st_mode))
		n = snprintf(dir, sizeof(dir), "%s/ompi-cr", runtime);
	else
		n = snprintf(dir, sizeof(dir), "/tmp/ompi-cr-%u", (unsigned int)geteuid());
	if (n >= (int)sizeof(dir) || (mkdir(dir, 0700) < 0 && errno != EEXIST) || lstat(dir, &st) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
		snprintf(c->words, sizeof(c->words), "%s must be a directory of mode 0700 that belongs to you; %s", dir,
			 st.st_uid == geteuid() ? "remove it" : "somebody else made it: set XDG_RUNTIME_DIR to a directory of yours");
		errno = EPERM;
		return -1;
	}
	logs_sweep(dir);
	if (c->node) { /* the directory may be shared by nodes */
		char host[64] = "node";

		gethostname(host, sizeof(host) - 1);
		snprintf(c->log, sizeof(c->log), "%s/snapcd-%s-%d.log", dir, host, (int)c->mpirun_pid);
	} else {
		snprintf(c->log, sizeof(c->log), "%s/snapcd-%d.log", dir, (int)c->mpirun_pid);
	}
	fd = open(c->log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd;
}

static int random_names(struct ompicr_coord *c)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -1;
	snprintf(c->socket, sizeof(c->socket), "ompi-cr-snapc-%d-%016llx", (int)c->mpirun_pid, (unsigned long long)random);
	snprintf(c->tool_socket, sizeof(c->tool_socket), "ompi-cr-tool-%d-%016llx", (int)c->mpirun_pid, (unsigned long long)random);
	return 0;
}

/* In the grandchild: only async-signal-safe calls, mpirun has threads. */
__attribute__((noreturn)) static void snapcd_exec(const struct ompicr_coord *c, char *const *argv, int fd, int log)
{
	static const char no_exec[] = "error: cannot execute snapcd\n";
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* Out of the way of 0 to 3 first; the duplicates made by dup2 are the ones without close-on-exec. */
	null = fcntl(null, F_DUPFD_CLOEXEC, 10);
	log = fcntl(log, F_DUPFD_CLOEXEC, 10);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	dup2(fd, SNAPCD_FD);
	close_range(SNAPCD_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	execve(c->snapcd, argv, c->env ? c->env : environ);
	(void)!write(SNAPCD_FD, no_exec, sizeof(no_exec) - 1);
	_exit(127);
}

/* Options with a value, in pairs; those without a value are left out. */
static int words_add(const char **argv, int n, const char *const (*pairs)[2], size_t npairs)
{
	for (size_t i = 0; i < npairs; i++) {
		if (!pairs[i][1] || !pairs[i][1][0])
			continue;
		argv[n++] = pairs[i][0];
		argv[n++] = pairs[i][1];
	}
	return n;
}

static void snapcd_spawn(const struct ompicr_coord *c, int fd, int log)
{
	char pid[32], fd_text[16], ref[64];
	const char *argv[48];
	int n = 0, status;
	pid_t child;
	const char *const both[][2] = { { "--job", c->job }, { "--mpirun-pid", pid }, { "--socket", c->socket }, { "--mpirun-fd", fd_text },
					{ "--log", c->log } };
	const char *const global[][2] = { { "--tool-socket", c->tool_socket }, { "--np", "0" }, { "--snapshot-dir", c->snapshot_dir },
					  { "--ref", ref }, { "--keep", c->keep }, { "--auth", c->auth }, { "--network", c->network },
					  { "--port", c->port }, { "--restarted-from", c->restarted_from },
					  { "--seq", c->restarted_from ? (c->restarted_seq ? c->restarted_seq : "0") : NULL } };

	snprintf(pid, sizeof(pid), "%d", (int)c->mpirun_pid);
	snprintf(fd_text, sizeof(fd_text), "%d", SNAPCD_FD);
	snprintf(ref, sizeof(ref), SNAPC_REF_FMT, (long)c->mpirun_pid);
	argv[n++] = c->snapcd;
	if (c->again)
		argv[n++] = "--again";
	n = words_add(argv, n, both, sizeof(both) / sizeof(both[0]));
	if (c->node)
		argv[n++] = "--node";
	else
		n = words_add(argv, n, global, sizeof(global) / sizeof(global[0]));
	argv[n] = NULL;
	child = fork();
	if (child == 0) {
		if (fork() == 0)
			snapcd_exec(c, (char *const *)argv, fd, log);
		_exit(0);
	}
	if (child > 0) {
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
	}
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The first line from snapcd. */
static int ready_wait(struct ompicr_coord *c)
{
	int64_t end = now_ms() + READY_TIMEOUT_MS;
	char line[sizeof(c->coordinator) + 8];
	size_t have = 0;

	while (have < sizeof(line) - 1) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		int64_t left = end - now_ms();
		ssize_t n;
		int rc = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0) {
			snprintf(c->words, sizeof(c->words), "%s did not answer within %d s; its log is %s", c->snapcd, READY_TIMEOUT_MS / 1000,
				 c->log);
			return -1;
		}
		n = read(c->fd, line + have, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (line[have] == '\n')
			break;
		have++;
	}
	line[have] = '\0';
	if (strcmp(line, "ready") == 0)
		return 0;
	if (strncmp(line, "ready: ", 7) == 0) {
		snprintf(c->coordinator, sizeof(c->coordinator), "%.*s", (int)sizeof(c->coordinator) - 1, line + 7);
		return 0;
	}
	if (strncmp(line, "error: ", 7) == 0)
		snprintf(c->words, sizeof(c->words), "%.600s; log: %.320s", line + 7, c->log);
	else
		snprintf(c->words, sizeof(c->words), "%s ended at once; its log is %s", c->snapcd, c->log);
	return -1;
}

int ompicr_coord_start(struct ompicr_coord *c)
{
	int pair[2] = { -1, -1 }, log;

	c->fd = -1;
	c->words[0] = c->coordinator[0] = '\0';
	if (access(c->snapcd, X_OK) < 0) {
		snprintf(c->words, sizeof(c->words), "%s: %s", c->snapcd, strerror(errno));
		return -1;
	}
	log = log_open(c);
	if (log < 0 || (!c->node && random_names(c) < 0) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		if (!c->words[0])
			snprintf(c->words, sizeof(c->words), "cannot make the log or a socket: %s", strerror(errno));
		if (log >= 0)
			close(log);
		return -1;
	}
	snapcd_spawn(c, pair[1], log);
	close(log);
	close(pair[1]);
	c->fd = pair[0];
	if (ready_wait(c) < 0) {
		close(c->fd);
		c->fd = -1;
		return -1;
	}
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	return 0;
}

bool ompicr_coord_heard(struct ompicr_coord *c, const char *text)
{
	const char *error = strstr(text, "error: ");

	if (strstr(text, "ended\n"))
		c->leaves = true;
	if (!error)
		return true;
	c->leaves = true;
	snprintf(c->words, sizeof(c->words), "%.*s", (int)strcspn(error + 7, "\n"), error + 7);
	return false;
}

static bool again_too_often(struct ompicr_coord *c)
{
	int64_t now = now_ms();

	if (!c->deaths || now - c->first_death_ms > DEATHS_MS) {
		c->deaths = 0;
		c->first_death_ms = now;
	}
	return ++c->deaths >= DEATHS_MOST;
}

int ompicr_coord_again(struct ompicr_coord *c)
{
	bool tell = !c->node && c->coordinator[0];
	int pair[2] = { -1, -1 }, log;

	close(c->fd);
	c->fd = -1;
	if (again_too_often(c)) {
		snprintf(c->words, sizeof(c->words), "for the %dth time within %d s", DEATHS_MOST, DEATHS_MS / 1000);
		return -1;
	}
	log = open(c->log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (log < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		snprintf(c->words, sizeof(c->words), "no other can be started: %s", strerror(errno));
		if (log >= 0)
			close(log);
		return -1;
	}
	c->again = true;
	if (tell)
		setenv(CR_ENV_COORDINATOR, c->coordinator, 1);
	snapcd_spawn(c, pair[1], log);
	if (tell)
		unsetenv(CR_ENV_COORDINATOR);
	close(log);
	close(pair[1]);
	c->fd = pair[0];
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	return 0;
}
