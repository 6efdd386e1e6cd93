/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words for objects that are not saved, so that a refusal names what is in the way.
 */
#include "libcr/lower/files_set.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

void cr_file_refuse(struct cr_file_refusals *refusals, const struct cr_open_file *file, const char *fmt, ...)
{
	char text[CR_ERR_TEXT_BYTES + CR_FILE_MAX_PATH_BYTES];
	size_t used;
	unsigned int i;
	va_list ap;

	if (refusals->name) {
		refusals->name(refusals->name_arg, file->passed ? file->carrier_fd : file->fds[0].fd, text, 256);
		used = strlen(text);
	} else if (file->passed) {
		used = (size_t)snprintf(text, sizeof(text), "descriptor %d", file->carrier_fd);
	} else {
		used = (size_t)snprintf(text, sizeof(text), "descriptor%s %d", file->n_fds > 1 ? "s" : "", file->fds[0].fd);
	}
	for (i = 1; !refusals->name && i < file->n_fds && i < 8; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ", %d", file->fds[i].fd);
	if (!refusals->name && i < file->n_fds)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " and %u more", file->n_fds - i);
	if (file->passed)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " is a UNIX socket; a descriptor under way in it (SCM_RIGHTS)");
	text[used++] = ' ';
	va_start(ap, fmt);
	vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	va_end(ap);
	refusals->count++;
	refusals->report(refusals->arg, text);
}

int cr_file_refusal_code(const char *reason)
{
	static const char passing[] = "try again";
	size_t n = strlen(reason);

	return n >= sizeof(passing) - 1 && strcmp(reason + n - (sizeof(passing) - 1), passing) == 0 ? EAGAIN : ENOTSUP;
}

static void describe_address(const struct sockaddr_storage *ss, socklen_t len, char *ret_text, size_t bytes)
{
	const struct sockaddr_in6 *in6 = (const void *)ss;
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_un *un = (const void *)ss;
	size_t path_bytes = len > sizeof(sa_family_t) ? len - sizeof(sa_family_t) : 0;
	char host[INET6_ADDRSTRLEN] = "?";

	switch (ss->ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(ret_text, bytes, "%s:%u", host, ntohs(in->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(ret_text, bytes, "[%s]:%u", host, ntohs(in6->sin6_port));
		break;
	case AF_UNIX:
		if (path_bytes == 0)
			snprintf(ret_text, bytes, "an unnamed socket");
		else if (un->sun_path[0])
			snprintf(ret_text, bytes, "%.*s", (int)path_bytes, un->sun_path);
		else
			snprintf(ret_text, bytes, "@%.*s", (int)path_bytes - 1, un->sun_path + 1);
		break;
	default:
		snprintf(ret_text, bytes, "an address of family %d", ss->ss_family);
	}
}

static const char *family_name(int family, int type)
{
	switch (family) {
	case AF_UNIX:
		return type == SOCK_DGRAM ? "UNIX datagram" : "UNIX";
	case AF_INET:
	case AF_INET6:
		return type == SOCK_STREAM ? "TCP" : type == SOCK_DGRAM ? "UDP" : "raw IP";
	case AF_NETLINK:
		return "netlink";
	case AF_PACKET:
		return "packet";
	case AF_VSOCK:
		return "VM";
	case AF_ALG:
		return "kernel crypto";
	}
	return NULL;
}

static void describe_socket(int fd, char *ret_text, size_t bytes)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(int);
	int family = 0, type = 0, listening = 0;
	char address[160] = "";
	const char *name, *state = "";
	char number[32];

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
	len = sizeof(int);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	len = sizeof(int);
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
	snprintf(number, sizeof(number), "family %d", family);
	name = family_name(family, type);
	memset(&ss, 0, sizeof(ss));
	len = sizeof(ss);
	if (getpeername(fd, (void *)&ss, &len) == 0) {
		state = " connected to ";
		describe_address(&ss, len, address, sizeof(address));
	} else {
		len = sizeof(ss);
		if (getsockname(fd, (void *)&ss, &len) == 0 && (listening || len > sizeof(sa_family_t))) {
			state = listening ? " listening on " : " bound to ";
			describe_address(&ss, len, address, sizeof(address));
		}
	}
	snprintf(ret_text, bytes, "a %s socket%s%s", name ? name : number, state, address);
}

/* Objects that /proc names "anon_inode:[x]", "x:[number]" or "/x:name (deleted)". */
static const struct {
	const char *prefix, *words;
} named[] = {
	{ "anon_inode:[eventfd]", "an eventfd" },
	{ "anon_inode:[eventpoll]", "an epoll instance" },
	{ "anon_inode:[timerfd]", "a timerfd" },
	{ "anon_inode:[signalfd]", "a signalfd" },
	{ "anon_inode:inotify", "an inotify instance" },
	{ "anon_inode:[fanotify]", "a fanotify group" },
	{ "anon_inode:[pidfd]", "a pidfd" },
	{ "pidfd:", "a pidfd" },
	{ "anon_inode:[io_uring]", "an io_uring instance" },
	{ "anon_inode:[userfaultfd]", "a userfaultfd" },
	{ "anon_inode:[perf_event]", "a perf event" },
	{ "anon_inode:bpf-", "a BPF object" },
	{ "/memfd:", "a memfd" },
	{ "/secretmem", "a secret memory area" },
	{ "/dmabuf:", "a dma-buf" },
	{ "net:[", "a network namespace" },
	{ "mnt:[", "a mount namespace" },
	{ "pid:[", "a pid namespace" },
	{ "user:[", "a user namespace" },
};

void cr_file_describe(const struct cr_open_file *file, char *ret_text, size_t bytes)
{
	size_t i;

	for (i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (strncmp(file->link, named[i].prefix, strlen(named[i].prefix)) == 0 && !S_ISSOCK(file->st.st_mode)) {
			snprintf(ret_text, bytes, "%s (%s)", named[i].words, file->link);
			return;
		}
	}
	if (S_ISSOCK(file->st.st_mode) && !(file->flags & O_PATH))
		describe_socket(file->fds[0].fd, ret_text, bytes);
	else if (S_ISCHR(file->st.st_mode) || S_ISBLK(file->st.st_mode))
		snprintf(ret_text, bytes, "the %s device %s (%u:%u)", S_ISCHR(file->st.st_mode) ? "character" : "block", file->link,
			 major(file->st.st_rdev), minor(file->st.st_rdev));
	else
		snprintf(ret_text, bytes, "%s", file->link);
}
