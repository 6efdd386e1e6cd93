/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory for the table of System V objects, and its way through execve. */
#include "libcr/lower/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcr/lower/lower.h"

/* A number that does not lead to such memory is not taken: then the table is a new one. */
static bool is_table(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0 && st.st_size == (off_t)sizeof(struct cr_ipc_table) && fcntl(fd, F_GET_SEALS) >= 0;
}

int cr_ipc_table_open(int fd, struct cr_err *err)
{
	void *map;

	if (!is_table(fd)) {
		fd = cr_fd_raise(memfd_create("ompi-cr-ipc", MFD_CLOEXEC));
		if (fd < 0 || ftruncate(fd, sizeof(struct cr_ipc_table)) < 0)
			return cr_err_set(err, errno, "memory for a table of System V objects: %s", strerror(errno));
	}
	map = mmap(NULL, sizeof(struct cr_ipc_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return cr_err_set(err, errno, "memory for a table of System V objects: %s", strerror(errno));
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	cr_lower.ipc = cr_ipc_table = map;
	cr_lower.ipc_fd = fd;
	cr_ipc_process_began(cr_ipc_start_ns(cr_ipc_start_of(getpid())));
	return 0;
}
