/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A snapshot for tests: filled from its number alone, so that it can be made again and compared. Include after cmocka.h. */
#ifndef TEST_SNAPSHOT_MAKE_H
#define TEST_SNAPSHOT_MAKE_H

#include "snapc/meta.h"

#define TEST_MAX_RANKS 8

static inline struct snapc_job *test_job(void)
{
	static char *argv[] = { "mpirun", "-am", "ft-enable-cr", "-np", "2", "--oversubscribe", "./heat", "a b", "", NULL };
	static char *env[] = { "PATH=/usr/bin:/bin", "OMPI_MCA_btl=self,tcp", NULL };
	static char *mca[] = { "btl=self,tcp", NULL };
	static char *program[] = { "./heat", "a b", "", NULL };
	static struct snapc_app apps[] = { { program, 2 } };
	static struct snapc_job job = {
		.id = "node7-4711-8150",
		.mpirun_pid = 4711,
		.mpirun_start = 8150,
		.host = "node7",
		.uid = 1000,
		.argv = argv,
		.cwd = "/home/u/run \xc3\xbc",
		.env = env,
		.mca = mca,
		.ompi_version = "4.1.4",
		.amca = "ft-enable-cr",
		.apps = apps,
		.napps = 1,
		.restarted_from = "/scratch/ompi_global_snapshot_1.ckpt",
		.restarted_seq = 3,
	};

	return &job;
}

static inline void test_snapshot_fill(struct snapc_snapshot *s, const char *dir, uint32_t seq, uint32_t np)
{
	static struct snapc_rank ranks[TEST_MAX_RANKS];
	static char files[TEST_MAX_RANKS][64];
	static const struct snapc_node nodes[] = { { "node7", "<topology version=\"2.0\"/>" }, { "node8", "" }, { "node9", "<topology version=\"2.0\"/>" } };
	static const struct snapc_phase phases[] = { { "request", 1, 2 }, { "quiesce", 2, 4000000000000ull }, { "dump", 5, 6 } };

	memset(s, 0, sizeof(*s));
	for (uint32_t i = 0; i < np; i++) {
		snprintf(files[i], sizeof(files[i]), SNAPC_CONTEXT_FMT, (int)i);
		ranks[i] = (struct snapc_rank){
			.rank = (int)i,
			.pid = 100 + (int)i,
			.host = i % 2 ? "node8" : "node7",
			.engine = "user",
			.context_file = files[i],
			.file_bytes = 1000 + 10 * seq + i,
			.pages = UINT64_MAX - i,
			.checksum = 0x1122334455667788ull + i,
			.binding = i ? "0-3,8" : "",
			.messages = seq,
			.message_bytes = 7 * seq,
			.stopped_ns = 123456789 + seq,
		};
	}
	s->dir = dir;
	s->seq = seq;
	s->np = np;
	s->job = test_job();
	s->ranks = ranks;
	s->nodes = nodes;
	s->nnodes = 3;
	s->phases = phases;
	s->nphases = 3;
	s->begin_ns = 1700000000000000000ull + seq;
	s->end_ns = 1700000001000000000ull + seq;
}

static inline void test_strings_equal(char **a, char **b)
{
	for (; *a && *b; a++, b++)
		assert_string_equal(*a, *b);
	assert_ptr_equal(*a, *b);
}

static inline void test_job_equal(const struct snapc_job *a, const struct snapc_job *b)
{
	assert_string_equal(a->id, b->id);
	assert_int_equal(a->mpirun_pid, b->mpirun_pid);
	assert_int_equal(a->mpirun_start, b->mpirun_start);
	assert_int_equal(a->uid, b->uid);
	assert_string_equal(a->host, b->host);
	assert_string_equal(a->cwd, b->cwd);
	assert_string_equal(a->amca, b->amca);
	assert_string_equal(a->ompi_version, b->ompi_version);
	assert_string_equal(a->restarted_from, b->restarted_from);
	assert_int_equal(a->restarted_seq, b->restarted_seq);
	test_strings_equal(a->argv, b->argv);
	test_strings_equal(a->env, b->env);
	test_strings_equal(a->mca, b->mca);
	assert_int_equal(a->napps, b->napps);
	for (uint32_t i = 0; i < a->napps; i++) {
		assert_int_equal(a->apps[i].np, b->apps[i].np);
		test_strings_equal(a->apps[i].argv, b->apps[i].argv);
	}
}

static inline void test_snapshot_equal(const struct snapc_snapshot *a, const struct snapc_snapshot *b)
{
	assert_string_equal(a->dir, b->dir);
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->np, b->np);
	assert_int_equal(a->begin_ns, b->begin_ns);
	assert_int_equal(a->end_ns, b->end_ns);
	test_job_equal(a->job, b->job);
	for (uint32_t i = 0; i < a->np; i++) {
		assert_int_equal(a->ranks[i].rank, b->ranks[i].rank);
		assert_int_equal(a->ranks[i].pid, b->ranks[i].pid);
		assert_string_equal(a->ranks[i].host, b->ranks[i].host);
		assert_string_equal(a->ranks[i].engine, b->ranks[i].engine);
		assert_string_equal(a->ranks[i].context_file, b->ranks[i].context_file);
		assert_int_equal(a->ranks[i].file_bytes, b->ranks[i].file_bytes);
		assert_int_equal(a->ranks[i].pages, b->ranks[i].pages);
		assert_int_equal(a->ranks[i].checksum, b->ranks[i].checksum);
		assert_string_equal(a->ranks[i].binding, b->ranks[i].binding);
		assert_int_equal(a->ranks[i].messages, b->ranks[i].messages);
		assert_int_equal(a->ranks[i].message_bytes, b->ranks[i].message_bytes);
		assert_int_equal(a->ranks[i].stopped_ns, b->ranks[i].stopped_ns);
	}
	assert_int_equal(a->nnodes, b->nnodes);
	for (uint32_t i = 0; i < a->nnodes; i++) {
		assert_string_equal(a->nodes[i].host, b->nodes[i].host);
		assert_string_equal(a->nodes[i].topology_xml, b->nodes[i].topology_xml);
	}
	assert_int_equal(a->nphases, b->nphases);
	for (uint32_t i = 0; i < a->nphases; i++) {
		assert_string_equal(a->phases[i].name, b->phases[i].name);
		assert_int_equal(a->phases[i].begin_ns, b->phases[i].begin_ns);
		assert_int_equal(a->phases[i].end_ns, b->phases[i].end_ns);
	}
}

#endif
