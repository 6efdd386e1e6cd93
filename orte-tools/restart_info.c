/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-restart --info. */
#include "orte-tools/restart_info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcr/tools/process_stat.h"
#include "orte-tools/tool_json.h"

bool restart_job_runs(const struct snapc_job *job)
{
	struct cr_process_stat st;
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	return strcmp(host, job->host) == 0 && job->mpirun_pid > 0 && cr_process_stat((pid_t)job->mpirun_pid, &st) && st.state != 'Z' && st.state != 'X' &&
	       st.start == job->mpirun_start;
}

static void time_print(const char *what, uint64_t ns)
{
	time_t t = (time_t)(ns / 1000000000u);
	char text[64] = "unknown";
	struct tm tm;

	if (ns && localtime_r(&t, &tm))
		strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
	printf("%s: %s\n", what, text);
}

static void sequence_print(const struct snapc_snapshot *s, bool verbose)
{
	printf("Seq: %u\n", s->seq);
	time_print("Begin Timestamp", s->begin_ns);
	time_print("End Timestamp", s->end_ns);
	printf("Processes: %u\n", s->np);
	for (uint32_t i = 0; verbose && i < s->np; i++)
		printf("\tRank %d: %s pid %d, engine %s, %llu bytes, %s\n", s->ranks[i].rank, s->ranks[i].host, s->ranks[i].pid, s->ranks[i].engine,
		       (unsigned long long)s->ranks[i].file_bytes, s->ranks[i].context_file);
}

static void sequence_json(const struct snapc_snapshot *s, bool first)
{
	printf("%s{\"sequence\": %u, \"begin_ns\": %llu, \"end_ns\": %llu, \"np\": %u, \"ranks\": [", first ? "" : ", ", s->seq,
	       (unsigned long long)s->begin_ns, (unsigned long long)s->end_ns, s->np);
	for (uint32_t i = 0; i < s->np; i++) {
		printf("%s{\"rank\": %d, \"host\": ", i ? ", " : "", s->ranks[i].rank);
		tool_json_string(stdout, s->ranks[i].host);
		printf(", \"pid\": %d, \"engine\": ", s->ranks[i].pid);
		tool_json_string(stdout, s->ranks[i].engine);
		printf(", \"bytes\": %llu, \"context_file\": ", (unsigned long long)s->ranks[i].file_bytes);
		tool_json_string(stdout, s->ranks[i].context_file);
		putchar('}');
	}
	fputs("]}", stdout);
}

int restart_info(const struct snapc_meta *meta, int64_t seq, bool verbose, bool json)
{
	const uint32_t *seqs;
	uint32_t n = snapc_meta_sequences(meta, &seqs), printed = 0;
	struct snapc_snapshot *s;
	struct cr_err err = { "" };
	int rc = 0;

	if (json)
		fputs("[", stdout);
	else
		printf("Sequences: %u\n", n);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (seq >= 0 && seqs[i] != seq)
			continue;
		rc = snapc_meta_load(meta, seqs[i], &s, &err);
		if (rc < 0) {
			fprintf(stderr, "ompi-restart: %s\n", err.text);
			break;
		}
		if (json)
			sequence_json(s, printed == 0);
		else
			sequence_print(s, verbose);
		printed++;
		snapc_snapshot_destroy(s);
	}
	if (json)
		puts("]");
	if (rc == 0 && seq >= 0 && printed == 0) {
		fprintf(stderr, "ompi-restart: there is no sequence %lld\n", (long long)seq);
		rc = -ENOENT;
	}
	return rc;
}
