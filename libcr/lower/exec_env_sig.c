/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The environment of what a restarted process executes.
 *
 * A process that is a shell at the checkpoint and executes the MPI program after the restart hands on the variables of the launcher that
 * started its first life: addresses of daemons that are gone. Those of the life that it is in take their place. A process that has never been
 * restarted, and a program that takes the launcher's variables out, pass their environment as it is.
 * Context: as cr_emul_execve(): upper %fs, no libc, perhaps a vfork child on a small stack.
 */
#include "libcr/lower/lower.h"

#include <errno.h>

#include "cr_proto.h"

#define ARGS_MAX 1000000
#define NAME_BYTES 48 /* more than the longest name below */

/* What mpirun, srun and the coordinator set for the process that they start; a name without '=' stands for all that begin so. */
static const char *const launchers[] = {
	"PMIX_", "SLURM_", "OMPI_COMM_WORLD_", "OMPI_APP_CTX_NUM_PROCS=", "OMPI_FILE_LOCATION=", "OMPI_FIRST_RANKS=", "OMPI_NUM_APP_CTX=",
	"OMPI_UNIVERSE_SIZE=", "OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_MCA_pmix=", "OMPI_MCA_mca_base_", "OMPI_MCA_ompi_cr_",
	CR_ENV_SNAPC_SOCKET "=", CR_ENV_COORDINATOR "=",
};

long cr_args_read(char *const *argv, uint64_t first, const char **ret, uint64_t room)
{
	uint64_t n = 0;

	while (n < room) {
		uint64_t at = (uint64_t)(argv + first + n), part = (CR_PAGE_BYTES - (at & (CR_PAGE_BYTES - 1))) / sizeof(*ret);

		if (!part)
			part = 1;
		if (part > room - n)
			part = room - n;
		if (cr_copy_in(ret + n, (void *)at, part * sizeof(*ret)) < 0)
			return -EFAULT;
		for (uint64_t end = n + part; n < end; n++)
			if (!ret[n])
				return (long)n;
	}
	return (long)n;
}

long cr_args_count(char *const *argv)
{
	const char *some[64];
	uint64_t n = 0;
	long r;

	do {
		r = cr_args_read(argv, n, some, 64);
		if (r < 0)
			return r;
		n += (uint64_t)r;
		if (n > ARGS_MAX)
			return -E2BIG;
	} while (r == 64);
	return (long)n;
}

static bool begins(const char *text, const char *with)
{
	while (*with && *text == *with) {
		text++;
		with++;
	}
	return !*with;
}

bool cr_exec_env_launchers(const char *variable)
{
	for (uint64_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++)
		if (begins(variable, launchers[i]))
			return true;
	return false;
}

long cr_exec_env_room(char *const *envp)
{
	long n;

	if (!cr_lower.n_launcher_env || !envp)
		return 0;
	n = cr_args_count(envp);
	return n < 0 ? n : n + (long)cr_lower.n_launcher_env + 1;
}

long cr_exec_env(char *const *envp, const char **ret, uint64_t room)
{
	char head[NAME_BYTES];
	uint64_t kept = 0;
	bool launched = false;
	long n = cr_args_read(envp, 0, ret, room - cr_lower.n_launcher_env - 1);

	for (long i = 0; i < n; i++) {
		/* One that cannot be read is the kernel's to refuse. */
		long length = cr_copy_string(head, ret[i], sizeof(head) - 1);

		head[length >= 0 ? length : length == -ENAMETOOLONG ? (long)sizeof(head) - 1 : 0] = '\0';
		if (cr_exec_env_launchers(head))
			launched = true;
		else
			ret[kept++] = ret[i];
	}
	if (n < 0)
		return n;
	/* Nothing of a launcher: the program has taken it out, as one does who starts an MPI job of its own. */
	for (uint32_t i = 0; launched && i < cr_lower.n_launcher_env; i++)
		ret[kept++] = cr_lower.launcher_env[i];
	ret[kept] = NULL;
	return 0;
}
