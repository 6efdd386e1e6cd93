/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loaded by dlopener; linked to by the programs with RPATH and RUNPATH. */
#include <stdint.h>

uint64_t plugin_turn(uint64_t x);

static __thread uint64_t calls;
static uint64_t total;

__attribute__((constructor)) static void start(void)
{
	total = 100;
}

uint64_t plugin_turn(uint64_t x)
{
	calls++;
	total += x >> 60;
	return x * 31 + calls % 3 + total;
}
