/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing global_snapshot_meta.h5.  HDF5 builds the file in memory; what reaches the disk is written by us, whole, under a temporary
 * name, fsync'ed and renamed: the file that exists is always complete.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "snapc/meta_block.h"
#include "snapc/meta_file.h"
#include "snapc/snapshot_disk.h"

#define META_TEMPORARY SNAPC_META_NAME ".tmp"
#define CREATOR "ompi-cr"

static const char *text(const char *s)
{
	return s ? s : "";
}

static int job_write(hid_t file, const struct snapc_job *job)
{
	hid_t group = H5Gcreate2(file, "/job", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), apps = -1;
	int bad = group < 0 || meta_put_string(group, "id", text(job->id)) < 0 || meta_put_i64(group, "mpirun_pid", job->mpirun_pid) < 0 ||
		  meta_put_u64(group, "mpirun_start_time", job->mpirun_start) < 0 || meta_put_string(group, "host", text(job->host)) < 0 ||
		  meta_put_u64(group, "uid", job->uid) < 0 || meta_put_string(group, "cwd", text(job->cwd)) < 0 ||
		  meta_put_string(group, "open_mpi_version", text(job->ompi_version)) < 0 ||
		  meta_put_string(group, "amca", text(job->amca)) < 0 ||
		  meta_put_string(group, "restarted_from", text(job->restarted_from)) < 0 ||
		  meta_put_i64(group, "restarted_sequence", job->restarted_seq) < 0 || meta_put_strings(group, "argv", job->argv) < 0 ||
		  meta_put_strings(group, "environment", job->env) < 0 || meta_put_strings(group, "mca_parameters", job->mca) < 0 ||
		  meta_put_u64(group, "apps", job->napps) < 0;

	if (!bad)
		apps = H5Gcreate2(group, "app", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	bad = bad || apps < 0;
	for (uint32_t i = 0; i < job->napps && !bad; i++) {
		char name[32];
		hid_t app;

		snprintf(name, sizeof(name), "%u", i);
		app = H5Gcreate2(apps, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
		bad = app < 0 || meta_put_u64(app, "np", job->apps[i].np) < 0 || meta_put_strings(app, "argv", job->apps[i].argv) < 0;
		if (app >= 0)
			H5Gclose(app);
	}
	if (apps >= 0)
		H5Gclose(apps);
	if (group >= 0)
		H5Gclose(group);
	return bad ? -EIO : 0;
}

static int ranks_write(hid_t group, const struct snapc_snapshot *s)
{
	struct meta_rank_row *rows = calloc(s->np, sizeof(*rows));
	hid_t type = meta_type_rank();
	int rc = -EIO;

	if (!rows) {
		rc = -ENOMEM;
		goto out;
	}
	for (uint32_t i = 0; i < s->np; i++) {
		const struct snapc_rank *r = &s->ranks[i];

		/* Rows are stored in the order of ranks. */
		rows[r->rank] = (struct meta_rank_row){
			.rank = r->rank,
			.pid = r->pid,
			.host = (char *)text(r->host),
			.engine = (char *)text(r->engine),
			.context_file = (char *)text(r->context_file),
			.file_bytes = r->file_bytes,
			.pages = r->pages,
			.checksum = r->checksum,
			.binding = (char *)text(r->binding),
			.messages = r->messages,
			.message_bytes = r->message_bytes,
			.stopped_ns = r->stopped_ns,
		};
	}
	if (type >= 0)
		rc = meta_put_table(group, "ranks", type, rows, s->np);
out:
	if (type >= 0)
		H5Tclose(type);
	free(rows);
	return rc;
}

/* Rows in the order of ranks, as above. */
static int times_write(hid_t group, const struct snapc_snapshot *s)
{
	struct meta_times_row *rows = calloc(s->np, sizeof(*rows));
	hid_t type = meta_type_times();
	int rc = rows ? (type < 0 ? -EIO : 0) : -ENOMEM;

	for (uint32_t i = 0; i < s->np && rc == 0; i++) {
		const struct snapc_rank_times *t = &s->times[i];

		rows[s->ranks[i].rank] = (struct meta_times_row){
			.rank = s->ranks[i].rank,
			.checked_ns = t->checked_ns,
			.arrived_ns = t->arrived_ns,
			.drained_ns = t->drained_ns,
			.frozen_ns = t->frozen_ns,
			.snapped_ns = t->snapped_ns,
			.resumed_ns = t->resumed_ns,
			.dumped_ns = t->dumped_ns,
			.write_ns = t->write_ns,
		};
	}
	if (rc == 0)
		rc = meta_put_table(group, "timeline", type, rows, s->np);
	if (type >= 0)
		H5Tclose(type);
	free(rows);
	return rc;
}

static void topology_name(const char *xml, char *ret_name)
{
	ret_name[0] = '\0';
	if (xml[0])
		snprintf(ret_name, 17, "%016llx", (unsigned long long)XXH3_64bits(xml, strlen(xml)));
}

static int nodes_write(hid_t file, hid_t group, const struct snapc_snapshot *s)
{
	struct meta_node_row *rows = calloc(s->nnodes + 1, sizeof(*rows));
	char (*names)[17] = calloc(s->nnodes + 1, sizeof(*names));
	hid_t type = meta_type_node();
	int rc = rows && names ? (type < 0 ? -EIO : 0) : -ENOMEM;

	for (uint32_t i = 0; i < s->nnodes && rc == 0; i++) {
		const char *xml = text(s->nodes[i].topology_xml);
		char path[64];

		topology_name(xml, names[i]);
		rows[i].host = (char *)text(s->nodes[i].host);
		rows[i].topology = names[i];
		if (!xml[0])
			continue;
		snprintf(path, sizeof(path), "/topology/%s", names[i]);
		if (H5Lexists(file, path, H5P_DEFAULT) <= 0) {
			char *one[2] = { (char *)xml, NULL };

			rc = meta_put_strings(file, path, one);
		}
	}
	if (rc == 0)
		rc = meta_put_table(group, "nodes", type, rows, s->nnodes);
	if (type >= 0)
		H5Tclose(type);
	free(names);
	free(rows);
	return rc;
}

static int phases_write(hid_t group, const struct snapc_snapshot *s)
{
	struct meta_phase_row *rows = calloc(s->nphases + 1, sizeof(*rows));
	hid_t type = meta_type_phase();
	int rc = rows ? (type < 0 ? -EIO : 0) : -ENOMEM;

	for (uint32_t i = 0; i < s->nphases && rc == 0; i++)
		rows[i] = (struct meta_phase_row){ (char *)text(s->phases[i].name), s->phases[i].begin_ns, s->phases[i].end_ns };
	if (rc == 0)
		rc = meta_put_table(group, "phases", type, rows, s->nphases);
	if (type >= 0)
		H5Tclose(type);
	free(rows);
	return rc;
}

static int sequence_write(hid_t file, const struct snapc_snapshot *s)
{
	uint64_t end_ns = s->end_ns;
	char name[32], when[32] = "";
	hid_t group;
	time_t t;
	struct tm tm;
	int rc = -EIO;

	if (end_ns == 0) {
		struct timespec now;

		clock_gettime(CLOCK_REALTIME, &now);
		end_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	}
	t = (time_t)(end_ns / 1000000000u);
	if (gmtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	meta_seq_name(s->seq, name, sizeof(name));
	group = H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	if (group < 0)
		return -EIO;
	if (meta_put_u64(group, "np", s->np) == 0 && meta_put_u64(group, "begin_ns", s->begin_ns) == 0 &&
	    meta_put_u64(group, "end_ns", end_ns) == 0 && meta_put_string(group, "time", when) == 0)
		rc = ranks_write(group, s);
	if (rc == 0 && s->times)
		rc = times_write(group, s);
	if (rc == 0)
		rc = nodes_write(file, group, s);
	if (rc == 0)
		rc = phases_write(group, s);
	H5Gclose(group);
	return rc;
}

static int dropped(uint32_t seq, const uint32_t *drop, uint32_t ndrop)
{
	for (uint32_t i = 0; i < ndrop; i++) {
		if (drop[i] == seq)
			return 1;
	}
	return 0;
}

/* What stays of the old file, with the topologies that it uses. */
static int old_copy(const struct snapc_meta *old, hid_t file, const uint32_t *drop, uint32_t ndrop, struct cr_err *err)
{
	char **names = NULL, path[64];
	uint32_t n = 0;
	int rc = H5Ocopy(old->file, "/job", file, "/job", H5P_DEFAULT, H5P_DEFAULT) < 0 ? -EIO : 0;

	for (uint32_t i = 0; i < old->nseqs && rc == 0; i++) {
		if (dropped(old->seqs[i], drop, ndrop))
			continue;
		meta_seq_name(old->seqs[i], path, sizeof(path));
		rc = H5Ocopy(old->file, path, file, path, H5P_DEFAULT, H5P_DEFAULT) < 0 ? -EIO : 0;
		if (rc == 0)
			rc = meta_seq_topologies(old, old->seqs[i], &names, &n, err);
	}
	for (uint32_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/topology/%s", names[i]);
		if (rc == 0)
			rc = H5Ocopy(old->file, path, file, path, H5P_DEFAULT, H5P_DEFAULT) < 0 ? -EIO : 0;
		free(names[i]);
	}
	free(names);
	return rc == -EIO ? cr_err_set(err, EIO, "%s: HDF5 cannot copy what was there before", old->path) : rc;
}

static hid_t memory_create(void)
{
	hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), fcpl = H5Pcreate(H5P_FILE_CREATE), file = -1;
	char name[64];

	meta_memory_name(name, sizeof(name));
	if (fapl >= 0 && fcpl >= 0 && H5Pset_fapl_core(fapl, 1 << 18, 0) >= 0 && H5Pset_userblock(fcpl, SNAPC_META_BLOCK_BYTES) >= 0)
		file = H5Fcreate(name, H5F_ACC_TRUNC, fcpl, fapl);
	if (fcpl >= 0)
		H5Pclose(fcpl);
	if (fapl >= 0)
		H5Pclose(fapl);
	return file;
}

static int group_make(hid_t file, const char *name)
{
	hid_t group = H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

	if (group < 0)
		return -EIO;
	H5Gclose(group);
	return 0;
}

static int image_take(hid_t file, unsigned char **ret_image, size_t *ret_bytes)
{
	unsigned char *image;
	ssize_t bytes;

	if (H5Fflush(file, H5F_SCOPE_GLOBAL) < 0)
		return -EIO;
	/* The image begins with the superblock: HDF5 leaves the user block out, although the addresses in the file count it. */
	bytes = H5Fget_file_image(file, NULL, 0);
	if (bytes <= 0)
		return -EIO;
	image = malloc(SNAPC_META_BLOCK_BYTES + (size_t)bytes);
	if (!image)
		return -ENOMEM;
	if (H5Fget_file_image(file, image + SNAPC_META_BLOCK_BYTES, (size_t)bytes) != bytes) {
		free(image);
		return -EIO;
	}
	snapc_meta_block_fill(image, SNAPC_META_BLOCK_BYTES + (size_t)bytes);
	*ret_image = image;
	*ret_bytes = SNAPC_META_BLOCK_BYTES + (size_t)bytes;
	return 0;
}

/* A new file: the first sequence, or what stays of the old file, in as little room as it needs. */
static int image_new(const struct snapc_meta *old, const struct snapc_snapshot *add, const uint32_t *drop, uint32_t ndrop, uint32_t next,
		     unsigned char **ret_image, size_t *ret_bytes, struct cr_err *err)
{
	hid_t file = memory_create();
	int rc = file < 0 ? -EIO : 0;

	if (rc == 0)
		rc = meta_put_u64(file, "format", SNAPC_META_FORMAT);
	if (rc == 0)
		rc = meta_put_string(file, "creator", CREATOR);
	if (rc == 0)
		rc = meta_put_u64(file, "next_sequence", next);
	if (rc == 0)
		rc = group_make(file, "/sequence");
	if (rc == 0)
		rc = group_make(file, "/topology");
	if (rc < 0) {
		rc = cr_err_set(err, EIO, "HDF5 cannot make a file in memory");
		goto out;
	}
	if (old)
		rc = old_copy(old, file, drop, ndrop, err);
	else
		rc = job_write(file, add->job) < 0 ? cr_err_set(err, EIO, "HDF5 cannot write the description of the job") : 0;
	if (rc == 0 && add && sequence_write(file, add) < 0)
		rc = cr_err_set(err, EIO, "HDF5 cannot write sequence %u", add->seq);
	if (rc == 0 && image_take(file, ret_image, ret_bytes) < 0)
		rc = cr_err_set(err, EIO, "HDF5 cannot finish the metadata");
out:
	if (file >= 0)
		H5Fclose(file);
	return rc;
}

/* One more sequence in the copy of the old file that is in memory: costs the same however many there are. */
static int image_grow(const struct snapc_meta *old, const struct snapc_snapshot *add, uint32_t next, unsigned char **ret_image,
		      size_t *ret_bytes, struct cr_err *err)
{
	if (H5Adelete(old->file, "next_sequence") < 0 || meta_put_u64(old->file, "next_sequence", next) < 0 ||
	    sequence_write(old->file, add) < 0 || image_take(old->file, ret_image, ret_bytes) < 0)
		return cr_err_set(err, EIO, "%s: HDF5 cannot add sequence %u", old->path, add->seq);
	return 0;
}

static int image_build(const struct snapc_meta *old, const struct snapc_snapshot *add, const uint32_t *drop, uint32_t ndrop,
		       unsigned char **ret_image, size_t *ret_bytes, struct cr_err *err)
{
	uint32_t next = old ? old->next_seq : 0;

	if (add && add->seq >= next)
		next = add->seq + 1;
	if (old && add && ndrop == 0)
		return image_grow(old, add, next, ret_image, ret_bytes, err);
	return image_new(old, add, drop, ndrop, next, ret_image, ret_bytes, err);
}

static int same_job(const struct snapc_meta *old, const struct snapc_job *job, struct cr_err *err)
{
	struct snapc_job *have;
	int rc = snapc_meta_job(old, &have, err);

	if (rc == 0 && strcmp(have->id, job->id) != 0)
		rc = cr_err_set(err, EEXIST, "%s: belongs to another job (%s); move it away or choose another snapshot directory", old->path,
				have->id);
	if (rc == 0 || rc == -EEXIST)
		snapc_job_destroy(have);
	return rc;
}

int snapc_meta_write(const char *dir, const struct snapc_snapshot *add, const uint32_t *drop, uint32_t ndrop, int sync, struct cr_err *err)
{
	char temporary[PATH_MAX], path[PATH_MAX];
	struct snapc_meta *old = NULL;
	unsigned char *image = NULL;
	size_t bytes = 0;
	int rc;

	meta_hdf5_quiet();
	rc = meta_open(dir, H5F_ACC_RDWR, &old, err);
	if (rc < 0 && !(rc == -ENOENT && add))
		return rc;
	rc = snapc_disk_join(temporary, dir, META_TEMPORARY, err);
	if (rc == 0)
		rc = snapc_disk_join(path, dir, SNAPC_META_NAME, err);
	if (rc == 0 && old && add)
		rc = same_job(old, add->job, err);
	if (rc == 0)
		rc = image_build(old, add, drop, ndrop, &image, &bytes, err);
	snapc_meta_close(old);
	if (rc < 0)
		return rc;
	rc = snapc_disk_write(temporary, image, bytes, !sync, err);
	free(image);
	if (rc < 0)
		return rc;
	rc = snapc_disk_rename(temporary, path, err);
	if (rc < 0) {
		snapc_disk_remove_tree(temporary, NULL);
		return rc;
	}
	return snapc_disk_sync(dir, 1, !sync, err);
}
