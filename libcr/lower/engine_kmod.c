/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine "kmod": the module reads this process's own memory (docs/kmod.md, PAGES with pid 0). The descriptor is opened once and kept, because the program
 * may give up the group that has the device; it is the lower half's, and children have it too: whoever calls gets his own memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libcr/lower/engine.h"

#define NEEDED (CR_IOC_FEATURE_PAGES | CR_IOC_FEATURE_SELF)
#define ELSE_USER CR_ENV_ENGINE "=user does without it"

static int device = -1;

static int version_check(int fd, struct cr_err *err)
{
	struct cr_ioc_version v = { 0 };

	if (ioctl(fd, CR_IOC_VERSION, &v) < 0)
		return cr_err_set(err, errno, CR_IOC_DEVICE ": %s: this is not the device of the kernel module crmod; " ELSE_USER, strerror(errno));
	if (v.ret_abi != CR_IOC_ABI)
		return cr_err_set(err, EPROTO, CR_IOC_DEVICE ": the kernel module crmod has interface %u, and %u is needed: load the module of this ompi-cr (docs/kmod.md); " ELSE_USER,
				  v.ret_abi, CR_IOC_ABI);
	if ((v.ret_features & NEEDED) != NEEDED)
		return cr_err_set(err, EPROTO, CR_IOC_DEVICE ": the kernel module crmod is too old (features 0x%llx, 0x%llx are needed): load the module of this ompi-cr (docs/kmod.md); " ELSE_USER,
				  (unsigned long long)v.ret_features, (unsigned long long)NEEDED);
	return 0;
}

static const char *open_remedy(int error)
{
	if (error == EACCES || error == EPERM)
		return "users of the kernel module crmod must be in its group (docs/kmod.md)";
	return "the kernel module crmod is not loaded: the administrator may load it (docs/kmod.md)";
}

static int kmod_probe(struct cr_err *err)
{
	int fd, rc;

	if (device >= 0)
		return 0;
	fd = open(CR_IOC_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return cr_err_set(err, errno, CR_IOC_DEVICE ": %s: %s; " ELSE_USER, strerror(errno), open_remedy(errno));
	rc = version_check(fd, err);
	if (rc)
		close(fd);
	else
		device = fd;
	return rc;
}

static int kmod_read(uint64_t start, uint64_t end, void *buffer, size_t room, struct cr_ioc_run *runs, uint32_t max_runs, struct cr_engine_read *ret)
{
	struct cr_ioc_pages a = {
		.start = start,
		.end = end,
		.buf = (uintptr_t)buffer,
		.buf_bytes = room,
		.runs = (uintptr_t)runs,
		.max_runs = max_runs,
	};
	int rc;

	do {
		rc = ioctl(device, CR_IOC_PAGES, &a);
	} while (rc < 0 && errno == EINTR);
	rc = rc < 0 ? -errno : 0;
	*ret = (struct cr_engine_read){ .next = a.ret_next, .bytes = a.ret_bytes, .runs = a.ret_runs };
	return rc;
}

static int kmod_areas(uint64_t *start, struct cr_ioc_area *ret, uint32_t max, uint32_t *ret_n)
{
	struct cr_ioc_areas a = { .start = *start, .areas = (uintptr_t)ret, .max = max };

	*ret_n = 0;
	if (ioctl(device, CR_IOC_AREAS, &a) < 0)
		return -errno;
	*start = a.ret_next;
	*ret_n = a.ret_n;
	return 0;
}

const struct cr_engine_ops cr_engine_kmod = { .name = "kmod", .probe = kmod_probe, .read = kmod_read, .areas = kmod_areas };
