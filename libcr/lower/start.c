/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cr_run and cr_restart do alike before they part: find the installation, choose the floor, record the standard streams. */
#include "libcr/lower/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcr/arch/x86_64/fs.h"
#include "libcr/arch/x86_64/raw.h"
#include "libcr/lower/cr_mem.h"

struct cr_lower cr_lower;

#define LOWER_FDS 1024 /* what the lower half may need: connections of the MPI library */

/* The program keeps its soft limit as its range of descriptors when the hard limit leaves room above it, else three quarters of it or all
 * but LOWER_FDS. The number must fit the filter's 16 bits of return data. */
static int floor_choose(void)
{
	struct rlimit rl;
	rlim_t floor;

	if (getrlimit(RLIMIT_NOFILE, &rl))
		return 768;
	floor = rl.rlim_cur;
	if (rl.rlim_max < floor + LOWER_FDS)
		floor = rl.rlim_max > 4 * LOWER_FDS ? rl.rlim_max - LOWER_FDS : rl.rlim_max / 4 * 3;
	return floor > 60000 ? 60000 : floor < 48 ? 48 : (int)floor;
}

/* The program is given nothing at or above the floor: see fd_limit.h. */
void cr_start_limit(void)
{
	struct rlimit rl;

	if (!getrlimit(RLIMIT_NOFILE, &rl) && rl.rlim_cur != (rlim_t)cr_lower.fd_floor && rl.rlim_max >= (rlim_t)cr_lower.fd_floor) {
		rl.rlim_cur = (rlim_t)cr_lower.fd_floor;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* <bindir>/cr_run -> <prefix>; the libraries are found relative to the executable, so a tree can be moved and run before installation. */
static int paths_find(struct cr_err *err)
{
	static const char *const upper[] = { "/../lib/ompi-cr/upper", "/libcr/upper", "/../../lib/ompi-cr/upper", "/upper", "/.libs/upper" };
	const char *forced = getenv("OMPI_CR_UPPER_DIR");
	char exe[1024], dir[1024], path[1200];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	struct stat st;

	if (n <= 0)
		return cr_err_set(err, errno, "cannot read /proc/self/exe: %s", strerror(errno));
	exe[n] = '\0';
	cr_lower.self_path = strdup(exe);
	memcpy(dir, exe, (size_t)n + 1);
	*strrchr(dir, '/') = '\0';
	snprintf(path, sizeof(path), "%s/cr_run", dir);
	cr_lower.cr_run_path = strdup(access(path, X_OK) ? exe : path);
	snprintf(path, sizeof(path), "%s/cr_restart", dir);
	if (stat(path, &st) == 0) {
		cr_lower.cr_restart_dev = st.st_dev;
		cr_lower.cr_restart_ino = st.st_ino;
	}
	if (forced) {
		cr_lower.upper_dir = strdup(forced);
		return 0;
	}
	snprintf(path, sizeof(path), "%s/libcr.so", CR_UPPERDIR);
	if (!access(path, R_OK))
		cr_lower.upper_dir = strdup(CR_UPPERDIR);
	for (size_t i = 0; i < sizeof(upper) / sizeof(upper[0]); i++) {
		snprintf(path, sizeof(path), "%s%s/libcr.so", dir, upper[i]);
		if (access(path, R_OK))
			continue;
		path[strlen(path) - strlen("/libcr.so")] = '\0';
		free(cr_lower.upper_dir);
		cr_lower.upper_dir = realpath(path, NULL);
		break;
	}
	if (!cr_lower.upper_dir)
		return cr_err_set(err, ENOENT, "cannot find libcr.so of the upper half in %s or beside %s: is ompi-cr installed?", CR_UPPERDIR, exe);
	return 0;
}

static void stdio_format(void)
{
	size_t used = 0;

	for (int i = 0; i < 3; i++)
		used += (size_t)snprintf(cr_lower.stdio_text + used, sizeof(cr_lower.stdio_text) - used, "%x,%lx,%lx,%lx,%x,%x;", cr_lower.stdio.fd[i].present,
					 cr_lower.stdio.fd[i].dev, cr_lower.stdio.fd[i].ino, cr_lower.stdio.fd[i].rdev, cr_lower.stdio.fd[i].mode,
					 (unsigned int)cr_lower.stdio.fd[i].flags);
}

static int stdio_parse(const char *text)
{
	for (int i = 0; i < 3; i++) {
		unsigned int present, mode, flags;
		unsigned long dev, ino, rdev;
		int n = 0;

		if (sscanf(text, "%x,%lx,%lx,%lx,%x,%x;%n", &present, &dev, &ino, &rdev, &mode, &flags, &n) != 6 || !n)
			return -EINVAL;
		cr_lower.stdio.fd[i].present = (int)present;
		cr_lower.stdio.fd[i].dev = dev;
		cr_lower.stdio.fd[i].ino = ino;
		cr_lower.stdio.fd[i].rdev = rdev;
		cr_lower.stdio.fd[i].mode = mode;
		cr_lower.stdio.fd[i].flags = (int)flags;
		text += n;
	}
	return 0;
}

int cr_start(int floor, const char *stdio, struct cr_err *err)
{
	const char *fsgsbase = getenv("CR_FSGSBASE");
	int rc;

	cr_lower.fs_by_kernel = !(getauxval(AT_HWCAP2) & CR_HWCAP2_FSGSBASE) || (fsgsbase && !strcmp(fsgsbase, "off"));
	cr_lower.fd_floor = floor > 0 ? floor : floor_choose();
	cr_lower.slots = mmap(NULL, sizeof(*cr_lower.slots) * CR_SLOT_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cr_lower.slots == MAP_FAILED)
		return cr_err_set(err, ENOMEM, "out of memory");
	if (!stdio || stdio_parse(stdio))
		cr_stdio_record(&cr_lower.stdio);
	stdio_format();
	cr_process_root_record();
	rc = paths_find(err);
	if (rc)
		return rc;
	cr_mem_own_dir_set(cr_lower.upper_dir);
	rc = cr_threads_init();
	if (rc)
		return cr_err_set(err, rc, "out of memory");
	cr_lower.kernel_pid = getpid();
	cr_lower.kernel_ppid = getppid();
	return 0;
}

int cr_start_launcher_env(struct cr_err *err)
{
	extern char **environ;
	uint32_t n = 0;

	while (environ[n])
		n++;
	cr_lower.launcher_env = malloc((n + 1) * sizeof(*cr_lower.launcher_env));
	if (!cr_lower.launcher_env)
		return cr_err_set(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		if (!cr_exec_env_launchers(environ[i]))
			continue;
		cr_lower.launcher_env[cr_lower.n_launcher_env] = strdup(environ[i]);
		if (!cr_lower.launcher_env[cr_lower.n_launcher_env++])
			return cr_err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}
