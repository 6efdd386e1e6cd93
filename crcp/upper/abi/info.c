/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Info objects: key and value pairs kept here; a real object is made when a lower call needs one.
 *
 * MPI_INFO_ENV is the real library's and is asked there.
 */
#include "crcp/upper/abi/objects.h"

#include <string.h>

static struct crcp_info *infos; /* live records, so that a restart can drop the stale real objects */

static inline struct crcp_info *info_of(MPI_Info i) { return (struct crcp_info *)(void *)i; }
static inline MPI_Info handle_of(struct crcp_info *i) { return (MPI_Info)(void *)i; }

static struct crcp_info *info_create(void)
{
	struct crcp_info *i = crcp_alloc(sizeof(*i));

	if (!i)
		return NULL;
	i->h = (struct crcp_handle){ .kind = CRCP_INFO, .fint = -1, .refs = 1 };
	crcp_abi_lock();
	i->next = infos;
	if (infos)
		infos->prev = i;
	infos = i;
	crcp_abi_unlock();
	return i;
}

static void pair_destroy(struct crcp_info_pair *p)
{
	crcp_free(p->value);
	crcp_free(p);
}

/* The real object no longer says what the record says. */
static void info_drop_real(struct crcp_info *i)
{
	MPI_Info real = (MPI_Info)i->h.real;

	if (!real)
		return;
	i->h.real = NULL;
	CR_LOWER(crcp_lower.MPI_Info_free(&real));
}

void crcp_info_destroy(struct crcp_info *i)
{
	if (!i || (i->h.flags & CRCP_H_PREDEFINED) || --i->h.refs > 0)
		return;
	info_drop_real(i);
	while (i->pairs) {
		struct crcp_info_pair *p = i->pairs;

		i->pairs = p->next;
		pair_destroy(p);
	}
	crcp_fint_release(&i->h);
	crcp_abi_lock();
	if (i->prev)
		i->prev->next = i->next;
	else
		infos = i->next;
	if (i->next)
		i->next->prev = i->prev;
	crcp_abi_unlock();
	crcp_free(i);
}

static struct crcp_info_pair **pair_find(struct crcp_info *i, const char *key)
{
	struct crcp_info_pair **link = &i->pairs;

	while (*link && strcmp((*link)->key, key) != 0)
		link = &(*link)->next;
	return link;
}

/* @key and @value have been judged. */
static int pair_set(struct crcp_info *i, const char *key, const char *value)
{
	struct crcp_info_pair **link = pair_find(i, key), *p = *link;
	char *copy = crcp_dup(value, strlen(value) + 1);

	if (!copy)
		return MPI_ERR_NO_MEM;
	if (!p) {
		p = crcp_alloc(sizeof(*p));
		if (!p) {
			crcp_free(copy);
			return MPI_ERR_NO_MEM;
		}
		strcpy(p->key, key);
		*link = p;
	}
	crcp_free(p->value);
	p->value = copy;
	return MPI_SUCCESS;
}

struct crcp_info *crcp_info_copy(const struct crcp_info *from)
{
	struct crcp_info *i = info_create();

	if (!i)
		return NULL;
	for (const struct crcp_info_pair *p = from->pairs; p; p = p->next)
		if (pair_set(i, p->key, p->value) != MPI_SUCCESS) {
			crcp_info_destroy(i);
			return NULL;
		}
	return i;
}

void crcp_info_merge(struct crcp_info *into, const struct crcp_info *from)
{
	info_drop_real(into);
	for (const struct crcp_info_pair *p = from->pairs; p; p = p->next)
		pair_set(into, p->key, p->value);
}

MPI_Info crcp_info_adopt(MPI_Info real)
{
	struct crcp_info *i = info_create();
	char key[MPI_MAX_INFO_KEY + 1], value[MPI_MAX_INFO_VAL + 1];
	int n = 0;

	if (!i)
		return MPI_INFO_NULL;
	CR_LOWER(crcp_lower.MPI_Info_get_nkeys(real, &n));
	for (int k = 0; k < n; k++) {
		int flag = 0;

		CR_LOWER(crcp_lower.MPI_Info_get_nthkey(real, k, key));
		CR_LOWER(crcp_lower.MPI_Info_get(real, key, MPI_MAX_INFO_VAL, value, &flag));
		if (flag)
			pair_set(i, key, value);
	}
	CR_LOWER(crcp_lower.MPI_Info_free(&real));
	return handle_of(i);
}

MPI_Info crcp_info_real(MPI_Info info)
{
	struct crcp_info *i = info_of(info);
	MPI_Info real = NULL;

	if (!i || (i->h.flags & CRCP_H_PREDEFINED) || i->h.real)
		return i ? (MPI_Info)i->h.real : NULL;
	if (CR_LOWER(crcp_lower.MPI_Info_create(&real)) != MPI_SUCCESS)
		return (MPI_Info)crcp_real(MPI_INFO_NULL);
	for (const struct crcp_info_pair *p = i->pairs; p; p = p->next) {
		const char *key = p->key, *value = p->value;

		CR_LOWER(crcp_lower.MPI_Info_set(real, key, value));
	}
	i->h.real = real;
	return real;
}

void crcp_infos_drop_real(void)
{
	for (struct crcp_info *i = infos; i; i = i->next)
		i->h.real = NULL;
}

/* ---- the calls ---- */
static bool is_ours(MPI_Info info)
{
	return info && !(info_of(info)->h.flags & CRCP_H_PREDEFINED);
}

CRCP_API(int, MPI_Info_create, (MPI_Info * info))
{
	struct crcp_info *i;

	if (!info)
		return crcp_raise(NULL, MPI_ERR_INFO, "MPI_Info_create");
	crcp_call_begin();
	i = info_create();
	crcp_call_end();
	if (!i)
		return crcp_raise(NULL, MPI_ERR_NO_MEM, "MPI_Info_create");
	*info = handle_of(i);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_free, (MPI_Info * info))
{
	if (!info || !is_ours(*info))
		return crcp_raise(NULL, MPI_ERR_INFO, "MPI_Info_free");
	crcp_call_begin();
	crcp_info_destroy(info_of(*info));
	crcp_call_end();
	*info = MPI_INFO_NULL;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_dup, (MPI_Info info, MPI_Info *newinfo))
{
	struct crcp_info *i;
	MPI_Info real = NULL, from;

	if (!crcp_is_live(info) || !newinfo)
		return crcp_raise(NULL, MPI_ERR_INFO, "MPI_Info_dup");
	crcp_call_begin();
	if (is_ours(info)) {
		i = crcp_info_copy(info_of(info));
	} else {
		from = (MPI_Info)info_of(info)->h.real;
		i = CR_LOWER(crcp_lower.MPI_Info_dup(from, &real)) == MPI_SUCCESS ? info_of(crcp_info_adopt(real)) : NULL;
	}
	crcp_call_end();
	if (!i)
		return crcp_raise(NULL, MPI_ERR_NO_MEM, "MPI_Info_dup");
	*newinfo = handle_of(i);
	return MPI_SUCCESS;
}

static int judge_key(MPI_Info info, const char *key)
{
	if (!crcp_is_live(info))
		return MPI_ERR_INFO;
	if (!key || !*key || strlen(key) > MPI_MAX_INFO_KEY)
		return MPI_ERR_INFO_KEY;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_set, (MPI_Info info, const char *key, const char *value))
{
	int r = judge_key(info, key);

	if (r == MPI_SUCCESS && !is_ours(info))
		r = MPI_ERR_INFO;
	if (r == MPI_SUCCESS && (!value || !*value || strlen(value) > MPI_MAX_INFO_VAL))
		r = MPI_ERR_INFO_VALUE;
	if (r == MPI_SUCCESS) {
		crcp_call_begin();
		info_drop_real(info_of(info));
		r = pair_set(info_of(info), key, value);
		crcp_call_end();
	}
	return r == MPI_SUCCESS ? r : crcp_raise(NULL, r, "MPI_Info_set");
}

CRCP_API(int, MPI_Info_delete, (MPI_Info info, const char *key))
{
	struct crcp_info_pair **link, *p;
	int r = judge_key(info, key);

	if (r == MPI_SUCCESS && !is_ours(info))
		r = MPI_ERR_INFO;
	if (r == MPI_SUCCESS) {
		crcp_call_begin();
		link = pair_find(info_of(info), key);
		p = *link;
		if (p) {
			*link = p->next;
			pair_destroy(p);
			info_drop_real(info_of(info));
		} else {
			r = MPI_ERR_INFO_NOKEY;
		}
		crcp_call_end();
	}
	return r == MPI_SUCCESS ? r : crcp_raise(NULL, r, "MPI_Info_delete");
}

CRCP_API(int, MPI_Info_get, (MPI_Info info, const char *key, int valuelen, char *value, int *flag))
{
	const struct crcp_info_pair *p;
	MPI_Info real;
	int r = judge_key(info, key);

	if (r == MPI_SUCCESS && valuelen < 0)
		r = MPI_ERR_ARG;
	if (r == MPI_SUCCESS && !value)
		r = MPI_ERR_INFO_VALUE;
	if (r != MPI_SUCCESS)
		return crcp_raise(NULL, r, "MPI_Info_get");
	if (!is_ours(info)) {
		crcp_call_begin();
		real = (MPI_Info)info_of(info)->h.real;
		r = CR_LOWER(crcp_lower.MPI_Info_get(real, key, valuelen, value, flag));
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_get");
	}
	p = *pair_find(info_of(info), key);
	*flag = p != NULL;
	if (p) { /* @valuelen does not count the terminating null */
		size_t n = strnlen(p->value, (size_t)valuelen);

		memcpy(value, p->value, n);
		value[n] = 0;
	}
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_get_valuelen, (MPI_Info info, const char *key, int *valuelen, int *flag))
{
	const struct crcp_info_pair *p;
	MPI_Info real;
	int r = judge_key(info, key);

	if (r != MPI_SUCCESS)
		return crcp_raise(NULL, r, "MPI_Info_get_valuelen");
	if (!is_ours(info)) {
		crcp_call_begin();
		real = (MPI_Info)info_of(info)->h.real;
		r = CR_LOWER(crcp_lower.MPI_Info_get_valuelen(real, key, valuelen, flag));
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_get_valuelen");
	}
	p = *pair_find(info_of(info), key);
	*flag = p != NULL;
	if (p)
		*valuelen = (int)strlen(p->value);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_get_nkeys, (MPI_Info info, int *nkeys))
{
	MPI_Info real;
	int r;

	if (!crcp_is_live(info) || !nkeys)
		return crcp_raise(NULL, MPI_ERR_INFO, "MPI_Info_get_nkeys");
	if (!is_ours(info)) {
		crcp_call_begin();
		real = (MPI_Info)info_of(info)->h.real;
		r = CR_LOWER(crcp_lower.MPI_Info_get_nkeys(real, nkeys));
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_get_nkeys");
	}
	*nkeys = 0;
	for (const struct crcp_info_pair *p = info_of(info)->pairs; p; p = p->next)
		++*nkeys;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_get_nthkey, (MPI_Info info, int n, char *key))
{
	const struct crcp_info_pair *p;
	MPI_Info real;
	int r;

	if (!crcp_is_live(info) || n < 0 || !key)
		return crcp_raise(NULL, crcp_is_live(info) ? MPI_ERR_ARG : MPI_ERR_INFO, "MPI_Info_get_nthkey");
	if (!is_ours(info)) {
		crcp_call_begin();
		real = (MPI_Info)info_of(info)->h.real;
		r = CR_LOWER(crcp_lower.MPI_Info_get_nthkey(real, n, key));
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_get_nthkey");
	}
	for (p = info_of(info)->pairs; p && n > 0; n--)
		p = p->next;
	if (!p)
		return crcp_raise(NULL, MPI_ERR_INFO_KEY, "MPI_Info_get_nthkey");
	strcpy(key, p->key);
	return MPI_SUCCESS;
}
