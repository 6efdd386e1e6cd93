/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs of tests/resources share: each sets one resource up, says "ready", and verifies it in depth as often as it is told to.
 * A line on standard input is an order: "verify", answered by "verified", or "end". Nothing here knows of ompi-cr.
 * verify() leaves the resource as setup() made it.
 */
#ifndef RESOURCE_H
#define RESOURCE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(cond)                                                                                                           \
	do {                                                                                                                  \
		if (!(cond)) {                                                                                                \
			printf("failed: %s:%d: %s (%s)\n", __FILE__, __LINE__, #cond, strerror(errno));                       \
			fflush(stdout);                                                                                       \
			_exit(1);                                                                                             \
		}                                                                                                             \
	} while (0)

static void setup(void);
static void verify(void);

/* argv[1], "" when there is none */
static const char *argument __attribute__((unused)) = "";

/* The working directory is the program's own. */
int main(int argc, char **argv)
{
	char order[64];

	if (argc > 1)
		argument = argv[1];
	setup();
	puts("ready");
	fflush(stdout);
	while (fgets(order, sizeof(order), stdin)) {
		if (strcmp(order, "verify\n") != 0)
			break;
		errno = 0;
		verify();
		puts("verified");
		fflush(stdout);
	}
	return 0;
}

#endif
