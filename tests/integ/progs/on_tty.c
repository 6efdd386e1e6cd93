/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All three standard streams are a terminal; also /dev/tty is open. */
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "step.h"

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 150), tty = open("/dev/tty", O_RDWR);
	uint64_t sum = 1;

	STEP_CHECK(tty >= 0);
	for (int s = 0; s < steps; s++) {
		struct termios t;

		STEP_CHECK(isatty(0) && isatty(1) && isatty(2) && isatty(tty) && tcgetattr(0, &t) == 0);
		sum = step_mix(sum) + step_work(sum, 4);
		step_print(s, sum);
		usleep(3000);
	}
	puts("ok");
	return 0;
}
