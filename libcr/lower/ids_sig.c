/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Process, thread and group ids: after a restart the program keeps the ones it had, the kernel may have others.
 *
 * A process's own table is filled before the program's threads go on and never changes afterwards. The processes of a restarted tree have one more
 * in common, which loses a process when somebody has waited for it. Threads and processes made later have the same id on both sides, unless a
 * member of the tree has it already.
 */
#include "libcr/lower/lower.h"

#include <errno.h>

#include "libcr/arch/x86_64/raw.h"

#define NEVER_GIVEN 4194304 /* the kernel's ids are below: PID_MAX_LIMIT */

int cr_id_to_kernel(int program)
{
	const struct cr_tree_shared *t = cr_lower.tree;

	for (uint32_t i = 0; i < cr_lower.n_ids; i++)
		if (cr_lower.ids[i].program == program)
			return cr_lower.ids[i].kernel;
	for (uint32_t i = 0; t && i < t->n_ids; i++)
		if (t->ids[i].kernel > 0 && t->ids[i].program == program)
			return t->ids[i].kernel;
	return program;
}

int cr_id_to_program(int kernel)
{
	const struct cr_tree_shared *t = cr_lower.tree;

	for (uint32_t i = 0; i < cr_lower.n_ids; i++)
		if (cr_lower.ids[i].kernel == kernel)
			return cr_lower.ids[i].program;
	for (uint32_t i = 0; t && kernel > 0 && i < t->n_ids; i++)
		if (t->ids[i].kernel == kernel)
			return t->ids[i].program;
	return kernel;
}

int cr_id_group_to_kernel(int program)
{
	const struct cr_tree_shared *t = cr_lower.tree;

	for (uint32_t i = 0; t && i < t->n_groups; i++)
		if (t->groups[i].kernel > 0 && t->groups[i].program == program)
			return t->groups[i].kernel;
	return cr_id_to_kernel(program);
}

int cr_id_group_to_program(int kernel)
{
	const struct cr_tree_shared *t = cr_lower.tree;

	for (uint32_t i = 0; t && kernel > 0 && i < t->n_groups; i++)
		if (t->groups[i].kernel == kernel)
			return t->groups[i].program;
	return cr_id_to_program(kernel);
}

/* Without a free entry the id stays the kernel's. */
static void table_add(struct cr_tree_id *ids, uint32_t room, volatile uint32_t *used, int program, int kernel)
{
	for (uint32_t i = 0; i < room; i++) {
		uint32_t n = *used;
		int32_t none = 0;

		if (i < n && ids[i].kernel == kernel)
			return;
		if (i == n)
			__atomic_compare_exchange_n(used, &n, n + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
		if (ids[i].kernel || !__atomic_compare_exchange_n(&ids[i].kernel, &none, -1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			continue;
		ids[i].program = program;
		__atomic_store_n(&ids[i].kernel, kernel, __ATOMIC_SEQ_CST);
		return;
	}
}

void cr_id_tree_add(int program, int kernel)
{
	if (cr_lower.tree)
		table_add(cr_lower.tree->ids, CR_TREE_IDS, &cr_lower.tree->n_ids, program, kernel);
}

void cr_id_group_add(int program, int kernel)
{
	if (cr_lower.tree && program > 0) /* 0: of a process outside of the PID namespace */
		table_add(cr_lower.tree->groups, CR_TREE_GROUPS, &cr_lower.tree->n_groups, program, kernel);
}

/* Parent and child come to the same result, whoever is first. */
void cr_id_child(int kernel)
{
	const struct cr_tree_shared *t = cr_lower.tree;

	for (uint32_t i = 0; t && i < t->n_ids; i++)
		if (t->ids[i].kernel > 0 && t->ids[i].program == kernel && t->ids[i].kernel != kernel) {
			cr_id_tree_add(NEVER_GIVEN + kernel, kernel);
			return;
		}
}

void cr_id_forget(int kernel)
{
	struct cr_tree_shared *t = cr_lower.tree;

	/* It only stopped, or its group lives on. */
	if (!t || kernel <= 0 || cr_sys2(SYS_kill, kernel, 0) != -ESRCH || cr_sys2(SYS_kill, -kernel, 0) != -ESRCH)
		return;
	for (uint32_t i = 0; i < t->n_ids; i++)
		if (t->ids[i].kernel == kernel)
			t->ids[i].kernel = 0;
}
