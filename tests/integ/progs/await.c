/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waits until the file argv[1] is there, by looking every millisecond; says "ok". A thread waits with it. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "step.h"

static void *look(void *name)
{
	while (access(name, F_OK))
		usleep(1000);
	return name;
}

int main(int argc, char **argv)
{
	void *ret = NULL;
	pthread_t t;

	if (argc < 2)
		return 2;
	STEP_CHECK(pthread_create(&t, NULL, look, argv[1]) == 0);
	look(argv[1]);
	STEP_CHECK(pthread_join(t, &ret) == 0 && ret == argv[1]);
	puts("ok");
	return 0;
}
