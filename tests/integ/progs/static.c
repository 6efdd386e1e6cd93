/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linked statically. With an argument: waits until there is a file of that name. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec pause = { 0, 50000000 };

	while (argc > 1 && access(argv[1], F_OK))
		nanosleep(&pause, NULL);
	puts("ok");
	return 0;
}
