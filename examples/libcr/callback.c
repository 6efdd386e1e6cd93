/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that wants to know: before a checkpoint it closes what should not be saved, afterwards and after a restart it opens it again.
 *
 *   cc $(pkg-config --cflags libcr) -o callback callback.c $(pkg-config --libs libcr)
 *   cr_run ./callback
 *   cr_checkpoint --term PID
 *   cr_restart context.PID
 */
#include <libcr.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int on_checkpoint(void *arg)
{
	int rc;

	(void)arg;
	puts("a checkpoint comes: closing connections");
	rc = cr_checkpoint(CR_CHECKPOINT_READY); /* it happens here */
	if (rc > 0)
		puts("restarted: opening connections again");
	else if (rc == 0)
		puts("saved: opening connections again");
	else
		printf("no checkpoint was taken: %s\n", cr_strerror(-rc));
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	int steps = argc > 1 ? atoi(argv[1]) : 100;

	if (cr_init() < 0 || cr_register_callback(on_checkpoint, NULL, CR_THREAD_CONTEXT) < 0) {
		perror("libcr (start the program with cr_run)");
		return 1;
	}
	for (int i = 0; i < steps; i++) {
		printf("step %d\n", i);
		fflush(stdout);
		usleep(100000);
	}
	puts("done");
	return 0;
}
