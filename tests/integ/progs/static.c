/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linked statically. */
#include <stdio.h>

int main(void)
{
	puts("ok");
	return 0;
}
