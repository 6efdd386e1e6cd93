/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/tool_job.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "snapc/listener.h"

#define PATIENCE_MS 3000 /* for each piece of a coordinator's answer */

int tool_job_connect(const struct snapc_registry_entry *entry, FILE *words)
{
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t bytes, length = sizeof(peer);
	int fd;

	if (snapc_address(entry->tool_socket, &address, &bytes) < 0) {
		fprintf(words, "%s: the registry entry of mpirun %d is damaged\n", program_invocation_short_name, (int)entry->mpirun_pid);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, bytes) < 0)
		fprintf(words, "%s: the coordinator of mpirun %d does not answer (%s): the job runs without protection\n", program_invocation_short_name, (int)entry->mpirun_pid, strerror(errno));
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || (peer.uid != entry->uid && peer.uid != 0))
		fprintf(words, "%s: another user listens in the place of the coordinator of mpirun %d\n", program_invocation_short_name, (int)entry->mpirun_pid);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int tool_job_ask(const struct snapc_registry_entry *entry, const char *request, char *text, size_t room, struct snapc_words *ret_words)
{
	FILE *nowhere = fopen("/dev/null", "we");
	size_t used = 0;
	ssize_t n = 0;
	int fd = nowhere ? tool_job_connect(entry, nowhere) : -1;

	if (nowhere)
		fclose(nowhere);
	if (fd < 0)
		return -1;
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0) {
		do {
			struct pollfd in = { .fd = fd, .events = POLLIN };

			n = poll(&in, 1, PATIENCE_MS) > 0 ? read(fd, text + used, room - 1 - used) : -1;
			used += n > 0 ? (size_t)n : 0;
		} while (n > 0 && used < room - 1 && !memchr(text, '\n', used));
	}
	close(fd);
	text[used] = '\0';
	return memchr(text, '\n', used) && snapc_line_parse(text, ret_words) == 0 && !strcmp(ret_words->word, "ok") ? 0 : -1;
}
