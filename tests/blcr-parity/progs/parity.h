/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the programs of tests/blcr-parity: a named part per row, steps that must come in order, a request for a checkpoint of oneself. */
#ifndef PARITY_H
#define PARITY_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libcr.h>

#define PATIENCE_S 60

static inline void need(int ok, const char *what, const char *file, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: not so: %s (errno %d: %s)\n", file, line, what, errno, cr_strerror(errno));
	_exit(1);
}
#define NEED(cond) need((cond) ? 1 : 0, #cond, __FILE__, __LINE__)
/* A call that must fail with this errno. */
#define REFUSED(call, error) (errno = 0, NEED((call) < 0), NEED(errno == (error)))

static volatile int seq_last;

/* SEQ: this is step @n, no other. */
static inline void seq(int n)
{
	int last = __atomic_fetch_add(&seq_last, 1, __ATOMIC_SEQ_CST);

	if (last == n - 1)
		return;
	fprintf(stderr, "step %d came as number %d\n", n, last + 1);
	_exit(1);
}

static inline void request(cr_checkpoint_handle_t *handle, const char *file)
{
	cr_checkpoint_args_t args;

	cr_initialize_checkpoint_args_t(&args);
	args.cr_scope = CR_SCOPE_PROC;
	args.cr_file = file;
	args.cr_timeout = PATIENCE_S;
	NEED(cr_request_checkpoint(&args, handle) == 0);
}

/* 0 or the error that the requester sees. */
static inline int result(cr_checkpoint_handle_t *handle)
{
	NEED(cr_wait_checkpoint(handle, NULL) > 0);
	return cr_reap_checkpoint(handle) ? errno : 0;
}

static inline int checkpoint(const char *file)
{
	cr_checkpoint_handle_t handle;

	request(&handle, file);
	return result(&handle);
}

struct part {
	const char *name;
	int (*run)(void);
};

static inline int run_part(const struct part *parts, int argc, char **argv)
{
	for (; argc == 2 && parts->name; parts++)
		if (!strcmp(parts->name, argv[1]))
			return parts->run();
	fprintf(stderr, "no such part\n");
	return 2;
}

#endif
