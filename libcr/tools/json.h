/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON, as far as the tools for one process need it. */
#ifndef CR_TOOLS_JSON_H
#define CR_TOOLS_JSON_H

#include <stddef.h>
#include <stdio.h>

/* A string with its quotes. A byte that is no UTF-8 stands for the character of that number. */
void cr_json_string(FILE *f, const char *text, size_t bytes);

#endif
