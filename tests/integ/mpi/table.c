/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the states of states.def: all of them are begun, then there is time for a checkpoint and a restart inside all of them, then all are ended.
 *
 *   table STEPS [all | CLASS | CLASS/NAME [FILE]]
 *
 * FILE: the second step does not end before a file of that name is there. Rank 0 then writes "inside", and "CLASS/NAME ok" for each state that is ended in it.
 */
#include "table.h"

int rank, size, left, right;
MPI_Comm comm;

static const struct state {
	const char *class, *name;
	void (*begin)(int step);
	uint64_t (*end)(int step);
} states[] = {
#define STATE(class, name, what) { #class, #name, class##_##name##_begin, class##_##name##_end },
#include "states.def"
#undef STATE
};
enum { NSTATES = sizeof(states) / sizeof(states[0]) };

static int is_asked(const struct state *s, const char *what)
{
	size_t n = strlen(s->class);

	if (!what || strcmp(what, "all") == 0)
		return 1;
	return strncmp(what, s->class, n) == 0 && (!what[n] || (what[n] == '/' && strcmp(what + n + 1, s->name) == 0));
}

static uint64_t step_run(int s, const char *what, const char *file, uint64_t sum)
{
	int told = 0;

	for (int i = 0; i < NSTATES; i++)
		if (is_asked(&states[i], what))
			states[i].begin(s);
	if (file)
		MPI_Barrier(comm); /* all are inside */
	while (file && access(file, F_OK) != 0) {
		if (rank == 0 && !told++)
			puts("inside"), fflush(stdout);
		usleep(20000);
	}
	usleep(3000);
	sum = step_mix(sum + step_work(sum, 1));
	for (int i = 0; i < NSTATES; i++) {
		if (!is_asked(&states[i], what))
			continue;
		sum = step_mix(sum + states[i].end(s));
		if (file)
			MPI_Barrier(comm);
		if (file && rank == 0)
			printf("%s/%s ok\n", states[i].class, states[i].name), fflush(stdout);
	}
	return sum;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 100), provided;
	uint64_t sum = 1, all;

	MPI_T_init_thread(MPI_THREAD_SINGLE, &provided);
	MPI_Init(&argc, &argv);
	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	MPI_Comm_rank(comm, &rank);
	MPI_Comm_size(comm, &size);
	right = (rank + 1) % size;
	left = (rank + size - 1) % size;
	for (int s = 0; s < steps; s++) {
		MPI_Pcontrol(s & 1);
		sum = step_run(s, argc > 2 ? argv[2] : NULL, argc > 3 && s == 1 ? argv[3] : NULL, sum);
		MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, 0, comm);
		if (rank == 0)
			step_print(s, all);
	}
	if (rank == 0)
		puts("ok");
	MPI_T_finalize(); /* Open MPI 4.1 does not survive it after MPI_Finalize */
	MPI_Finalize();
	return 0;
}
