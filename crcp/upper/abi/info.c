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

static void pairs_destroy(struct crcp_info_pair *p)
{
	while (p) {
		struct crcp_info_pair *next = p->next;

		pair_destroy(p);
		p = next;
	}
}

static struct crcp_info_pair *pair_create(const char *key, const char *value)
{
	struct crcp_info_pair *p = crcp_alloc(sizeof(*p));

	if (!p)
		return NULL;
	strcpy(p->key, key);
	p->value = crcp_dup(value, strlen(value) + 1);
	if (p->value)
		return p;
	crcp_free(p);
	return NULL;
}

/* A real object that is not @i's any more. Only with several threads in the library can one be using it: then it lives as long as @i. Under the lock. */
static void keep_replaced(struct crcp_info *i, MPI_Info real)
{
	struct crcp_info_replaced *r = crcp_alloc(sizeof(*r));

	if (!r) /* it is never freed */
		return;
	*r = (struct crcp_info_replaced){ i->replaced, real };
	i->replaced = r;
}

/* The pairs are about to change, the real object will not say what the record says. Under the lock; returns what is to be freed after it, or NULL. */
static MPI_Info take_real(struct crcp_info *i)
{
	MPI_Info real = (MPI_Info)i->h.real;

	i->changes++;
	i->h.real = NULL;
	if (!real || crcp.thread_level != MPI_THREAD_MULTIPLE)
		return real;
	keep_replaced(i, real);
	return NULL;
}

static void real_free(MPI_Info real)
{
	if (real)
		CR_LOWER(crcp_lower.MPI_Info_free(&real));
}

void crcp_info_destroy(struct crcp_info *i)
{
	if (!i || (i->h.flags & CRCP_H_PREDEFINED) || --i->h.refs > 0)
		return;
	real_free((MPI_Info)i->h.real);
	while (i->replaced) {
		struct crcp_info_replaced *r = i->replaced;

		i->replaced = r->next;
		real_free(r->real);
		crcp_free(r);
	}
	pairs_destroy(i->pairs);
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

/* Under the lock, as what it returns is valid. */
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
	struct crcp_info_pair *p = pair_create(key, value), **link, *old;
	MPI_Info real;

	if (!p)
		return MPI_ERR_NO_MEM;
	crcp_abi_lock();
	link = pair_find(i, key);
	old = *link;
	p->next = old ? old->next : NULL;
	*link = p;
	real = take_real(i);
	crcp_abi_unlock();
	if (old)
		pair_destroy(old);
	real_free(real);
	return MPI_SUCCESS;
}

/* A copy of @i's pairs as they were at one moment. */
static int pairs_copy(const struct crcp_info *i, struct crcp_info_pair **ret_pairs, uint64_t *ret_changes)
{
	struct crcp_info_pair *pairs = NULL, **end = &pairs;
	const struct crcp_info_pair *p;

	crcp_abi_lock();
	for (p = i->pairs; p; p = p->next) {
		*end = pair_create(p->key, p->value);
		if (!*end)
			break;
		end = &(*end)->next;
	}
	*ret_changes = i->changes;
	crcp_abi_unlock();
	if (p) {
		pairs_destroy(pairs);
		return MPI_ERR_NO_MEM;
	}
	*ret_pairs = pairs;
	return MPI_SUCCESS;
}

struct crcp_info *crcp_info_copy(const struct crcp_info *from)
{
	struct crcp_info *i = info_create();
	uint64_t changes;

	if (!i)
		return NULL;
	if (pairs_copy(from, &i->pairs, &changes) != MPI_SUCCESS) {
		crcp_info_destroy(i);
		return NULL;
	}
	return i;
}

void crcp_info_merge(struct crcp_info *into, const struct crcp_info *from)
{
	struct crcp_info_pair *pairs = NULL;
	uint64_t changes;

	if (pairs_copy(from, &pairs, &changes) != MPI_SUCCESS)
		return;
	for (const struct crcp_info_pair *p = pairs; p; p = p->next)
		pair_set(into, p->key, p->value);
	pairs_destroy(pairs);
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
	struct crcp_info_pair *pairs = NULL;
	MPI_Info real = i ? (MPI_Info)__atomic_load_n(&i->h.real, __ATOMIC_ACQUIRE) : NULL;
	uint64_t changes;

	if (!i || (i->h.flags & CRCP_H_PREDEFINED) || real)
		return real;
	if (pairs_copy(i, &pairs, &changes) != MPI_SUCCESS)
		return (MPI_Info)crcp_real(MPI_INFO_NULL);
	if (CR_LOWER(crcp_lower.MPI_Info_create(&real)) != MPI_SUCCESS) {
		pairs_destroy(pairs);
		return (MPI_Info)crcp_real(MPI_INFO_NULL);
	}
	for (const struct crcp_info_pair *p = pairs; p; p = p->next) {
		const char *key = p->key, *value = p->value;

		CR_LOWER(crcp_lower.MPI_Info_set(real, key, value));
	}
	pairs_destroy(pairs);
	/* Another thread may have made one too, or changed the pairs: then this call has come before that. */
	crcp_abi_lock();
	if (i->h.real || i->changes != changes)
		keep_replaced(i, real);
	else
		i->h.real = real;
	crcp_abi_unlock();
	return real;
}

void crcp_infos_drop_real(void)
{
	for (struct crcp_info *i = infos; i; i = i->next) {
		i->h.real = NULL;
		while (i->replaced) {
			struct crcp_info_replaced *r = i->replaced;

			i->replaced = r->next;
			crcp_free(r);
		}
	}
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
		return crcp_error(NULL, MPI_ERR_INFO, "MPI_Info_create");
	crcp_call_begin();
	i = info_create();
	crcp_call_end();
	if (!i)
		return crcp_error(NULL, MPI_ERR_NO_MEM, "MPI_Info_create");
	*info = handle_of(i);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_free, (MPI_Info * info))
{
	if (!info || !is_ours(*info))
		return crcp_error(NULL, MPI_ERR_INFO, "MPI_Info_free");
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
		return crcp_error(NULL, MPI_ERR_INFO, "MPI_Info_dup");
	crcp_call_begin();
	if (is_ours(info)) {
		i = crcp_info_copy(info_of(info));
	} else {
		from = (MPI_Info)info_of(info)->h.real;
		i = CR_LOWER(crcp_lower.MPI_Info_dup(from, &real)) == MPI_SUCCESS ? info_of(crcp_info_adopt(real)) : NULL;
	}
	crcp_call_end();
	if (!i)
		return crcp_error(NULL, MPI_ERR_NO_MEM, "MPI_Info_dup");
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
		r = pair_set(info_of(info), key, value);
		crcp_call_end();
	}
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_set");
}

CRCP_API(int, MPI_Info_delete, (MPI_Info info, const char *key))
{
	struct crcp_info_pair **link, *p;
	MPI_Info real = NULL;
	int r = judge_key(info, key);

	if (r == MPI_SUCCESS && !is_ours(info))
		r = MPI_ERR_INFO;
	if (r == MPI_SUCCESS) {
		crcp_call_begin();
		crcp_abi_lock();
		link = pair_find(info_of(info), key);
		p = *link;
		if (p) {
			*link = p->next;
			real = take_real(info_of(info));
		} else {
			r = MPI_ERR_INFO_NOKEY;
		}
		crcp_abi_unlock();
		if (p)
			pair_destroy(p);
		real_free(real);
		crcp_call_end();
	}
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_delete");
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
		return crcp_error(NULL, r, "MPI_Info_get");
	if (!is_ours(info)) {
		crcp_call_begin();
		real = (MPI_Info)info_of(info)->h.real;
		r = CR_LOWER(crcp_lower.MPI_Info_get(real, key, valuelen, value, flag));
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_get");
	}
	crcp_call_begin();
	crcp_abi_lock();
	p = *pair_find(info_of(info), key);
	*flag = p != NULL;
	if (p) { /* @valuelen does not count the terminating null */
		size_t n = strnlen(p->value, (size_t)valuelen);

		memcpy(value, p->value, n);
		value[n] = 0;
	}
	crcp_abi_unlock();
	crcp_call_end();
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_get_valuelen, (MPI_Info info, const char *key, int *valuelen, int *flag))
{
	const struct crcp_info_pair *p;
	MPI_Info real;
	int r = judge_key(info, key);

	if (r != MPI_SUCCESS)
		return crcp_error(NULL, r, "MPI_Info_get_valuelen");
	if (!is_ours(info)) {
		crcp_call_begin();
		real = (MPI_Info)info_of(info)->h.real;
		r = CR_LOWER(crcp_lower.MPI_Info_get_valuelen(real, key, valuelen, flag));
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_get_valuelen");
	}
	crcp_call_begin();
	crcp_abi_lock();
	p = *pair_find(info_of(info), key);
	*flag = p != NULL;
	if (p)
		*valuelen = (int)strlen(p->value);
	crcp_abi_unlock();
	crcp_call_end();
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_get_nkeys, (MPI_Info info, int *nkeys))
{
	MPI_Info real;
	int r;

	if (!crcp_is_live(info) || !nkeys)
		return crcp_error(NULL, MPI_ERR_INFO, "MPI_Info_get_nkeys");
	if (!is_ours(info)) {
		crcp_call_begin();
		real = (MPI_Info)info_of(info)->h.real;
		r = CR_LOWER(crcp_lower.MPI_Info_get_nkeys(real, nkeys));
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_get_nkeys");
	}
	*nkeys = 0;
	crcp_call_begin();
	crcp_abi_lock();
	for (const struct crcp_info_pair *p = info_of(info)->pairs; p; p = p->next)
		++*nkeys;
	crcp_abi_unlock();
	crcp_call_end();
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Info_get_nthkey, (MPI_Info info, int n, char *key))
{
	const struct crcp_info_pair *p;
	MPI_Info real;
	int r;

	if (!crcp_is_live(info) || n < 0 || !key)
		return crcp_error(NULL, crcp_is_live(info) ? MPI_ERR_ARG : MPI_ERR_INFO, "MPI_Info_get_nthkey");
	if (!is_ours(info)) {
		crcp_call_begin();
		real = (MPI_Info)info_of(info)->h.real;
		r = CR_LOWER(crcp_lower.MPI_Info_get_nthkey(real, n, key));
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Info_get_nthkey");
	}
	crcp_call_begin();
	crcp_abi_lock();
	for (p = info_of(info)->pairs; p && n > 0; n--)
		p = p->next;
	if (p)
		strcpy(key, p->key);
	crcp_abi_unlock();
	crcp_call_end();
	return p ? MPI_SUCCESS : crcp_error(NULL, MPI_ERR_INFO_KEY, "MPI_Info_get_nthkey");
}
