/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU features that a saved program may be using: its libc has chosen code by them already. */
#ifndef CR_CPU_H
#define CR_CPU_H

#include "libcr/cr_err.h"
#include "libcr/image/thread_payload.h"

void cr_cpu_describe(struct cr_cpu_payload *ret);
/* Can a program saved on @was go on here? Also asks for the permissions that it had. */
int cr_cpu_check(const struct cr_cpu_payload *was, struct cr_err *err);
int cr_cpu_prepare(const struct cr_cpu_payload *was, struct cr_err *err);

#endif
