/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-snapshot show. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "orte-tools/snapshot_print.h"
#include "orte-tools/tool_json.h"

static void words_print(const char *what, char *const *words)
{
	printf("%-16s", what);
	for (int i = 0; words && words[i]; i++)
		printf(" %s%s%s", words[i][0] == '\0' || strpbrk(words[i], " \t\n") ? "'" : "", words[i],
		       words[i][0] == '\0' || strpbrk(words[i], " \t\n") ? "'" : "");
	putchar('\n');
}

static void lines_print(const char *what, char *const *lines)
{
	for (int i = 0; lines && lines[i]; i++)
		printf("%-16s %s\n", i ? "" : what, lines[i]);
}

static void job_print(const struct snapc_job *job)
{
	printf("%-16s %s\n", "Job:", job->id);
	for (uint32_t i = 0; i < job->napps; i++)
		words_print("Program:", job->apps[i].argv);
	words_print("mpirun:", job->argv);
	printf("%-16s %s\n", "Directory:", job->cwd);
	printf("%-16s %s\n", "Open MPI:", job->ompi_version[0] ? job->ompi_version : "unknown");
	lines_print("MCA parameters:", job->mca);
	lines_print("Environment:", job->env);
	if (job->restarted_from[0])
		printf("%-16s %s, sequence %lld\n", "Restarted from:", job->restarted_from, (long long)job->restarted_seq);
}

void snapshot_show(const struct snapc_snapshot *s)
{
	time_t t = (time_t)(s->end_ns / 1000000000u);
	uint64_t bytes = 0, messages = 0;
	char when[64] = "unknown";
	struct tm tm;

	for (uint32_t i = 0; i < s->np; i++) {
		bytes += s->ranks[i].file_bytes;
		messages += s->ranks[i].messages;
	}
	if (localtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %z", &tm);
	printf("%-16s %s\n%-16s %u\n%-16s %s (took %.3f s)\n", "Reference:", s->dir, "Sequence:", s->seq, "Committed:", when,
	       (double)(s->end_ns - s->begin_ns) / 1e9);
	job_print(s->job);
	printf("%-16s %u ranks, %.1f MiB, %llu messages in flight saved\n", "Content:", s->np, (double)bytes / 1048576.0,
	       (unsigned long long)messages);
	for (uint32_t i = 0; i < s->nphases; i++)
		printf("%-16s %-10s %9.3f ms\n", i ? "" : "Phases:", s->phases[i].name,
		       (double)(s->phases[i].end_ns - s->phases[i].begin_ns) / 1e6);
	for (uint32_t i = 0; i < s->nnodes; i++)
		printf("%-16s %s (topology: %zu bytes of XML)\n", i ? "" : "Nodes:", s->nodes[i].host, strlen(s->nodes[i].topology_xml));
	printf("\n%5s  %-16s %8s  %-6s %14s %10s %-16s  %-10s %8s %10s\n", "rank", "host", "pid", "engine", "bytes", "pages", "checksum", "cpus",
	       "messages", "stopped ms");
	for (uint32_t i = 0; i < s->np; i++) {
		const struct snapc_rank *r = &s->ranks[i];

		printf("%5d  %-16s %8d  %-6s %14llu %10llu %016llx  %-10s %8llu %10.3f\n", r->rank, r->host, r->pid, r->engine,
		       (unsigned long long)r->file_bytes, (unsigned long long)r->pages, (unsigned long long)r->checksum, r->binding,
		       (unsigned long long)r->messages, (double)r->stopped_ns / 1e6);
	}
}

static void key_string(const char *key, const char *value)
{
	printf(", \"%s\": ", key);
	tool_json_string(stdout, value);
}

static void job_json(const struct snapc_job *job)
{
	printf("{\"mpirun_pid\": %lld, \"uid\": %u", (long long)job->mpirun_pid, job->uid);
	key_string("id", job->id);
	key_string("host", job->host);
	key_string("cwd", job->cwd);
	key_string("open_mpi_version", job->ompi_version);
	key_string("amca", job->amca);
	fputs(", \"argv\": ", stdout);
	tool_json_strings(stdout, job->argv);
	fputs(", \"environment\": ", stdout);
	tool_json_strings(stdout, job->env);
	fputs(", \"mca_parameters\": ", stdout);
	tool_json_strings(stdout, job->mca);
	fputs(", \"apps\": [", stdout);
	for (uint32_t i = 0; i < job->napps; i++) {
		printf("%s{\"np\": %u, \"argv\": ", i ? ", " : "", job->apps[i].np);
		tool_json_strings(stdout, job->apps[i].argv);
		putchar('}');
	}
	putchar(']');
	key_string("restarted_from", job->restarted_from);
	printf(", \"restarted_sequence\": %lld}", (long long)job->restarted_seq);
}

void snapshot_show_json(const struct snapc_snapshot *s)
{
	fputs("{\"reference\": ", stdout);
	tool_json_string(stdout, s->dir);
	printf(", \"sequence\": %u, \"np\": %u, \"begin_ns\": %llu, \"end_ns\": %llu, \"job\": ", s->seq, s->np, (unsigned long long)s->begin_ns,
	       (unsigned long long)s->end_ns);
	job_json(s->job);
	fputs(", \"ranks\": [", stdout);
	for (uint32_t i = 0; i < s->np; i++) {
		const struct snapc_rank *r = &s->ranks[i];

		printf("%s{\"rank\": %d, \"pid\": %d", i ? ", " : "", r->rank, r->pid);
		key_string("host", r->host);
		key_string("engine", r->engine);
		key_string("context_file", r->context_file);
		key_string("binding", r->binding);
		printf(", \"bytes\": %llu, \"pages\": %llu, \"checksum\": \"%016llx\", \"messages\": %llu, \"message_bytes\": %llu, "
		       "\"stopped_ns\": %llu}",
		       (unsigned long long)r->file_bytes, (unsigned long long)r->pages, (unsigned long long)r->checksum,
		       (unsigned long long)r->messages, (unsigned long long)r->message_bytes, (unsigned long long)r->stopped_ns);
	}
	fputs("], \"phases\": [", stdout);
	for (uint32_t i = 0; i < s->nphases; i++) {
		printf("%s{\"begin_ns\": %llu, \"end_ns\": %llu", i ? ", " : "", (unsigned long long)s->phases[i].begin_ns,
		       (unsigned long long)s->phases[i].end_ns);
		key_string("name", s->phases[i].name);
		putchar('}');
	}
	fputs("], \"nodes\": [", stdout);
	for (uint32_t i = 0; i < s->nnodes; i++) {
		fputs(i ? ", {\"host\": " : "{\"host\": ", stdout);
		tool_json_string(stdout, s->nodes[i].host);
		putchar('}');
	}
	puts("]}");
}
