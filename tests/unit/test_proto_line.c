/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines between tool and coordinator, the registry, CR_FAULT. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapc/fault.h"
#include "snapc/interval.h"
#include "snapc/line.h"
#include "snapc/registry.h"

static void line_survives_the_way(void **state)
{
	static const char odd[] = "blank %, = and\nnewline \x01\xff ok";
	struct snapc_line line;
	struct snapc_words words;

	(void)state;
	snapc_line_begin(&line, "ok");
	snapc_line_add(&line, "seq", "%d", 12);
	snapc_line_add_bytes(&line, "text", odd, sizeof(odd) - 1);
	snapc_line_add(&line, "empty", "%s", "");
	snapc_line_end(&line);
	assert_int_equal(line.text[line.used - 1], '\n');
	assert_ptr_equal(strchr(line.text, '\n'), line.text + line.used - 1);
	assert_int_equal(snapc_line_parse(line.text, &words), 0);
	assert_string_equal(words.word, "ok");
	assert_string_equal(snapc_words_get(&words, "text", ""), odd);
	assert_string_equal(snapc_words_get(&words, "empty", "?"), "");
	assert_string_equal(snapc_words_get(&words, "none", "?"), "?");
	assert_int_equal(snapc_words_number(&words, "seq", 100, -1), 12);
	assert_int_equal(snapc_words_number(&words, "seq", 11, -1), -1);
	assert_int_equal(snapc_words_number(&words, "text", 100, -1), -1);
}

static void bad_lines_are_refused(void **state)
{
	static const char *const bad[] = { "", "   ", "a=b", "word =x", "word x", "word x=%", "word x=%4", "word x=%zz", "word x=%00" };
	struct snapc_words words;
	char text[SNAPC_LINE_BYTES];
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(text, bad[i]);
		assert_int_equal(snapc_line_parse(text, &words), -EINVAL);
	}
	used = (size_t)sprintf(text, "word");
	for (int i = 0; i <= SNAPC_LINE_PAIRS; i++)
		used += (size_t)sprintf(text + used, " k%d=1", i);
	assert_int_equal(snapc_line_parse(text, &words), -EINVAL);
}

static void what_does_not_fit_is_left_out(void **state)
{
	char *large = malloc(SNAPC_LINE_BYTES);
	struct snapc_words words;
	struct snapc_line line;

	(void)state;
	memset(large, ' ', SNAPC_LINE_BYTES);
	snapc_line_begin(&line, "error");
	snapc_line_add(&line, "errno", "5");
	snapc_line_add_bytes(&line, "text", large, SNAPC_LINE_BYTES);
	snapc_line_end(&line);
	assert_true(line.cut);
	assert_true(line.used < SNAPC_LINE_BYTES);
	assert_int_equal(snapc_line_parse(line.text, &words), 0);
	assert_int_equal(snapc_words_number(&words, "errno", 10, -1), 5);
	free(large);
}

/* --- registry --- */

static char home[PATH_MAX];

static int make_home(void **state)
{
	(void)state;
	strcpy(home, "/tmp/ompi-cr-test-XXXXXX");
	return mkdtemp(home) && setenv("XDG_RUNTIME_DIR", home, 1) == 0 && unsetenv(SNAPC_REGISTRY_ENV) == 0 ? 0 : -1;
}

static int remove_home(void **state)
{
	char command[PATH_MAX + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", home);
	return system(command);
}

static void fill(struct snapc_registry_entry *e, pid_t pid, const char *job)
{
	memset(e, 0, sizeof(*e));
	e->mpirun_pid = pid;
	e->mpirun_start = snapc_process_start(pid);
	e->snapcd_pid = getpid();
	e->uid = geteuid();
	e->started = 1234567890;
	strcpy(e->job, job);
	strcpy(e->host, "node 1");
	strcpy(e->tool_socket, "ompi-cr-tool-1");
	strcpy(e->snapc_socket, "ompi-cr-snapc-1");
	strcpy(e->snapshot_dir, "/a b/c%d\n");
	strcpy(e->ref, "ompi_global_snapshot_1.ckpt");
	strcpy(e->command, "mpirun -np 2 sh -c \"a=b\"");
}

struct found {
	struct snapc_registry_entry entry;
	const char *job;
	int n;
};

static int find(void *arg, const struct snapc_registry_entry *e)
{
	struct found *f = arg;

	if (strcmp(e->job, f->job))
		return 0; /* root sees the jobs of others */
	f->n++;
	f->entry = *e;
	return 0;
}

static void entry_is_found_again_until_removed(void **state)
{
	static struct snapc_registry_entry e;
	static struct found f = { .job = "test-proto-line.1" };
	char path[PATH_MAX];
	struct cr_err err = { "" };
	struct stat st;

	(void)state;
	assert_true(snapc_process_start(getpid()) > 0);
	fill(&e, getpid(), f.job);
	assert_int_equal(snapc_registry_add(&e, path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snapc_registry_scan(find, &f);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.entry.mpirun_pid, e.mpirun_pid);
	assert_int_equal(f.entry.mpirun_start, e.mpirun_start);
	assert_int_equal(f.entry.started, e.started);
	assert_string_equal(f.entry.host, e.host);
	assert_string_equal(f.entry.snapshot_dir, e.snapshot_dir);
	assert_string_equal(f.entry.command, e.command);
	assert_string_equal(f.entry.tool_socket, e.tool_socket);
	snapc_registry_remove(path);
	f.n = 0;
	snapc_registry_scan(find, &f);
	assert_int_equal(f.n, 0);
}

static void stale_entries_are_skipped_and_swept(void **state)
{
	static struct snapc_registry_entry e;
	static struct found f = { .job = "test-proto-line.2" };
	char stale[PATH_MAX], path[PATH_MAX];
	struct cr_err err = { "" };

	(void)state;
	fill(&e, getpid(), f.job);
	e.mpirun_start++; /* the pid is in use again, by somebody else */
	assert_int_equal(snapc_registry_add(&e, stale, &err), 0);
	snapc_registry_scan(find, &f);
	assert_int_equal(f.n, 0);
	fill(&e, getppid(), "test-proto-line.3");
	assert_int_equal(snapc_registry_add(&e, path, &err), 0);
	assert_int_equal(access(stale, F_OK), -1);
	snapc_registry_remove(path);
}

static void damaged_entries_are_skipped(void **state)
{
	static const char *const bad[] = { "", "version=1\n", "nonsense", "version=2\nmpirun_pid=1\nmpirun_start=1\ntool_socket=x\n",
					   "version=1\nmpirun_pid=1\nmpirun_start=1\ntool_socket=%\n" };
	static struct found f = { .job = "" };
	char path[PATH_MAX + 32];
	FILE *file;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(path, sizeof(path), "%s/ompi-cr/%zu.job", home, i);
		file = fopen(path, "w");
		assert_non_null(file);
		fputs(bad[i], file);
		fclose(file);
	}
	snapc_registry_scan(find, &f);
	assert_int_equal(f.n, 0);
}

static void directory_that_others_can_write_is_not_used(void **state)
{
	static struct snapc_registry_entry e;
	static struct found f = { .job = "test-proto-line.4" };
	char dir[PATH_MAX + 16], path[PATH_MAX];
	struct cr_err err = { "" };

	(void)state;
	snprintf(dir, sizeof(dir), "%s/ompi-cr", home);
	fill(&e, getpid(), f.job);
	assert_int_equal(snapc_registry_add(&e, path, &err), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(snapc_registry_add(&e, path, &err), -EPERM);
	assert_non_null(strstr(err.text, dir));
	snapc_registry_scan(find, &f);
	assert_int_equal(f.n, 0);
	assert_int_equal(chmod(dir, 0700), 0);
}

/* --- the interval --- */

/* Expected time for a unit of work, with failures that come at random (Daly, eq. 20, without the time of a restart). */
static double daly_cost(double interval, double cost, double mtbf)
{
	return mtbf * (exp((interval + cost) / mtbf) - 1) / interval;
}

static void daly_is_the_best_interval(void **state)
{
	const double costs[] = { 0.3, 5, 60, 600, 3000 }, mtbfs[] = { 3600, 6 * 3600, 24 * 3600, 1000 * 3600.0 };

	(void)state;
	/* The paper's formula, worked out by hand: sqrt(2 * 60 * 86400) = 3219.9, times 1.00625, less 60 */
	assert_true(fabs(snapc_interval_daly(60, 86400) - 3180.0) < 1);
	for (size_t c = 0; c < sizeof(costs) / sizeof(costs[0]); c++)
		for (size_t m = 0; m < sizeof(mtbfs) / sizeof(mtbfs[0]); m++) {
			double best = snapc_interval_daly(costs[c], mtbfs[m]), at = daly_cost(best, costs[c], mtbfs[m]);

			assert_true(best > 0);
			assert_true(at <= daly_cost(best * 0.75, costs[c], mtbfs[m]));
			assert_true(at <= daly_cost(best * 1.35, costs[c], mtbfs[m]));
		}
	/* A checkpoint that takes longer than the machine lives */
	assert_true(fabs(snapc_interval_daly(7200, 3600) - 3600) < 1e-9);
}

/* --- CR_FAULT and deadlines --- */

static void faults_are_understood(void **state)
{
	struct snapc_fault f;
	struct cr_err err;

	(void)state;
	assert_int_equal(snapc_fault_parse(NULL, &f, &err), 0);
	assert_int_equal(f.action, SNAPC_FAULT_NONE);
	assert_int_equal(snapc_fault_parse("dump", &f, &err), 0);
	assert_int_equal(f.action, SNAPC_FAULT_FAIL);
	assert_int_equal(f.phase, SNAPC_PHASE_DUMP);
	assert_int_equal(f.rank, 0);
	assert_int_equal(snapc_fault_parse("quiesce:3:kill", &f, &err), 0);
	assert_int_equal(f.action, SNAPC_FAULT_KILL);
	assert_int_equal(f.phase, SNAPC_PHASE_QUIESCE);
	assert_int_equal(f.rank, 3);
	assert_int_equal(snapc_fault_parse("commit:hang", &f, &err), 0);
	assert_int_equal(f.action, SNAPC_FAULT_HANG);
	assert_int_equal(snapc_fault_parse("freeze:daemon:1:stop", &f, &err), 0);
	assert_int_equal(f.phase, SNAPC_PHASE_FREEZE);
	assert_int_equal(f.target, SNAPC_FAULT_DAEMON);
	assert_int_equal(f.rank, 1);
	assert_int_equal(f.action, SNAPC_FAULT_STOP);
	assert_int_equal(snapc_fault_parse("commit:global:enospc", &f, &err), 0);
	assert_int_equal(snapc_fault_disk(&f, SNAPC_FAULT_GLOBAL, SNAPC_PHASE_COMMIT), ENOSPC);
	assert_int_equal(snapc_fault_disk(&f, SNAPC_FAULT_GLOBAL, SNAPC_PHASE_REQUEST), 0);
	assert_int_equal(snapc_fault_disk(&f, SNAPC_FAULT_RANK, SNAPC_PHASE_COMMIT), 0);
	assert_int_equal(snapc_fault_parse("dump:1:eio", &f, &err), 0);
	assert_int_equal(snapc_fault_disk(&f, SNAPC_FAULT_RANK, SNAPC_PHASE_DUMP), EIO);
	/* of another program: none here */
	assert_int_equal(snapc_fault_parse("restart:1:kill", &f, &err), 0);
	assert_int_equal(f.action, SNAPC_FAULT_NONE);
	/* what cannot happen is refused, not ignored */
	assert_int_equal(snapc_fault_parse("freeze:1:enospc", &f, &err), -EINVAL);
	assert_int_equal(snapc_fault_parse("dump:global:eio", &f, &err), -EINVAL);
	assert_int_equal(snapc_fault_parse("dump:tool:hang", &f, &err), -EINVAL);
	assert_int_equal(snapc_fault_parse("dump:mpirun", &f, &err), -EINVAL);
	assert_int_equal(snapc_fault_parse("nonsense", &f, &err), -EINVAL);
	assert_int_equal(snapc_fault_parse("dump:x", &f, &err), -EINVAL);
	assert_int_equal(snapc_fault_parse("dump:99999999999", &f, &err), -EINVAL);
	assert_int_equal(snapc_fault_parse(":::", &f, &err), -EINVAL);
}

static void deadlines_come_from_the_environment(void **state)
{
	(void)state;
	assert_true(snapc_phase_seconds(SNAPC_PHASE_FREEZE) > 0);
	setenv("OMPI_CR_TIMEOUT_FREEZE", "3", 1);
	assert_int_equal(snapc_phase_seconds(SNAPC_PHASE_FREEZE), 3);
	setenv("OMPI_CR_TIMEOUT_FREEZE", "0", 1);
	assert_true(snapc_phase_seconds(SNAPC_PHASE_FREEZE) > 3);
	setenv("OMPI_CR_TIMEOUT_FREEZE", "3 minutes", 1);
	assert_true(snapc_phase_seconds(SNAPC_PHASE_FREEZE) > 3);
	unsetenv("OMPI_CR_TIMEOUT_FREEZE");
	assert_string_equal(snapc_phase_name(SNAPC_PHASE_COMMIT), "commit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_survives_the_way),
		cmocka_unit_test(bad_lines_are_refused),
		cmocka_unit_test(what_does_not_fit_is_left_out),
		cmocka_unit_test(entry_is_found_again_until_removed),
		cmocka_unit_test(stale_entries_are_skipped_and_swept),
		cmocka_unit_test(damaged_entries_are_skipped),
		cmocka_unit_test(directory_that_others_can_write_is_not_used),
		cmocka_unit_test(daly_is_the_best_interval),
		cmocka_unit_test(faults_are_understood),
		cmocka_unit_test(deadlines_come_from_the_environment),
	};

	return cmocka_run_group_tests_name("proto_line", tests, make_home, remove_home);
}
