/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commit of a global snapshot: whatever step the process dies at, the old or the new sequence is valid, and leftovers go away. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "snapc/meta.h"
#include "snapc/snapshot_disk.h"
#include "snapc/snapshot_mpirun.h"
#include "tests/unit/test_snapshot_make.h"

#define NP 3
#define REF "ompi_global_snapshot_4711.ckpt"

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = malloc(PATH_MAX);

	assert_non_null(dir);
	snprintf(dir, PATH_MAX, "%s/test_snapshot.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int remove_dir(void **state)
{
	snapc_disk_set_hook(NULL);
	assert_int_equal(snapc_disk_remove_tree(*state, NULL), 0);
	free(*state);
	return 0;
}

static void context_write(const char *dir, uint32_t seq, int rank, size_t bytes)
{
	char path[PATH_MAX];
	int fd;

	assert_int_equal(snapc_snapshot_context_path(dir, seq, rank, path, sizeof(path)), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static uint32_t begin(const char *base, char *ret_dir)
{
	struct cr_err err;
	uint32_t seq;

	if (snapc_snapshot_begin(base, REF, test_job(), NP, ret_dir, &seq, &err) < 0)
		fail_msg("%s", err.text);
	return seq;
}

static int commit(const char *dir, uint32_t seq, uint32_t keep, struct cr_err *err)
{
	struct snapc_snapshot s;

	test_snapshot_fill(&s, dir, seq, NP);
	s.keep = keep;
	return snapc_snapshot_commit(&s, err);
}

static void contexts_write(const char *dir, uint32_t seq)
{
	struct snapc_snapshot s;

	test_snapshot_fill(&s, dir, seq, NP);
	for (int i = 0; i < NP; i++)
		context_write(dir, seq, i, s.ranks[i].file_bytes);
}

/* Every listed sequence has all its files, with the sizes that the rows say. */
static uint32_t valid_sequences(const char *dir, uint32_t *ret_newest)
{
	struct snapc_meta *meta;
	struct snapc_snapshot *s;
	const uint32_t *seqs;
	char path[PATH_MAX + 64];
	struct stat st;
	uint32_t n;
	int rc = snapc_meta_open(dir, &meta, NULL);

	if (rc == -ENOENT)
		return 0;
	assert_int_equal(rc, 0);
	n = snapc_meta_sequences(meta, &seqs);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(snapc_meta_load(meta, seqs[i], &s, NULL), 0);
		for (uint32_t r = 0; r < s->np; r++) {
			snprintf(path, sizeof(path), "%s/%u/%s", dir, seqs[i], s->ranks[r].context_file);
			assert_int_equal(stat(path, &st), 0);
			assert_int_equal(st.st_size, s->ranks[r].file_bytes);
		}
		snapc_snapshot_destroy(s);
		*ret_newest = seqs[i];
	}
	snapc_meta_close(meta);
	return n;
}

static void commits_one_after_the_other(void **state)
{
	char dir[PATH_MAX], path[PATH_MAX + 64];
	uint32_t newest = 99;
	struct cr_err err;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t seq = begin(*state, dir);

		assert_int_equal(seq, i);
		contexts_write(dir, seq);
		if (commit(dir, seq, 3, &err) < 0)
			fail_msg("%s", err.text);
	}
	assert_int_equal(valid_sequences(dir, &newest), 3);
	assert_int_equal(newest, 3);
	snprintf(path, sizeof(path), "%s/0", dir);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(snapc_snapshot_prune(dir, 1, -1, &err), 2);
	assert_int_equal(valid_sequences(dir, &newest), 1);
	assert_int_equal(begin(*state, dir), 4);
}

static off_t meta_bytes(const char *dir)
{
	char path[PATH_MAX + 64];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, SNAPC_META_NAME);
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* With retention the metadata do not grow with the number of checkpoints. */
static void metadata_stay_small(void **state)
{
	char dir[PATH_MAX];
	off_t early = 0;

	for (uint32_t i = 0; i < 40; i++) {
		uint32_t seq = begin(*state, dir);

		contexts_write(dir, seq);
		assert_int_equal(commit(dir, seq, 3, NULL), 0);
		if (i == 5)
			early = meta_bytes(dir);
	}
	assert_int_equal(meta_bytes(dir), early);
}

/* As on a disk that is full: the metadata cannot be written. */
static void full_disk_leaves_the_old(void **state)
{
	struct rlimit limit, before;
	char dir[PATH_MAX], path[PATH_MAX + 64];
	uint32_t seq = begin(*state, dir), newest = 9;
	struct cr_err err;

	contexts_write(dir, seq);
	assert_int_equal(commit(dir, seq, 0, NULL), 0);
	seq = begin(*state, dir);
	contexts_write(dir, seq);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 4096;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(commit(dir, seq, 0, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(strstr(err.text, SNAPC_META_NAME));
	assert_int_equal(valid_sequences(dir, &newest), 1);
	assert_int_equal(newest, 0);
	for (const char *const *name = (const char *const[]){ "1", "1.tmp", SNAPC_META_NAME ".tmp", NULL }; *name; name++) {
		snprintf(path, sizeof(path), "%s/%s", dir, *name);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static int die_at;
static int steps;

static void die(const char *step)
{
	(void)step;
	if (++steps == die_at)
		_exit(42);
}

/* One child per step: it commits and dies right after the step. Return: 1 while it died, 0 when the commit came through. */
static int commit_dies(const char *dir, uint32_t seq, int step)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		die_at = step;
		snapc_disk_set_hook(die);
		_exit(commit(dir, seq, 2, NULL) < 0 ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 42 || WEXITSTATUS(status) == 0));
	return WEXITSTATUS(status) == 42;
}

/* Numbers and temporary names in the directory: as many as there are listed sequences. */
static uint32_t entries(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	uint32_t n = 0;

	while (d && (e = readdir(d)))
		n += (e->d_name[0] >= '0' && e->d_name[0] <= '9') || strstr(e->d_name, ".tmp");
	if (d)
		closedir(d);
	return n;
}

static void crash_at_every_step(void **state, int undo)
{
	char dir[PATH_MAX];
	uint32_t seq, newest = 0, old = 0, had = 0;
	int died = 1, before = 0, after = 0;

	for (int step = 1; died; step++) {
		seq = begin(*state, dir);
		contexts_write(dir, seq);
		died = commit_dies(dir, seq, step);
		had = valid_sequences(dir, &newest);
		if (had && newest == seq) {
			after++;
			old = seq;
		} else {
			/* The old one still is there. */
			before++;
			assert_true(had == 0 || newest == old);
		}
		assert_true(step < 100);
		if (undo) {
			snapc_snapshot_undo(dir, seq);
			assert_int_equal(valid_sequences(dir, &newest), had);
			assert_int_equal(entries(dir), had);
		}
	}
	assert_true(before > 8 && after > 2);
	/* The sweep at the next begin leaves the listed ones and nothing else. */
	seq = begin(*state, dir);
	assert_true(seq > newest);
	snapc_snapshot_undo(dir, seq);
	assert_int_equal(valid_sequences(dir, &newest), had);
}

/* The machine or the coordinator dies: the next checkpoint finds what is left. */
static void crash_at_any_step(void **state)
{
	crash_at_every_step(state, 0);
}

/* Only the process that commits dies: the coordinator takes back what is left. */
static void killed_commit_is_undone(void **state)
{
	crash_at_every_step(state, 1);
}

static void missing_or_short_file_is_refused(void **state)
{
	char dir[PATH_MAX], path[PATH_MAX + 64];
	uint32_t seq = begin(*state, dir), newest;
	struct cr_err err;

	contexts_write(dir, seq);
	snapc_snapshot_context_path(dir, seq, 1, path, sizeof(path));
	assert_int_equal(truncate(path, 5), 0);
	assert_int_equal(commit(dir, seq, 0, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "rank 1"));
	assert_int_equal(valid_sequences(dir, &newest), 0);
	assert_int_equal(access(dir, F_OK), -1);

	seq = begin(*state, dir);
	context_write(dir, seq, 0, 1000);
	assert_int_equal(commit(dir, seq, 0, &err), -ENOENT);
	assert_non_null(strstr(err.text, "rank 1"));
}

static void undo_leaves_nothing(void **state)
{
	char dir[PATH_MAX];
	uint32_t seq = begin(*state, dir);

	contexts_write(dir, seq);
	snapc_snapshot_undo(dir, seq);
	assert_int_equal(access(dir, F_OK), -1);
}

static void pid_that_came_again(void **state)
{
	struct snapc_job other = *test_job();
	char first[PATH_MAX], second[PATH_MAX];
	uint32_t seq = begin(*state, first);

	contexts_write(first, seq);
	assert_int_equal(commit(first, seq, 0, NULL), 0);
	other.id = "elsewhere-4711-9";
	for (int i = 0; i < 2; i++) {
		assert_int_equal(snapc_snapshot_begin(*state, REF, &other, NP, second, &seq, NULL), 0);
		assert_string_equal(strrchr(second, '/') + 1, "ompi_global_snapshot_4711-2.ckpt");
		assert_int_equal(seq, 0);
	}
}

static void damaged_metadata_stop_everything(void **state)
{
	char dir[PATH_MAX], other[PATH_MAX], path[PATH_MAX + 64];
	uint32_t seq = begin(*state, dir);
	struct cr_err err;

	contexts_write(dir, seq);
	assert_int_equal(commit(dir, seq, 0, NULL), 0);
	snprintf(path, sizeof(path), "%s/%s", dir, SNAPC_META_NAME);
	assert_int_equal(truncate(path, 700), 0);
	assert_int_equal(snapc_snapshot_begin(*state, REF, test_job(), NP, other, &seq, &err), -EBADMSG);
	snprintf(path, sizeof(path), "%s/0/opal_snapshot_0.ckpt/cr_context", dir);
	assert_int_equal(access(path, F_OK), 0);
}

static void unwritable_directory_is_refused(void **state)
{
	char dir[PATH_MAX], path[PATH_MAX + 64];
	struct cr_err err;
	uint32_t seq;

	snprintf(path, sizeof(path), "%s/no/such", (char *)*state);
	assert_int_equal(snapc_snapshot_begin(path, REF, test_job(), NP, dir, &seq, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(snapc_snapshot_begin(*state, "../x", test_job(), NP, dir, &seq, &err), -EINVAL);
	if (geteuid() == 0)
		return;
	assert_int_equal(chmod(*state, 0500), 0);
	assert_int_equal(snapc_snapshot_begin(*state, REF, test_job(), NP, dir, &seq, &err), -EACCES);
	assert_int_equal(chmod(*state, 0700), 0);
}

static void describes_a_running_process(void **state)
{
	struct snapc_job *job;
	struct cr_err err;
	char list[256];

	(void)state;
	if (snapc_job_load(getpid(), NULL, 0, &job, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(job->mpirun_pid, getpid());
	assert_true(job->mpirun_start > 0);
	assert_int_equal(job->restarted_seq, -1);
	assert_non_null(strstr(job->argv[0], "test_snapshot"));
	for (char **e = job->env; *e; e++)
		assert_null(strstr(*e, "SECRET"));
	snapc_job_destroy(job);
	assert_int_equal(snapc_job_load(0x3ffffff, NULL, 0, &job, &err), -ESRCH);
	assert_int_equal(snapc_snapshot_binding(getpid(), list, sizeof(list)), 0);
	assert_true(list[0] >= '0' && list[0] <= '9');
}

static void cuts_a_command_line(void **state)
{
	char *argv[] = { "mpirun", "-am", "ft-enable-cr", "--mca", "btl", "tcp,self", "-np", "2", "--oversubscribe", "-H", "a,b", "./a", "-np", "9",
			 ":", "-n", "3", "--wdir", "/x", "./b", NULL };
	struct snapc_mpirun *m;

	(void)state;
	assert_int_equal(snapc_mpirun_parse(argv, &m), 0);
	assert_int_equal(m->napps, 2);
	assert_int_equal(m->apps[0].np, 2);
	assert_string_equal(m->apps[0].argv[0], "./a");
	assert_string_equal(m->apps[0].argv[2], "9");
	assert_null(m->apps[0].argv[3]);
	assert_int_equal(m->apps[1].np, 3);
	assert_string_equal(m->apps[1].argv[0], "./b");
	assert_int_equal(m->noptions, 7);
	assert_int_equal(m->options[1].class, SNAPC_OPTION_MCA);
	assert_int_equal(m->options[3].class, SNAPC_OPTION_KEEP);
	assert_int_equal(m->options[4].class, SNAPC_OPTION_HOSTS);
	snapc_mpirun_destroy(m);
}

static void topology_is_xml(void **state)
{
	char *xml;

	(void)state;
	assert_int_equal(snapc_topology_xml(&xml, NULL), 0);
	assert_non_null(strstr(xml, "<topology"));
	free(xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(unwritable_directory_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(missing_or_short_file_is_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(damaged_metadata_stop_everything, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(pid_that_came_again, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(undo_leaves_nothing, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(crash_at_any_step, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(killed_commit_is_undone, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(full_disk_leaves_the_old, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(metadata_stay_small, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(commits_one_after_the_other, make_dir, remove_dir),
		cmocka_unit_test(describes_a_running_process),
		cmocka_unit_test(cuts_a_command_line),
		cmocka_unit_test(topology_is_xml),
	};

	setenv("OMPI_SECRET", "x", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
