/* SPDX-License-Identifier: GPL-2.0-or-later */
/* References as users name them. */
#include "orte-tools/tool_ref.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "snapc/snapshot.h"

const char *tool_snapshot_dir(void)
{
	const char *dir = getenv("OMPI_MCA_ompi_cr_snapshot_dir");

	if (!dir || !dir[0])
		dir = getenv(SNAPC_ENV_DIR);
	if (!dir || !dir[0])
		dir = getenv("HOME");
	return dir && dir[0] ? dir : ".";
}

static int is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int tool_ref_resolve(const char *ref, const char *dir, char *ret_path, struct cr_err *err)
{
	char name[PATH_MAX], tried[PATH_MAX];
	size_t n = strlen(ref);

	while (n > 1 && ref[n - 1] == '/')
		n--;
	if (n == 0 || n >= sizeof(name))
		return cr_err_set(err, n ? ENAMETOOLONG : EINVAL, "\"%s\" is not the name of a snapshot reference", ref);
	memcpy(name, ref, n);
	name[n] = '\0';
	if (!dir)
		dir = tool_snapshot_dir();
	if (!strchr(name, '/')) {
		if (snprintf(tried, sizeof(tried), "%s/%s", dir, name) >= (int)sizeof(tried))
			return cr_err_set(err, ENAMETOOLONG, "%s: path too long", name);
		if (is_directory(tried))
			return realpath(tried, ret_path) ? 0 : cr_err_set(err, errno, "%s: %m", tried);
		if (!is_directory(name))
			return cr_err_set(err, ENOENT, "%s: no such snapshot in %s, nor in the working directory; ompi-snapshot list shows those in the "
					  "snapshot directory (OMPI_CR_SNAPSHOT_DIR)", name, dir);
	}
	if (!realpath(name, ret_path))
		return cr_err_set(err, errno, "%s: %m", name);
	if (!is_directory(ret_path))
		return cr_err_set(err, ENOTDIR, "%s: not a directory; give the reference (ompi_global_snapshot_*.ckpt)", name);
	return 0;
}
