/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Process and thread ids: after a restart the program keeps the ones it had, the kernel has others.
 *
 * The table is filled before the program's threads go on and never changes afterwards. Threads made later have the same id on both sides.
 */
#include "libcr/lower/lower.h"

int cr_id_to_kernel(int program)
{
	for (uint32_t i = 0; i < cr_lower.n_ids; i++)
		if (cr_lower.ids[i].program == program)
			return cr_lower.ids[i].kernel;
	return program;
}

int cr_id_to_program(int kernel)
{
	for (uint32_t i = 0; i < cr_lower.n_ids; i++)
		if (cr_lower.ids[i].kernel == kernel)
			return cr_lower.ids[i].program;
	return kernel;
}
