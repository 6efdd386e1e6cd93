/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make_snapshot DIR NP COUNT [MPIRUN-WORD...]: write a reference with COUNT sequences of NP context files, as a job would have done
 * that was started by these words.  The context files are whole but hold no program.  For tests of the tools.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "snapc/meta.h"
#include "snapc/snapshot_mpirun.h"

#define AT(ms) (1700000000000000000ull + (ms) * 1000000ull)

static void die(const struct cr_err *err)
{
	fprintf(stderr, "make_snapshot: %s\n", err->text);
	exit(1);
}

static void context_make(const char *dir, uint32_t seq, int rank, struct snapc_rank *r)
{
	static unsigned char page[16 * 4096];
	struct cr_image_totals totals;
	struct cr_image_writer *w;
	struct cr_err err = { "cannot create a context file" };
	char path[PATH_MAX];
	int fd;

	memset(page, rank + 1, sizeof(page));
	memcpy(page, &seq, sizeof(seq));
	snapc_snapshot_context_path(dir, seq, rank, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || cr_image_writer_create(fd, &w, &err) < 0 || cr_image_put(w, CR_REC_HOST, "test", 5, &err) < 0 ||
	    cr_image_put_pages(w, 0x200000000000ull, page, sizeof(page), 0, &err) < 0 || cr_image_finish(w, &totals, &err) < 0)
		die(&err);
	cr_image_writer_destroy(w);
	close(fd);
	r->file_bytes = totals.file_bytes;
	r->pages = totals.pages;
	r->checksum = totals.checksum;
}

static void sequence_make(const char *base, const char *ref, struct snapc_job *job, uint32_t np)
{
	const struct snapc_phase phases[] = {
		{ "request", AT(0), AT(3) },   { "quiesce", AT(3), AT(44) },  { "freeze", AT(44), AT(51) },
		{ "dump", AT(51), AT(430) },   { "commit", AT(430), AT(498) }, { "resume", AT(62), AT(66) },
	};
	const struct snapc_node nodes[] = { { "node7", "<topology/>" } };
	struct snapc_rank *ranks = calloc(np, sizeof(*ranks));
	struct snapc_rank_times *times = calloc(np, sizeof(*times));
	char (*files)[64] = calloc(np, sizeof(*files)), dir[PATH_MAX];
	struct snapc_snapshot s = { .np = np, .job = job, .ranks = ranks, .times = times, .phases = phases, .nphases = 6, .nodes = nodes, .nnodes = 1 };
	struct cr_err err;

	if (snapc_snapshot_begin(base, ref, job, np, dir, &s.seq, &err) < 0)
		die(&err);
	for (uint32_t i = 0; i < np; i++) {
		snprintf(files[i], sizeof(files[i]), SNAPC_CONTEXT_FMT, (int)i);
		ranks[i] = (struct snapc_rank){ .rank = (int)i, .pid = 100 + (int)i, .host = "node7", .engine = "user", .context_file = files[i], .binding = "0" };
		ranks[i].stopped_ns = 18000000;
		context_make(dir, s.seq, (int)i, &ranks[i]);
		/* The last rank comes late to the cut, the first writes longest. */
		times[i] = (struct snapc_rank_times){ .checked_ns = AT(1 + i % 2), .arrived_ns = AT(i + 1 == np ? 38 : 6 + i), .drained_ns = AT(40 + i % 4),
						      .frozen_ns = AT(46 + i % 5), .snapped_ns = AT(54 + i % 7), .resumed_ns = AT(62 + i % 4),
						      .dumped_ns = AT(i ? 300 + 10 * (i % 9) : 429), .write_ns = 240000000 };
	}
	s.dir = dir;
	s.keep = getenv("MAKE_SNAPSHOT_KEEP") ? (uint32_t)atoi(getenv("MAKE_SNAPSHOT_KEEP")) : 0;
	s.begin_ns = AT(0);
	s.end_ns = AT(500);
	if (snapc_snapshot_commit(&s, &err) < 0)
		die(&err);
	printf("%s/%u\n", dir, s.seq);
	free(files);
	free(times);
	free(ranks);
}

int main(int argc, char **argv)
{
	static char *preset[] = { "mpirun", "-am", "ft-enable-cr", "-np", "2", "./heat", NULL };
	static char *env[] = { "OMPI_MCA_btl_test=saved", "PATH=/usr/bin", NULL };
	struct snapc_job job = { .id = "node7-4711-1", .mpirun_pid = 4711, .mpirun_start = 1, .host = "node7", .cwd = "/home/u", .ompi_version = "4.1.4",
				 .amca = "ft-enable-cr", .restarted_from = "", .restarted_seq = -1, .env = env };
	struct snapc_job *me = NULL;
	struct snapc_mpirun *m;

	if (argc < 4) {
		fprintf(stderr, "Usage: make_snapshot DIR NP COUNT [MPIRUN-WORD...]\n");
		return 2;
	}
	if (getenv("MAKE_SNAPSHOT_RUNNING")) {
		struct cr_err err;

		/* A job that is known to live: the caller's shell. */
		if (snapc_job_load(getppid(), NULL, 0, &me, &err) < 0)
			die(&err);
		job.mpirun_pid = me->mpirun_pid;
		job.mpirun_start = me->mpirun_start;
		job.host = me->host;
	}
	job.argv = argc > 4 ? argv + 4 : preset;
	if (snapc_mpirun_parse(job.argv, &m) < 0)
		return 1;
	job.apps = m->apps;
	job.napps = m->napps;
	for (int i = 0; i < atoi(argv[3]); i++)
		sequence_make(argv[1], "ompi_global_snapshot_4711.ckpt", &job, (uint32_t)atoi(argv[2]));
	snapc_mpirun_destroy(m);
	snapc_job_destroy(me);
	return 0;
}
