/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that begin and end all the time, until FILE is there. thread_churn FILE */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define AT_ONCE 8

static void *nothing(void *arg)
{
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[AT_ONCE];

	while (argc > 1 && access(argv[1], F_OK) != 0)
		for (int i = 0; i < 100; i++) {
			for (int k = 0; k < AT_ONCE; k++)
				if (pthread_create(&threads[k], NULL, nothing, NULL) != 0)
					return 1;
			for (int k = 0; k < AT_ONCE; k++)
				pthread_join(threads[k], NULL);
		}
	puts("ok");
	return 0;
}
