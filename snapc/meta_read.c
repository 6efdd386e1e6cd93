/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading global_snapshot_meta.h5: the file is read into memory, checked against its user block, and only then shown to HDF5. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapc/meta_block.h"
#include "snapc/meta_file.h"

#define META_MAX_BYTES (1ull << 32)

void meta_memory_name(char *ret_name, size_t bytes)
{
	static unsigned long long number;

	snprintf(ret_name, bytes, "ompi-cr-meta-%llu", __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
}

void meta_seq_name(uint32_t seq, char *ret_name, size_t bytes)
{
	snprintf(ret_name, bytes, "/sequence/%u", seq);
}

static int damaged(const struct snapc_meta *meta, const char *what, struct cr_err *err)
{
	return cr_err_set(err, EBADMSG, "%s: %s is missing or of the wrong type: not written by ompi-cr, or changed since", meta->path, what);
}

static int file_slurp(const char *path, unsigned char **ret_image, size_t *ret_bytes, struct cr_err *err)
{
	unsigned char *image = NULL;
	size_t have = 0;
	struct stat st;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return cr_err_set(err, ENOENT, "%s: does not exist: no checkpoint was ever committed here", path);
	if (fd < 0)
		return cr_err_set(err, errno, "%s: cannot open: %m", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > META_MAX_BYTES) {
		rc = cr_err_set(err, EBADMSG, "%s: not a regular file of a sensible size", path);
		goto out_close;
	}
	image = malloc((size_t)st.st_size + 1);
	if (!image) {
		rc = cr_err_set(err, ENOMEM, "%s: no memory for %lld bytes", path, (long long)st.st_size);
		goto out_close;
	}
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, image + have, (size_t)st.st_size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = cr_err_set(err, errno, "%s: cannot read: %m", path);
			goto out_free;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	close(fd);
	*ret_image = image;
	*ret_bytes = have;
	return 0;
out_free:
	free(image);
out_close:
	close(fd);
	return rc;
}

static hid_t image_open(void *image, size_t bytes, unsigned int access)
{
	hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), file = -1;
	char name[64];

	meta_memory_name(name, sizeof(name));
	if (fapl >= 0 && H5Pset_fapl_core(fapl, 1 << 16, 0) >= 0 && H5Pset_file_image(fapl, image, bytes) >= 0)
		file = H5Fopen(name, access, fapl);
	if (fapl >= 0)
		H5Pclose(fapl);
	return file;
}

static int seq_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* One name in /sequence. */
static herr_t sequence_add(hid_t group, const char *name, const H5L_info_t *info, void *arg)
{
	struct snapc_meta *meta = arg;
	unsigned long seq;
	char *end;

	(void)group;
	(void)info;
	errno = 0;
	seq = strtoul(name, &end, 10);
	if (name[0] < '0' || name[0] > '9' || *end || errno || seq > UINT32_MAX - 1)
		return -1;
	meta->seqs[meta->nseqs++] = (uint32_t)seq;
	return 0;
}

static int sequences_list(struct snapc_meta *meta, struct cr_err *err)
{
	hid_t group = H5Gopen2(meta->file, "/sequence", H5P_DEFAULT);
	H5G_info_t info;
	int rc = 0;

	if (group < 0 || H5Gget_info(group, &info) < 0) {
		rc = damaged(meta, "group /sequence", err);
		goto out;
	}
	meta->seqs = calloc(info.nlinks + 1, sizeof(*meta->seqs));
	if (!meta->seqs)
		rc = cr_err_set(err, ENOMEM, "%s: no memory", meta->path);
	else if (H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, sequence_add, meta) < 0)
		rc = damaged(meta, "a number in /sequence", err);
	else
		qsort(meta->seqs, meta->nseqs, sizeof(*meta->seqs), seq_compare);
out:
	if (group >= 0)
		H5Gclose(group);
	return rc;
}

int meta_open(const char *dir, unsigned int access, struct snapc_meta **ret_meta, struct cr_err *err)
{
	struct snapc_meta *meta;
	unsigned char *image = NULL;
	size_t bytes = 0;
	uint64_t format, next;
	int rc;

	meta_hdf5_quiet();
	meta = calloc(1, sizeof(*meta));
	if (!meta)
		return cr_err_set(err, ENOMEM, "%s: no memory", dir);
	meta->file = -1;
	if (strlen(dir) + sizeof(SNAPC_META_NAME) + 1 > sizeof(meta->path)) {
		rc = cr_err_set(err, ENAMETOOLONG, "%s: path too long", dir);
		goto out;
	}
	strcpy(meta->dir, dir);
	strcpy(meta->path, dir);
	strcat(meta->path, "/" SNAPC_META_NAME);
	rc = file_slurp(meta->path, &image, &bytes, err);
	if (rc < 0)
		goto out;
	rc = snapc_meta_block_check(image, bytes, meta->path, err);
	if (rc < 0)
		goto out;
	meta->file = image_open(image, bytes, access);
	if (meta->file < 0) {
		rc = cr_err_set(err, EBADMSG, "%s: HDF5 cannot read it, although its checksum is right", meta->path);
		goto out;
	}
	if (meta_get_u64(meta->file, "format", &format) < 0 || format != SNAPC_META_FORMAT) {
		rc = damaged(meta, "attribute format", err);
		goto out;
	}
	if (meta_get_u64(meta->file, "next_sequence", &next) < 0 || next > UINT32_MAX) {
		rc = damaged(meta, "attribute next_sequence", err);
		goto out;
	}
	meta->next_seq = (uint32_t)next;
	rc = sequences_list(meta, err);
out:
	free(image);
	if (rc < 0) {
		snapc_meta_close(meta);
		return rc;
	}
	*ret_meta = meta;
	return 0;
}

int snapc_meta_open(const char *dir, struct snapc_meta **ret_meta, struct cr_err *err)
{
	return meta_open(dir, H5F_ACC_RDONLY, ret_meta, err);
}

void snapc_meta_close(struct snapc_meta *meta)
{
	if (!meta)
		return;
	if (meta->file >= 0)
		H5Fclose(meta->file);
	free(meta->seqs);
	free(meta);
}

uint32_t snapc_meta_sequences(const struct snapc_meta *meta, const uint32_t **ret_seqs)
{
	*ret_seqs = meta->seqs;
	return meta->nseqs;
}

uint32_t snapc_meta_next_seq(const struct snapc_meta *meta)
{
	return meta->next_seq;
}

static int apps_read(hid_t group, struct snapc_job *job)
{
	uint64_t n, np;
	int rc;

	rc = meta_get_u64(group, "apps", &n);
	if (rc < 0 || n > 65536)
		return -EIO;
	job->apps = calloc(n + 1, sizeof(*job->apps));
	if (!job->apps)
		return -ENOMEM;
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		char name[32];
		hid_t app;

		snprintf(name, sizeof(name), "app/%u", (unsigned int)i);
		app = H5Gopen2(group, name, H5P_DEFAULT);
		if (app < 0)
			return -EIO;
		job->napps++;
		rc = meta_get_u64(app, "np", &np);
		if (rc == 0)
			rc = meta_get_strings(app, "argv", &job->apps[i].argv);
		if (rc == 0)
			job->apps[i].np = (uint32_t)np;
		H5Gclose(app);
	}
	return rc;
}

int snapc_meta_job(const struct snapc_meta *meta, struct snapc_job **ret_job, struct cr_err *err)
{
	hid_t group = H5Gopen2(meta->file, "/job", H5P_DEFAULT);
	struct snapc_job *job = calloc(1, sizeof(*job));
	uint64_t uid;
	int rc = group < 0 ? -EIO : job ? 0 : -ENOMEM;

	if (rc == 0)
		rc = meta_get_string(group, "id", &job->id);
	if (rc == 0)
		rc = meta_get_i64(group, "mpirun_pid", &job->mpirun_pid);
	if (rc == 0)
		rc = meta_get_u64(group, "mpirun_start_time", &job->mpirun_start);
	if (rc == 0)
		rc = meta_get_string(group, "host", &job->host);
	if (rc == 0)
		rc = meta_get_u64(group, "uid", &uid);
	if (rc == 0)
		job->uid = (uint32_t)uid;
	if (rc == 0)
		rc = meta_get_string(group, "cwd", &job->cwd);
	if (rc == 0)
		rc = meta_get_string(group, "open_mpi_version", &job->ompi_version);
	if (rc == 0)
		rc = meta_get_string(group, "amca", &job->amca);
	if (rc == 0)
		rc = meta_get_string(group, "restarted_from", &job->restarted_from);
	if (rc == 0)
		rc = meta_get_i64(group, "restarted_sequence", &job->restarted_seq);
	if (rc == 0)
		rc = meta_get_strings(group, "argv", &job->argv);
	if (rc == 0)
		rc = meta_get_strings(group, "environment", &job->env);
	if (rc == 0)
		rc = meta_get_strings(group, "mca_parameters", &job->mca);
	if (rc == 0)
		rc = apps_read(group, job);
	if (group >= 0)
		H5Gclose(group);
	if (rc < 0) {
		snapc_job_destroy(job);
		return rc == -ENOMEM ? cr_err_set(err, ENOMEM, "%s: no memory", meta->path) : damaged(meta, "something in /job", err);
	}
	*ret_job = job;
	return 0;
}
