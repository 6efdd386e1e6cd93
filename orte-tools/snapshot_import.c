/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An archive is bytes from outside: only the names that the manifest allows are taken, each once, as regular files below a directory that nobody knows
 * yet. It gets its name when all checksums were right and the metadata agree with what has come.
 */
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
#include "orte-tools/tool_verify.h"
#include "snapc/snapshot_disk.h"

#define PIECE_BYTES (1u << 20)
#define SUMS_BYTES_MOST (1u << 30)

struct importer {
	struct snapshot_transfer *t;
	struct archive *archive;
	struct manifest_sums sums; /* of what has come */
	struct cr_progress progress;
	unsigned char *piece;
	unsigned char *seen; /* [np] */
	bool meta, owner;
	char dir[PATH_MAX];  /* below which it is built */
};

static int bad(const struct importer *m, struct cr_err *err, const char *why)
{
	return cr_err_set(err, EBADMSG, "%s: %s; nothing was imported", m->t->where, why);
}

static int broken(const struct importer *m, struct cr_err *err)
{
	const char *why = archive_error_string(m->archive);

	return bad(m, err, why ? why : "cannot be read");
}

/* A member that is a text. Return: 0; ret_text is NUL-terminated, given. */
static int text_read(struct importer *m, struct archive_entry *e, size_t most, char **ret_text, size_t *ret_bytes, struct cr_err *err)
{
	la_int64_t bytes = archive_entry_size(e);
	char *text;

	if (bytes < 0 || (uint64_t)bytes > most)
		return bad(m, err, "a text in it has no size that can be");
	text = malloc((size_t)bytes + 1);
	if (!text)
		return cr_err_set(err, ENOMEM, "no memory for an archive");
	if (archive_read_data(m->archive, text, (size_t)bytes) != bytes) {
		free(text);
		return bad(m, err, "it ends in the middle");
	}
	text[bytes] = '\0';
	*ret_text = text;
	*ret_bytes = (size_t)bytes;
	return 0;
}

static int first_read(struct importer *m, struct archive_entry *e, struct cr_err *err)
{
	char *text;
	size_t bytes;
	int rc;

	if (strcmp(archive_entry_pathname(e) ? archive_entry_pathname(e) : "", MANIFEST_NAME) != 0)
		return bad(m, err, "not made by ompi-snapshot export");
	rc = text_read(m, e, MANIFEST_BYTES - 1, &text, &bytes, err);
	if (rc < 0)
		return rc;
	if (strlen(text) != bytes || manifest_read(text, m->t) < 0)
		rc = bad(m, err, "made by another version of ompi-snapshot export, or damaged");
	else
		manifest_sums_add(&m->sums, MANIFEST_NAME, bytes, XXH3_64bits(text, bytes));
	free(text);
	if (rc == 0 && !(m->seen = calloc(m->t->np, 1)))
		rc = cr_err_set(err, ENOMEM, "no memory for %u ranks", m->t->np);
	return rc;
}

/* Is this name one that may come, for the first time? */
static bool name_take(struct importer *m, const char *name)
{
	char want[PATH_MAX];
	unsigned int rank;
	const char *mark;

	snprintf(want, sizeof(want), "%s/" SNAPC_META_NAME, m->t->ref);
	if (!strcmp(name, want) && !m->meta)
		return (m->meta = true);
	snprintf(want, sizeof(want), "%s/owner", m->t->ref);
	if (!strcmp(name, want) && !m->owner)
		return (m->owner = true);
	mark = strstr(name, "/opal_snapshot_");
	if (!mark || sscanf(mark, "/opal_snapshot_%u", &rank) != 1 || rank >= m->t->np || m->seen[rank] ||
	    manifest_context_name(m->t, rank, want, sizeof(want)) < 0 || strcmp(name, want) != 0)
		return false;
	m->seen[rank] = 1;
	return true;
}

/* The directories above @path; @path is below m->dir. */
static int parents_make(const struct importer *m, char *path, struct cr_err *err)
{
	for (char *slash = path + strlen(m->dir) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return cr_err_set(err, errno, "%s: %s", path, strerror(errno));
		*slash = '/';
	}
	return 0;
}

static int file_read(struct importer *m, struct archive_entry *e, const char *name, struct cr_err *err)
{
	XXH3_state_t *sum = XXH3_createState();
	la_int64_t left = archive_entry_size(e);
	uint64_t bytes = (uint64_t)left;
	char path[PATH_MAX];
	int fd = -1, rc;

	rc = sum ? snapc_disk_join(path, m->dir, name, err) : cr_err_set(err, ENOMEM, "no memory for an archive");
	if (rc == 0)
		rc = parents_make(m, path, err);
	if (rc == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			rc = cr_err_set(err, errno, "%s: %s", path, strerror(errno));
		XXH3_64bits_reset(sum);
	}
	while (rc == 0 && left > 0) {
		la_ssize_t n = archive_read_data(m->archive, m->piece, left < (la_int64_t)PIECE_BYTES ? (size_t)left : PIECE_BYTES);

		if (n <= 0) {
			rc = bad(m, err, "it ends in the middle");
		} else if (write(fd, m->piece, (size_t)n) != n) {
			rc = cr_err_set(err, errno ? errno : EIO, "%s: %s", path, strerror(errno));
		} else {
			XXH3_64bits_update(sum, m->piece, (size_t)n);
			left -= n;
			m->t->bytes += (uint64_t)n;
			cr_progress_set(&m->progress, m->t->bytes);
		}
	}
	if (rc == 0 && fsync(fd) < 0)
		rc = cr_err_set(err, errno, "%s: %s", path, strerror(errno));
	if (rc == 0)
		manifest_sums_add(&m->sums, name, bytes, XXH3_64bits_digest(sum));
	if (fd >= 0)
		close(fd);
	XXH3_freeState(sum);
	return rc;
}

/* The last member: the sums must be those of what has come, line by line. */
static int last_read(struct importer *m, struct archive_entry *e, struct cr_err *err)
{
	size_t bytes = 0;
	char *text;
	int rc = text_read(m, e, SUMS_BYTES_MOST, &text, &bytes, err);

	if (rc < 0)
		return rc;
	if (manifest_sums_end(&m->sums) < 0)
		rc = cr_err_set(err, ENOMEM, "no memory for the checksums");
	else if (bytes != m->sums.bytes || memcmp(text, m->sums.text, bytes) != 0)
		rc = bad(m, err, "damaged: a checksum is not right");
	free(text);
	return rc;
}

static int members_read(struct importer *m, struct cr_err *err)
{
	struct archive_entry *e;
	bool first = true;
	int rc, got;

	while ((got = archive_read_next_header(m->archive, &e)) == ARCHIVE_OK || got == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(e);

		if (!name || archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e) || archive_entry_size(e) < 0)
			return bad(m, err, "it holds something that is not a file");
		if (first)
			rc = first_read(m, e, err);
		else if (!strcmp(name, MANIFEST_SUMS))
			return last_read(m, e, err);
		else if (!name_take(m, name))
			rc = bad(m, err, "it holds a file that does not belong to a snapshot");
		else
			rc = file_read(m, e, name, err);
		if (rc < 0)
			return rc;
		first = false;
	}
	return got == ARCHIVE_EOF ? bad(m, err, first ? "it is empty" : "it ends in the middle") : broken(m, err);
}

/* Metadata and files agree, as before a restart. Page data are covered by the checksums of the archive. */
static int snapshot_check(const struct importer *m, const char *ref_dir, struct cr_err *err)
{
	struct tool_verdict *verdicts = NULL;
	struct snapc_snapshot *s = NULL;
	struct snapc_meta *meta = NULL;
	int rc = snapc_meta_open(ref_dir, &meta, err), n;

	if (rc == 0) {
		rc = snapc_meta_load(meta, m->t->seq, &s, err);
		snapc_meta_close(meta);
	}
	if (rc < 0)
		return rc;
	n = s->np == m->t->np ? tool_verify(s, TOOL_VERIFY_QUIET, &verdicts) : 1;
	if (n < 0)
		rc = cr_err_set(err, ENOMEM, "no memory to check %s", ref_dir);
	else if (n > 0)
		rc = bad(m, err, verdicts ? verdicts[0].err.text : "the metadata speak of other ranks");
	free(verdicts);
	snapc_snapshot_destroy(s);
	return rc;
}

/* fsync every directory from the ranks' up. */
static int directories_sync(const struct importer *m, struct cr_err *err)
{
	char path[PATH_MAX], name[PATH_MAX];
	int rc = 0;

	for (uint32_t r = 0; rc == 0 && r < m->t->np; r++) {
		rc = manifest_context_name(m->t, r, name, sizeof(name));
		if (rc == 0)
			rc = snapc_disk_join(path, m->dir, name, err);
		if (rc == 0) {
			*strrchr(path, '/') = '\0';
			rc = snapc_disk_sync(path, 1, 0, err);
		}
	}
	if (rc == 0) {
		*strrchr(path, '/') = '\0';
		rc = snapc_disk_sync(path, 1, 0, err);
	}
	if (rc == 0) {
		*strrchr(path, '/') = '\0';
		rc = snapc_disk_sync(path, 1, 0, err);
	}
	return rc;
}

static int place(struct importer *m, const char *dir, struct cr_err *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	int rc = snapc_disk_join(from, m->dir, m->t->ref, err);

	for (uint32_t r = 0; r < m->t->np; r++)
		if (!m->seen[r])
			return bad(m, err, "a rank is missing");
	if (!m->meta)
		return bad(m, err, "the metadata are missing");
	if (rc == 0)
		rc = snapshot_check(m, from, err);
	if (rc == 0)
		rc = directories_sync(m, err);
	if (rc == 0)
		rc = snapc_disk_join(to, dir, m->t->ref, err);
	if (rc == 0 && renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
		rc = errno == EEXIST || errno == ENOTEMPTY ? cr_err_set(err, EEXIST, "%s is there already: import into another directory with --dir", to)
							   : cr_err_set(err, errno, "%s: %s", to, strerror(errno));
	if (rc == 0)
		rc = snapc_disk_sync(dir, 1, 0, err);
	if (rc == 0)
		snprintf(m->t->where, sizeof(m->t->where), "%s", to);
	return rc;
}

static int source_open(struct importer *m, const char *file, uint64_t *ret_bytes, struct cr_err *err)
{
	int fd = !strcmp(file, "-") ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return cr_err_set(err, errno, "%s: %s", file, strerror(errno));
	*ret_bytes = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	archive_read_support_format_tar(m->archive);
	archive_read_support_filter_gzip(m->archive);
	archive_read_support_filter_xz(m->archive);
	archive_read_support_filter_zstd(m->archive);
	if (archive_read_open_fd(m->archive, fd, 65536) < ARCHIVE_OK) {
		close(fd);
		return broken(m, err);
	}
	return fd;
}

int snapshot_import(const char *file, const char *dir, struct snapshot_transfer *t, struct cr_err *err)
{
	struct importer m = { .t = t, .archive = archive_read_new(), .piece = malloc(PIECE_BYTES) };
	uint64_t bytes = 0;
	int rc, fd = -1;

	snprintf(t->where, sizeof(t->where), "%s", file);
	rc = !m.archive || !m.piece || manifest_sums_init(&m.sums) < 0 ? cr_err_set(err, ENOMEM, "no memory for an archive") : 0;
	if (rc == 0)
		rc = fd = source_open(&m, file, &bytes, err);
	if (rc >= 0 && mkdir(dir, 0700) < 0 && errno != EEXIST)
		rc = cr_err_set(err, errno, "%s: %s", dir, strerror(errno));
	if (rc >= 0) {
		rc = snprintf(m.dir, sizeof(m.dir), "%s/.import.XXXXXX", dir) >= (int)sizeof(m.dir) ? cr_err_set(err, ENAMETOOLONG, "%s: path too long", dir) : 0;
		if (rc == 0 && !mkdtemp(m.dir)) {
			rc = cr_err_set(err, errno, "%s: %s", m.dir, strerror(errno));
			m.dir[0] = '\0';
		}
	}
	if (rc == 0) {
		cr_progress_begin(&m.progress, "import", bytes, t->quiet);
		rc = members_read(&m, err);
		cr_progress_end(&m.progress);
	}
	if (rc == 0)
		rc = place(&m, dir, err);
	if (m.dir[0])
		snapc_disk_remove_tree(m.dir, NULL);
	if (m.archive)
		archive_read_free(m.archive);
	if (fd >= 0)
		close(fd);
	manifest_sums_fini(&m.sums);
	free(m.seen);
	free(m.piece);
	return rc;
}
