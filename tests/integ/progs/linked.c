/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Needs libplugin.so, which only its RPATH or RUNPATH (with $ORIGIN) finds. */
#include <unistd.h>

#include "step.h"

uint64_t plugin_turn(uint64_t x);

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200);
	uint64_t sum = 5;

	for (int s = 0; s < steps; s++) {
		sum = plugin_turn(sum) ^ step_work(sum, 3);
		step_print(s, sum);
		usleep(3000);
	}
	puts("ok");
	return 0;
}
