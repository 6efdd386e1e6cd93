/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libcr/tools/restart_report.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/tools/json.h"

void restart_report_add(struct restart_report *r, const char *what, int pid, const struct cr_err *why)
{
	bool first = !r->problems;

	if (first)
		r->problems = open_memstream(&r->text, &r->bytes);
	if (!r->problems)
		return;
	fprintf(r->problems, "%s{\"name\": \"%s\", ", first ? "" : ", ", what);
	if (pid)
		fprintf(r->problems, "\"process\": %d, ", pid);
	fputs("\"reason\": ", r->problems);
	cr_json_string(r->problems, why->text, strlen(why->text));
	putc('}', r->problems);
}

int restart_report_print(struct restart_report *r, const char *path)
{
	bool good = !r->problems;

	if (r->problems)
		fclose(r->problems);
	printf("{\"file\": ");
	cr_json_string(stdout, path, strlen(path));
	printf(", \"ok\": %s, \"problems\": [%s]}\n", good ? "true" : "false", r->text ? r->text : "");
	free(r->text);
	*r = (struct restart_report){ .problems = NULL };
	return fflush(stdout) ? -errno : 0;
}
