/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words for error numbers. */
#include <string.h>

#include "libcr/upper/upper.h"

EXPORT const char *cr_strerror(int error)
{
	static const char *const words[] = {
		[CR_ETEMPFAIL - CR_MIN_ERRCODE] = "Temporary checkpoint failure: cancelled by the application, try again later",
		[CR_EPERMFAIL - CR_MIN_ERRCODE] = "Permanent checkpoint failure: the application cannot be checkpointed",
		[CR_ENOSUPPORT - CR_MIN_ERRCODE] = "Process was not started by cr_run",
		[CR_EVERSION - CR_MIN_ERRCODE] = "Version mismatch between libcr and the process layer",
		[CR_EOMITTED - CR_MIN_ERRCODE] = "Process was left out of the checkpoint at its own request",
		[CR_EBADARCH - CR_MIN_ERRCODE] = "Context file of another kind of machine",
		[CR_EPTRACED - CR_MIN_ERRCODE] = "Process is traced",
		[CR_EPTRACER - CR_MIN_ERRCODE] = "Process traces others",
		[CR_ERSTRTABRT - CR_MIN_ERRCODE] = "Restart was given up",
		[CR_ERESTARTED - CR_MIN_ERRCODE] = "Process was restarted: the request belongs to its former life",
		[CR_ENOTCB - CR_MIN_ERRCODE] = "Only valid in a checkpoint callback",
		[CR_ENOINIT - CR_MIN_ERRCODE] = "Thread has not called cr_init()",
	};

	error = error < 0 ? -error : error;
	if (error > CR_MIN_ERRCODE && error < CR_MAX_ERRCODE)
		return words[error - CR_MIN_ERRCODE];
	return strerrordesc_np(error) ? strerrordesc_np(error) : "Code of the application";
}
