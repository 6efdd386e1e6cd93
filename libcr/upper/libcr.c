/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcr.so, the library that every protected program has loaded: the program's side of the crossing.
 *
 * Its thread-locals are in the static TLS block: their offsets from %fs are the same in every thread.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/libcr.h"
#include "libcr/cr_crossing.h"
#include "libcr/lower/private.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT __thread struct cr_crossing cr_crossing_tls __attribute__((tls_model("initial-exec")));

/* Not 0: a patched system call of this thread is being served by the lower half, whose frames lie below this address. See cr_blob_site. */
static __thread uint64_t cr_gate_sp __attribute__((tls_model("initial-exec")));

static int gate_present;

EXPORT struct cr_thread *cr_crossing_attach(void)
{
	static const char text[] = "ompi-cr: no lower-half thread for a thread of the program: out of memory or threads\n";
	struct cr_thread *t = CR_GATE->thread_attach();

	if (!t) {
		(void)!write(2, text, sizeof(text) - 1);
		abort();
	}
	cr_crossing_tls.thread = t;
	cr_crossing_tls.epoch = CR_GATE->epoch;
	return t;
}

EXPORT int cr_nocr_set(unsigned long id, const char *reason)
{
	return gate_present ? CR_GATE->nocr_set(id, reason) : 0;
}

EXPORT int cr_nocr_clear(unsigned long id)
{
	return gate_present ? CR_GATE->nocr_clear(id) : 0;
}

EXPORT int cr_protected(void)
{
	return gate_present;
}

EXPORT unsigned long cr_epoch(void)
{
	return gate_present ? CR_GATE->epoch : 0;
}

extern char **environ;

/* Index in environ, or -1. The program may have a getenv of its own (bash has), so the vector is read directly. */
static int env_find(const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; environ && environ[i]; i++)
		if (!strncmp(environ[i], name, n) && environ[i][n] == '=')
			return i;
	return -1;
}

static void env_remove(int i)
{
	do
		environ[i] = environ[i + 1];
	while (environ[i++]);
}

/* The launcher put our libraries into LD_PRELOAD and the user's own value aside: the program and its children see the user's. */
static int preload_forget(void)
{
	int own = env_find("OMPI_CR_USER_PRELOAD"), preload = env_find("LD_PRELOAD");
	char *value;

	if (own < 0 || preload < 0)
		return 0;
	value = strchr(environ[own], '=') + 1;
	if (*value)
		strcpy(strchr(environ[preload], '=') + 1, value); /* ours ends with it: never longer */
	env_remove(own);
	if (!*value)
		env_remove(env_find("LD_PRELOAD"));
	return 1;
}

__attribute__((constructor)) static void libcr_begin(void)
{
	gate_present = preload_forget();
	if (gate_present)
		CR_PRIVATE->gate_tp_offset = (char *)&cr_gate_sp - (char *)__builtin_thread_pointer();
}
