/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One sequence out of global_snapshot_meta.h5 as a struct snapc_snapshot that owns everything it points to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/meta_file.h"

/* What a loaded snapshot owns; the public part comes first. */
struct loaded {
	struct snapc_snapshot s;
	char *dir;
	struct snapc_job *job;
	struct snapc_rank *ranks;
	uint64_t nranks;
	struct snapc_rank_times *times;
	struct snapc_node *nodes;
	uint64_t nnodes;
	struct snapc_phase *phases;
	uint64_t nphases;
};

static int keep(const char *from, const char **ret_to)
{
	*ret_to = strdup(from ? from : "");
	return *ret_to ? 0 : -ENOMEM;
}

static int ranks_read(hid_t group, struct loaded *l)
{
	hid_t type = meta_type_rank();
	struct meta_rank_row *rows;
	void *table;
	uint64_t n;
	int rc = type < 0 ? -EIO : meta_get_table(group, "ranks", type, sizeof(*rows), &table, &n);

	if (rc < 0)
		goto out;
	rows = table;
	l->ranks = calloc(n + 1, sizeof(*l->ranks));
	if (!l->ranks)
		rc = -ENOMEM;
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		struct snapc_rank *r = &l->ranks[l->nranks++];

		r->rank = rows[i].rank;
		r->pid = rows[i].pid;
		r->file_bytes = rows[i].file_bytes;
		r->pages = rows[i].pages;
		r->checksum = rows[i].checksum;
		r->messages = rows[i].messages;
		r->message_bytes = rows[i].message_bytes;
		r->stopped_ns = rows[i].stopped_ns;
		if (keep(rows[i].host, &r->host) < 0 || keep(rows[i].engine, &r->engine) < 0 ||
		    keep(rows[i].context_file, &r->context_file) < 0 || keep(rows[i].binding, &r->binding) < 0)
			rc = -ENOMEM;
	}
	meta_free_table(type, table, n);
out:
	if (type >= 0)
		H5Tclose(type);
	return rc;
}

/* Not in the files of earlier versions. Both tables are in the order of ranks. */
static int times_read(hid_t group, struct loaded *l)
{
	struct meta_times_row *rows;
	hid_t type;
	void *table;
	uint64_t n;
	int rc;

	if (H5Lexists(group, "timeline", H5P_DEFAULT) <= 0)
		return 0;
	type = meta_type_times();
	rc = type < 0 ? -EIO : meta_get_table(group, "timeline", type, sizeof(*rows), &table, &n);
	if (rc < 0)
		goto out;
	rows = table;
	l->times = calloc(l->nranks + 1, sizeof(*l->times));
	if (!l->times)
		rc = -ENOMEM;
	for (uint64_t i = 0; i < n && i < l->nranks && rc == 0; i++) {
		struct snapc_rank_times *t = &l->times[i];

		if (rows[i].rank != l->ranks[i].rank) {
			rc = -EIO;
			break;
		}
		t->checked_ns = rows[i].checked_ns;
		t->arrived_ns = rows[i].arrived_ns;
		t->drained_ns = rows[i].drained_ns;
		t->frozen_ns = rows[i].frozen_ns;
		t->snapped_ns = rows[i].snapped_ns;
		t->resumed_ns = rows[i].resumed_ns;
		t->dumped_ns = rows[i].dumped_ns;
		t->write_ns = rows[i].write_ns;
	}
	meta_free_table(type, table, n);
out:
	if (type >= 0)
		H5Tclose(type);
	return rc;
}

static int topology_read(const struct snapc_meta *meta, const char *name, const char **ret_xml)
{
	char path[64], **xml;
	int rc;

	if (!name || !name[0])
		return keep("", ret_xml);
	if (strlen(name) > 32 || strspn(name, "0123456789abcdef") != strlen(name))
		return -EIO;
	snprintf(path, sizeof(path), "/topology/%s", name);
	rc = meta_get_strings(meta->file, path, &xml);
	if (rc < 0)
		return rc;
	rc = keep(xml[0], ret_xml);
	meta_free_strings(xml);
	return rc;
}

static int nodes_read(const struct snapc_meta *meta, hid_t group, struct loaded *l)
{
	hid_t type = meta_type_node();
	struct meta_node_row *rows;
	void *table;
	uint64_t n;
	int rc = type < 0 ? -EIO : meta_get_table(group, "nodes", type, sizeof(*rows), &table, &n);

	if (rc < 0)
		goto out;
	rows = table;
	l->nodes = calloc(n + 1, sizeof(*l->nodes));
	if (!l->nodes)
		rc = -ENOMEM;
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		struct snapc_node *node = &l->nodes[l->nnodes++];

		rc = keep(rows[i].host, &node->host);
		if (rc == 0)
			rc = topology_read(meta, rows[i].topology, &node->topology_xml);
	}
	meta_free_table(type, table, n);
out:
	if (type >= 0)
		H5Tclose(type);
	return rc;
}

static int phases_read(hid_t group, struct loaded *l)
{
	hid_t type = meta_type_phase();
	struct meta_phase_row *rows;
	void *table;
	uint64_t n;
	int rc = type < 0 ? -EIO : meta_get_table(group, "phases", type, sizeof(*rows), &table, &n);

	if (rc < 0)
		goto out;
	rows = table;
	l->phases = calloc(n + 1, sizeof(*l->phases));
	if (!l->phases)
		rc = -ENOMEM;
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		struct snapc_phase *p = &l->phases[l->nphases++];

		p->begin_ns = rows[i].begin_ns;
		p->end_ns = rows[i].end_ns;
		rc = keep(rows[i].name, &p->name);
	}
	meta_free_table(type, table, n);
out:
	if (type >= 0)
		H5Tclose(type);
	return rc;
}

/* Every rank once, no context file outside of the sequence directory. */
static int rows_check(const struct snapc_meta *meta, const struct loaded *l, uint64_t np, struct cr_err *err)
{
	unsigned char *seen;
	int rc = 0;

	if (np != l->nranks || np == 0)
		return cr_err_set(err, EBADMSG, "%s: sequence %u says %llu ranks and lists %llu", meta->path, l->s.seq, (unsigned long long)np,
				  (unsigned long long)l->nranks);
	seen = calloc(np, 1);
	if (!seen)
		return cr_err_set(err, ENOMEM, "%s: no memory", meta->path);
	for (uint64_t i = 0; i < np && rc == 0; i++) {
		const struct snapc_rank *r = &l->ranks[i];

		if (r->rank < 0 || (uint64_t)r->rank >= np || seen[r->rank])
			rc = cr_err_set(err, EBADMSG, "%s: sequence %u lists rank %d twice or out of range", meta->path, l->s.seq, r->rank);
		else if (r->context_file[0] == '/' || strstr(r->context_file, ".."))
			rc = cr_err_set(err, EBADMSG, "%s: sequence %u, rank %d: context file %s lies outside of the snapshot", meta->path,
					l->s.seq, r->rank, r->context_file);
		else
			seen[r->rank] = 1;
	}
	free(seen);
	return rc;
}

static int sequence_find(const struct snapc_meta *meta, int64_t seq, uint32_t *ret_seq, struct cr_err *err)
{
	if (meta->nseqs == 0)
		return cr_err_set(err, ENOENT, "%s: holds no sequence any more; every one was pruned", meta->path);
	if (seq < 0) {
		*ret_seq = meta->seqs[meta->nseqs - 1];
		return 0;
	}
	for (uint32_t i = 0; i < meta->nseqs; i++) {
		if (meta->seqs[i] == seq) {
			*ret_seq = meta->seqs[i];
			return 0;
		}
	}
	return cr_err_set(err, ENOENT, "%s: no sequence %lld; ompi-snapshot list shows those that exist (newest: %u)", meta->path,
			  (long long)seq, meta->seqs[meta->nseqs - 1]);
}

int snapc_meta_load(const struct snapc_meta *meta, int64_t seq, struct snapc_snapshot **ret_s, struct cr_err *err)
{
	struct loaded *l;
	char name[32];
	uint64_t np = 0;
	hid_t group;
	int rc;

	l = calloc(1, sizeof(*l));
	if (!l)
		return cr_err_set(err, ENOMEM, "%s: no memory", meta->path);
	rc = sequence_find(meta, seq, &l->s.seq, err);
	if (rc == 0)
		rc = snapc_meta_job(meta, &l->job, err);
	if (rc < 0) {
		snapc_snapshot_destroy(&l->s);
		return rc;
	}
	meta_seq_name(l->s.seq, name, sizeof(name));
	group = H5Gopen2(meta->file, name, H5P_DEFAULT);
	rc = group < 0 ? -EIO : 0;
	if (rc == 0)
		rc = meta_get_u64(group, "np", &np);
	if (rc == 0)
		rc = meta_get_u64(group, "begin_ns", &l->s.begin_ns);
	if (rc == 0)
		rc = meta_get_u64(group, "end_ns", &l->s.end_ns);
	if (rc == 0)
		rc = ranks_read(group, l);
	if (rc == 0)
		rc = times_read(group, l);
	if (rc == 0)
		rc = nodes_read(meta, group, l);
	if (rc == 0)
		rc = phases_read(group, l);
	if (group >= 0)
		H5Gclose(group);
	if (rc == 0)
		l->dir = strdup(meta->dir);
	if (rc == 0 && !l->dir)
		rc = -ENOMEM;
	if (rc < 0)
		rc = rc == -ENOMEM ? cr_err_set(err, ENOMEM, "%s: no memory", meta->path)
				   : cr_err_set(err, EBADMSG, "%s: %s is incomplete: changed since ompi-cr wrote it", meta->path, name);
	if (rc == 0)
		rc = rows_check(meta, l, np, err);
	if (rc < 0) {
		snapc_snapshot_destroy(&l->s);
		return rc;
	}
	l->s.dir = l->dir;
	l->s.np = (uint32_t)np;
	l->s.job = l->job;
	l->s.ranks = l->ranks;
	l->s.times = l->times;
	l->s.nodes = l->nodes;
	l->s.nnodes = (uint32_t)l->nnodes;
	l->s.phases = l->phases;
	l->s.nphases = (uint32_t)l->nphases;
	*ret_s = &l->s;
	return 0;
}

void snapc_snapshot_destroy(struct snapc_snapshot *s)
{
	struct loaded *l = (struct loaded *)s;

	if (!l)
		return;
	for (uint64_t i = 0; i < l->nranks; i++) {
		free((char *)l->ranks[i].host);
		free((char *)l->ranks[i].engine);
		free((char *)l->ranks[i].context_file);
		free((char *)l->ranks[i].binding);
	}
	for (uint64_t i = 0; i < l->nnodes; i++) {
		free((char *)l->nodes[i].host);
		free((char *)l->nodes[i].topology_xml);
	}
	for (uint64_t i = 0; i < l->nphases; i++)
		free((char *)l->phases[i].name);
	free(l->ranks);
	free(l->times);
	free(l->nodes);
	free(l->phases);
	free(l->dir);
	snapc_job_destroy(l->job);
	free(l);
}

int meta_seq_topologies(const struct snapc_meta *meta, uint32_t seq, char ***ret_names, uint32_t *ret_n, struct cr_err *err)
{
	hid_t type = meta_type_node(), group;
	struct meta_node_row *rows;
	char name[32];
	void *table;
	uint64_t n;
	int rc;

	meta_seq_name(seq, name, sizeof(name));
	group = H5Gopen2(meta->file, name, H5P_DEFAULT);
	rc = type < 0 || group < 0 ? -EIO : meta_get_table(group, "nodes", type, sizeof(*rows), &table, &n);
	if (rc < 0)
		goto out;
	rows = table;
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		const char *topology = rows[i].topology ? rows[i].topology : "";
		uint32_t k = 0;
		char **grown;

		while (k < *ret_n && strcmp((*ret_names)[k], topology) != 0)
			k++;
		if (k < *ret_n || !topology[0])
			continue;
		grown = realloc(*ret_names, (*ret_n + 1) * sizeof(**ret_names));
		if (grown)
			*ret_names = grown;
		if (!grown || !(grown[*ret_n] = strdup(topology)))
			rc = -ENOMEM;
		else
			(*ret_n)++;
	}
	meta_free_table(type, table, n);
out:
	if (group >= 0)
		H5Gclose(group);
	if (type >= 0)
		H5Tclose(type);
	return rc < 0 ? cr_err_set(err, rc == -ENOMEM ? ENOMEM : EBADMSG, "%s: cannot read the nodes of sequence %u", meta->path, seq) : 0;
}
