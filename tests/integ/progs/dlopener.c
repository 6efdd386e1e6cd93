/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dlopen and dlclose all along: our own object and libraries of the system, by one thread and by fresh ones. argv[2]: the plugin. */
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include "step.h"

static const char *path;
static uint64_t sum = 5;

static void *turn(void *arg)
{
	void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL), *m = dlopen("libm.so.6", RTLD_LAZY);
	uint64_t (*f)(uint64_t) = h ? (uint64_t(*)(uint64_t))dlsym(h, "plugin_turn") : NULL;
	double (*root)(double) = m ? (double (*)(double))dlsym(m, "sqrt") : NULL;

	if (!f || !root)
		printf("%s\n", dlerror());
	STEP_CHECK(f && root);
	sum = f(sum) + (uint64_t)root((double)(sum >> 40));
	dlclose(m);
	dlclose(h);
	return arg;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200);

	path = argc > 2 ? argv[2] : "./plugin.so";
	for (int s = 0; s < steps; s++) {
		pthread_t t;

		turn(NULL);
		STEP_CHECK(pthread_create(&t, NULL, turn, NULL) == 0);
		pthread_join(t, NULL);
		sum ^= step_work(sum, 4);
		step_print(s, sum);
		usleep(2000);
	}
	puts("ok");
	return 0;
}
