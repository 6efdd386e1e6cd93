/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Holds a connected socket for as long as argv[1] steps: something that cannot be saved yet. A checkpoint must say so, and leave it running. */
#include <sys/socket.h>
#include <unistd.h>

#include "step.h"

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 300), s[2];
	uint64_t sum = 1;

	STEP_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
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
