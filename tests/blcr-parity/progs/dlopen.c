/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcr loaded late: alone it says that there is no process layer; under cr_run it is the one that is there already. Argument: its path. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libcr.h>

#define NEED(cond)                                                           \
	do {                                                                 \
		if (!(cond)) {                                               \
			fprintf(stderr, "not so: %s (%s)\n", #cond, dlerror()); \
			exit(1);                                             \
		}                                                            \
	} while (0)

static int ran;

static int callback(void *arg)
{
	ran++;
	return *(int *)arg;
}

int main(int argc, char **argv)
{
	void *h = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	cr_client_id_t (*init)(void);
	cr_callback_id_t (*reg)(cr_callback_t, void *, int);
	int (*save)(const char *, unsigned int), (*protected_)(void), zero = 0;
	unsigned long (*epoch)(void);

	NEED(h);
	init = (cr_client_id_t(*)(void))dlsym(h, "cr_init");
	reg = (cr_callback_id_t(*)(cr_callback_t, void *, int))dlsym(h, "cr_register_callback");
	save = (int (*)(const char *, unsigned int))dlsym(h, "cr_self_checkpoint");
	protected_ = (int (*)(void))dlsym(h, "cr_protected");
	epoch = (unsigned long (*)(void))dlsym(h, "cr_epoch");
	NEED(init && reg && save && protected_ && epoch);
	if (!protected_()) {
		NEED(init() == -1 && errno == ENOSYS);
		NEED(save("context", 0) == -ENOSYS);
		return dlclose(h);
	}
	NEED(init() >= 0 && reg(callback, &zero, CR_THREAD_CONTEXT) >= 0);
	NEED(save("context", 60) == (epoch() == 1));
	NEED(ran == 1);
	return 0;
}
