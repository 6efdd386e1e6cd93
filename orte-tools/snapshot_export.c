/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "libcr/tools/progress.h"
#include "orte-tools/snapshot_manifest.h"
#include "orte-tools/snapshot_transfer.h"
#include "snapc/snapshot_disk.h"

#define PIECE_BYTES (1u << 20)

struct exporter {
	const struct snapc_snapshot *s;
	struct snapshot_transfer *t;
	struct archive *archive;
	struct manifest_sums sums;
	struct cr_progress progress;
	unsigned char *piece;
};

static int archive_fail(const struct exporter *x, struct cr_err *err)
{
	int number = archive_errno(x->archive);

	return cr_err_set(err, number > 0 ? number : EIO, "%s: %s", x->t->where, archive_error_string(x->archive) ? archive_error_string(x->archive) : "cannot be written");
}

static int head_write(struct exporter *x, const char *name, uint64_t bytes, struct cr_err *err)
{
	struct archive_entry *e = archive_entry_new();
	int rc;

	if (!e)
		return cr_err_set(err, ENOMEM, "no memory for an archive");
	archive_entry_set_pathname(e, name);
	archive_entry_set_size(e, (la_int64_t)bytes);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0600);
	archive_entry_set_mtime(e, (time_t)(x->s->end_ns / 1000000000u), 0);
	rc = archive_write_header(x->archive, e) < ARCHIVE_OK ? archive_fail(x, err) : 0;
	archive_entry_free(e);
	return rc;
}

static int text_write(struct exporter *x, const char *name, const void *text, size_t bytes, struct cr_err *err)
{
	int rc = head_write(x, name, bytes, err);

	if (rc == 0 && archive_write_data(x->archive, text, bytes) != (la_ssize_t)bytes)
		rc = archive_fail(x, err);
	if (rc == 0 && x->sums.stream)
		manifest_sums_add(&x->sums, name, bytes, XXH3_64bits(text, bytes));
	x->t->bytes += bytes;
	return rc;
}

/* @want_bytes: the length that the metadata give; UINT64_MAX: any */
static int file_write(struct exporter *x, const char *path, const char *name, uint64_t want_bytes, struct cr_err *err)
{
	XXH3_state_t *sum = XXH3_createState();
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	uint64_t left;
	struct stat st;

	if (!sum || fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		rc = cr_err_set(err, !sum ? ENOMEM : fd < 0 ? errno : EBADMSG, "%s: %s", path, fd < 0 ? strerror(errno) : "not a regular file");
		goto out;
	}
	left = (uint64_t)st.st_size;
	if (want_bytes != UINT64_MAX && left != want_bytes)
		rc = cr_err_set(err, EBADMSG, "%s: %llu bytes long, the metadata say %llu: ompi-snapshot verify tells more", path, (unsigned long long)left,
				(unsigned long long)want_bytes);
	if (rc == 0)
		rc = head_write(x, name, left, err);
	XXH3_64bits_reset(sum);
	while (rc == 0 && left) {
		ssize_t n = read(fd, x->piece, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES);

		if (n <= 0) {
			rc = cr_err_set(err, n < 0 ? errno : EIO, "%s: %s", path, n < 0 ? strerror(errno) : "became shorter while it was read");
		} else if (archive_write_data(x->archive, x->piece, (size_t)n) != n) {
			rc = archive_fail(x, err);
		} else {
			XXH3_64bits_update(sum, x->piece, (size_t)n);
			left -= (uint64_t)n;
			x->t->bytes += (uint64_t)n;
			cr_progress_set(&x->progress, x->t->bytes);
		}
	}
	if (rc == 0)
		manifest_sums_add(&x->sums, name, (uint64_t)st.st_size, XXH3_64bits_digest(sum));
out:
	if (fd >= 0)
		close(fd);
	XXH3_freeState(sum);
	return rc;
}

static int file_copy(const char *from, const char *to, struct cr_err *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = 0;
	char piece[65536];
	ssize_t n;

	if (in < 0 || out < 0)
		rc = cr_err_set(err, errno, "%s: %s", in < 0 ? from : to, strerror(errno));
	while (rc == 0 && (n = read(in, piece, sizeof(piece))) != 0)
		if (n < 0 || write(out, piece, (size_t)n) != n)
			rc = cr_err_set(err, n < 0 ? errno : EIO, "%s: cannot be copied to %s", from, to);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return rc;
}

/* The metadata with this sequence alone, made by the code that prunes. */
static int meta_write(struct exporter *x, struct cr_err *err)
{
	const char *base = getenv("TMPDIR");
	char dir[PATH_MAX], from[PATH_MAX], to[PATH_MAX], name[PATH_MAX];
	struct snapc_meta *meta = NULL;
	const uint32_t *seqs;
	uint32_t *drop = NULL, n, ndrop = 0;
	int rc;

	snprintf(dir, sizeof(dir), "%s/ompi-snapshot.XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(dir))
		return cr_err_set(err, errno, "%s: %s", dir, strerror(errno));
	rc = snapc_disk_join(from, x->s->dir, SNAPC_META_NAME, err);
	if (rc == 0)
		rc = snapc_disk_join(to, dir, SNAPC_META_NAME, err);
	if (rc == 0)
		rc = file_copy(from, to, err);
	if (rc == 0)
		rc = snapc_meta_open(dir, &meta, err);
	if (rc == 0) {
		n = snapc_meta_sequences(meta, &seqs);
		drop = calloc(n + 1, sizeof(*drop));
		for (uint32_t i = 0; drop && i < n; i++)
			if (seqs[i] != x->s->seq)
				drop[ndrop++] = seqs[i];
		snapc_meta_close(meta);
		rc = !drop ? cr_err_set(err, ENOMEM, "no memory for the metadata") : ndrop ? snapc_meta_write(dir, NULL, drop, ndrop, 0, err) : 0;
	}
	snprintf(name, sizeof(name), "%s/" SNAPC_META_NAME, x->t->ref);
	if (rc == 0)
		rc = file_write(x, to, name, UINT64_MAX, err);
	free(drop);
	snapc_disk_remove_tree(dir, NULL);
	return rc;
}

static int members_write(struct exporter *x, struct cr_err *err)
{
	char text[MANIFEST_BYTES], path[PATH_MAX], name[PATH_MAX];
	int n = manifest_write(x->t, text, sizeof(text)), rc;

	rc = text_write(x, MANIFEST_NAME, text, (size_t)n, err);
	if (rc == 0)
		rc = meta_write(x, err);
	if (rc == 0)
		rc = snapc_disk_join(path, x->s->dir, "owner", err);
	snprintf(name, sizeof(name), "%s/owner", x->t->ref);
	if (rc == 0 && access(path, F_OK) == 0)
		rc = file_write(x, path, name, UINT64_MAX, err);
	for (uint32_t i = 0; rc == 0 && i < x->s->np; i++) {
		const struct snapc_rank *r = &x->s->ranks[i];

		if (snprintf(path, sizeof(path), "%s/%u/%s", x->s->dir, x->s->seq, r->context_file) >= (int)sizeof(path) ||
		    manifest_context_name(x->t, (uint32_t)r->rank, name, sizeof(name)) < 0)
			rc = cr_err_set(err, ENAMETOOLONG, "%s: path too long", x->s->dir);
		else
			rc = file_write(x, path, name, r->file_bytes, err);
	}
	if (rc == 0 && manifest_sums_end(&x->sums) < 0)
		rc = cr_err_set(err, ENOMEM, "no memory for the checksums");
	if (rc == 0)
		rc = text_write(x, MANIFEST_SUMS, x->sums.text, x->sums.bytes, err);
	return rc;
}

/* Return: descriptor of the file that is written: standard output, or one under another name until it is complete. */
static int output_open(const char *file, char *ret_temporary, struct cr_err *err)
{
	int fd;

	if (!strcmp(file, "-")) {
		ret_temporary[0] = '\0';
		if (isatty(STDOUT_FILENO))
			return cr_err_set(err, EINVAL, "an archive is not written to a terminal: name a file with -o");
		fd = dup(STDOUT_FILENO);
	} else {
		if (snprintf(ret_temporary, PATH_MAX, "%s.tmp.%d", file, (int)getpid()) >= PATH_MAX)
			return cr_err_set(err, ENAMETOOLONG, "%s: path too long", file);
		fd = open(ret_temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	return fd < 0 ? cr_err_set(err, errno, "%s: %s", file, strerror(errno)) : fd;
}

int snapshot_export(const struct snapc_snapshot *s, const char *file, struct snapshot_transfer *t, struct cr_err *err)
{
	struct exporter x = { .s = s, .t = t, .archive = archive_write_new(), .piece = malloc(PIECE_BYTES) };
	const char *slash = strrchr(s->dir, '/');
	char temporary[PATH_MAX] = "";
	uint64_t total = 0;
	int rc, fd = -1;

	snprintf(t->ref, sizeof(t->ref), "%s", slash ? slash + 1 : s->dir);
	snprintf(t->where, sizeof(t->where), "%s", file);
	t->seq = s->seq;
	t->np = s->np;
	for (uint32_t i = 0; i < s->np; i++)
		total += s->ranks[i].file_bytes;
	rc = !x.archive || !x.piece || manifest_sums_init(&x.sums) < 0 ? cr_err_set(err, ENOMEM, "no memory for an archive") : 0;
	if (rc == 0)
		rc = fd = output_open(file, temporary, err);
	if (rc >= 0) {
		cr_progress_begin(&x.progress, "export", total, t->quiet);
		archive_write_set_format_pax_restricted(x.archive);
		archive_write_set_bytes_in_last_block(x.archive, 1);
		rc = archive_write_open_fd(x.archive, fd) < ARCHIVE_OK ? archive_fail(&x, err) : members_write(&x, err);
		if (rc == 0 && archive_write_close(x.archive) < ARCHIVE_OK)
			rc = archive_fail(&x, err);
		cr_progress_end(&x.progress);
	}
	if (rc == 0 && temporary[0] && (fsync(fd) < 0 || rename(temporary, file) < 0))
		rc = cr_err_set(err, errno, "%s: %s", file, strerror(errno));
	if (rc < 0 && fd >= 0 && temporary[0])
		unlink(temporary);
	if (fd >= 0)
		close(fd);
	if (x.archive)
		archive_write_free(x.archive);
	manifest_sums_fini(&x.sums);
	free(x.piece);
	return rc;
}
