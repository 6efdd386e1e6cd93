/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Holds a TCP connection for as long as argv[1] steps: something that cannot be saved. A checkpoint must say so, and leave it running. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "step.h"

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int steps = step_count(argc, argv, 300), s[2], listening;
	socklen_t len = sizeof(at);
	uint64_t sum = 1;

	STEP_CHECK((listening = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && bind(listening, (void *)&at, sizeof(at)) == 0 && listen(listening, 1) == 0);
	STEP_CHECK(getsockname(listening, (void *)&at, &len) == 0 && (s[0] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	STEP_CHECK(connect(s[0], (void *)&at, sizeof(at)) == 0 && (s[1] = accept(listening, NULL, NULL)) >= 0 && close(listening) == 0);
	for (int i = 0; i < steps; i++) {
		char c = (char)i;

		STEP_CHECK(write(s[0], &c, 1) == 1 && read(s[1], &c, 1) == 1 && c == (char)i);
		sum = step_mix(sum + (uint64_t)i);
		step_print(i, sum);
		usleep(10000);
	}
	puts("ok");
	return 0;
}
