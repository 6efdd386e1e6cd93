/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other names for paths of a context file.
 *
 * Invariant: a path gives the same text each time, so that what was compared once can be compared again.
 */
#include "libcr/image/relocate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct rule {
	char *from, *to;
};

/* What was handed out. */
struct made {
	struct made *next;
	const char *path; /* behind text */
	char text[];
};

static struct {
	struct rule rules[CR_RELOCATE_MAX];
	unsigned int n;
	struct made *made;
} relocations;

/* Up to an unescaped "=", or to the end; *at moves behind it. Returned: malloc'ed. */
static char *part(const char **at, bool *ret_more)
{
	char *text = malloc(strlen(*at) + 1), *to = text;

	if (!text)
		return NULL;
	*ret_more = false;
	for (; **at; (*at)++) {
		if (**at == '=') {
			*ret_more = true;
			(*at)++;
			break;
		}
		if (**at == '\\' && ((*at)[1] == '=' || (*at)[1] == '\\'))
			(*at)++;
		*to++ = **at;
	}
	*to = '\0';
	/* "/a/" means "/a" */
	while (to > text + 1 && to[-1] == '/')
		*--to = '\0';
	return text;
}

int cr_relocate_add(const char *rule, struct cr_err *err)
{
	const char *at = rule;
	bool more, rest = false;
	char *from, *to;

	if (relocations.n == CR_RELOCATE_MAX)
		return cr_err_set(err, E2BIG, "--relocate %s: there can be %d at most", rule, CR_RELOCATE_MAX);
	from = part(&at, &more);
	to = from && more ? part(&at, &rest) : NULL;
	if (!from || (more && !to)) {
		free(from);
		return cr_err_set(err, ENOMEM, "out of memory");
	}
	if (!more || rest || from[0] != '/' || to[0] != '/') {
		free(from);
		free(to);
		return cr_err_set(err, EINVAL, "--relocate %s: is to be OLD=NEW with absolute paths (\\= for a = in one of them)", rule);
	}
	relocations.rules[relocations.n++] = (struct rule){ from, to };
	return 0;
}

/* The part of @path behind the rule's; NULL: it does not fit. */
static const char *behind(const struct rule *r, const char *path)
{
	size_t bytes = strcmp(r->from, "/") == 0 ? 0 : strlen(r->from);

	return strncmp(path, r->from, bytes) == 0 && (path[bytes] == '/' || !path[bytes]) ? path + bytes : NULL;
}

static const char *make(const struct rule *r, const char *path, const char *rest)
{
	size_t to = strcmp(r->to, "/") == 0 && *rest ? 0 : strlen(r->to), bytes = to + strlen(rest) + 1;
	struct made *m = malloc(sizeof(*m) + bytes + strlen(path) + 1);

	if (!m)
		return path; /* which is then not found, and named */
	memcpy(m->text, r->to, to);
	strcpy(m->text + to, rest);
	strcpy(m->text + bytes, path);
	m->path = m->text + bytes;
	m->next = relocations.made;
	relocations.made = m;
	return m->text;
}

const char *cr_relocate(const char *path)
{
	if (!path || !relocations.n)
		return path;
	for (const struct made *m = relocations.made; m; m = m->next)
		if (strcmp(m->path, path) == 0)
			return m->text;
	for (unsigned int i = 0; i < relocations.n; i++) {
		const char *rest = behind(&relocations.rules[i], path);

		if (rest)
			return make(&relocations.rules[i], path, rest);
	}
	return path;
}

void cr_relocate_clear(void)
{
	while (relocations.n) {
		free(relocations.rules[--relocations.n].from);
		free(relocations.rules[relocations.n].to);
	}
	while (relocations.made) {
		struct made *m = relocations.made;

		relocations.made = m->next;
		free(m);
	}
}
