/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which engine a process has. */
#include "libcr/lower/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int user_probe(struct cr_err *err)
{
	(void)err;
	return 0;
}

const struct cr_engine_ops cr_engine_user = { .name = "user", .probe = user_probe };
const struct cr_engine_ops *cr_engine = &cr_engine_user;

int cr_engine_start(bool must, struct cr_err *err)
{
	const char *want = getenv(CR_ENV_ENGINE);
	int rc;

	cr_engine = &cr_engine_user;
	if (want && !strcmp(want, cr_engine_user.name))
		return 0;
	if (want && *want && strcmp(want, "auto") && strcmp(want, cr_engine_kmod.name))
		return must ? cr_err_set(err, EINVAL, CR_ENV_ENGINE "=%.40s: there is no such engine; user, kmod and auto are possible", want) : 0;
	must = must && want && !strcmp(want, cr_engine_kmod.name);
	rc = cr_engine_kmod.probe(must ? err : NULL);
	if (!rc)
		cr_engine = &cr_engine_kmod;
	return must ? rc : 0;
}
