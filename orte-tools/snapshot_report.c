/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/snapshot_report.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orte-tools/report_html.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

#define LINEAGE_MOST 32

static const char *ref_name(const char *dir)
{
	const char *slash = strrchr(dir, '/');

	return slash ? slash + 1 : dir;
}

/* By its own clock when that is known; else as the coordinator saw it. */
static double rank_write_ns(const struct snapc_snapshot *s, uint32_t i)
{
	const struct snapc_rank_times *t = s->times ? &s->times[i] : NULL;

	if (!t)
		return 0;
	return t->write_ns ? (double)t->write_ns : t->dumped_ns > t->snapped_ns ? (double)(t->dumped_ns - t->snapped_ns) : 0;
}

static void tile_begin(FILE *f)
{
	fputs("<div class=\"tile\"><b>", f);
}

static void tile_end(FILE *f, const char *words)
{
	fprintf(f, "</b><span>%s</span></div>\n", words);
}

static void tiles_print(FILE *f, const struct snapc_snapshot *s)
{
	uint64_t bytes = 0, messages = 0, stopped = 0, snapped = UINT64_MAX, dumped = 0;

	for (uint32_t i = 0; i < s->np; i++) {
		bytes += s->ranks[i].file_bytes;
		messages += s->ranks[i].messages;
		stopped = s->ranks[i].stopped_ns > stopped ? s->ranks[i].stopped_ns : stopped;
		if (s->times) {
			snapped = s->times[i].snapped_ns && s->times[i].snapped_ns < snapped ? s->times[i].snapped_ns : snapped;
			dumped = s->times[i].dumped_ns > dumped ? s->times[i].dumped_ns : dumped;
		}
	}
	fputs("<div class=\"tiles\">\n", f);
	tile_begin(f);
	fprintf(f, "%u", s->np);
	tile_end(f, s->nnodes == 1 ? "ranks on one node" : "ranks");
	tile_begin(f);
	html_bytes(f, (double)bytes);
	tile_end(f, "in context files");
	tile_begin(f);
	html_duration(f, (double)(s->end_ns - s->begin_ns));
	tile_end(f, "from request to commit");
	tile_begin(f);
	html_duration(f, (double)stopped);
	tile_end(f, "longest standstill of a rank");
	if (s->times && dumped > snapped) {
		tile_begin(f);
		html_bytes(f, (double)bytes / ((double)(dumped - snapped) / 1e9));
		fputs("/s", f);
		tile_end(f, "written, all ranks together");
	}
	tile_begin(f);
	fprintf(f, "%llu", (unsigned long long)messages);
	tile_end(f, "messages in flight saved");
	fputs("</div>\n", f);
}

static void timeline_print(FILE *f, const struct snapc_snapshot *s)
{
	struct report_steps steps;
	uint64_t still = 0;

	if (!s->times) {
		fputs("<section class=\"card\"><h2>Timeline</h2><p class=\"sub\">This snapshot was made by a version of ompi-cr that did not record when each rank did "
		      "what.</p></section>\n",
		      f);
		return;
	}
	report_steps_find(s, &steps);
	for (uint32_t i = 0; i < s->np; i++)
		still = s->times[i].snapped_ns > still ? s->times[i].snapped_ns : still;
	if (steps.running_ns > still)
		still = steps.running_ns;
	fputs("<section class=\"card\"><h2>Timeline of the ranks: the whole checkpoint</h2>\n", f);
	report_timeline(f, s, &steps, s->begin_ns, s->end_ns);
	fputs("</section>\n<section class=\"card\"><h2>The same, until the last rank runs again</h2>\n", f);
	report_timeline(f, s, &steps, s->begin_ns, still + (still - s->begin_ns) / 20);
	fputs("</section>\n<section class=\"card\"><h2>Who was late?</h2>\n", f);
	report_late(f, s, &steps);
	fputs("</section>\n", f);
}

static void phases_print(FILE *f, const struct snapc_snapshot *s)
{
	double total = (double)(s->end_ns - s->begin_ns);

	fputs("<section class=\"card\"><h2>Phases</h2><table><tr><th>Phase</th><th class=\"n\">Begins after</th><th class=\"n\">Takes</th><th></th></tr>\n", f);
	for (uint32_t i = 0; i < s->nphases; i++) {
		double took = (double)(s->phases[i].end_ns - s->phases[i].begin_ns);
		double at = s->phases[i].begin_ns > s->begin_ns ? (double)(s->phases[i].begin_ns - s->begin_ns) : 0;

		fputs("<tr><td>", f);
		html_text(f, s->phases[i].name);
		fputs("</td><td class=\"n\">", f);
		html_duration(f, at);
		fputs("</td><td class=\"n\">", f);
		html_duration(f, took);
		fprintf(f, "</td><td style=\"width:50%%\"><span class=\"bar\" style=\"margin-left:%.1f%%;width:%.1f%%\"></span></td></tr>\n",
			total > 0 && at < total ? at / total * 90 : 0, total > 0 && took < total ? took / total * 90 + 0.3 : 90);
	}
	fputs("</table></section>\n", f);
}

static void ranks_print(FILE *f, const struct snapc_snapshot *s)
{
	uint64_t most = 1;

	for (uint32_t i = 0; i < s->np; i++)
		most = s->ranks[i].file_bytes > most ? s->ranks[i].file_bytes : most;
	fputs("<section class=\"card\"><h2>Ranks</h2><table><tr><th class=\"n\">Rank</th><th>Host</th><th class=\"n\">Process</th><th>Engine</th><th>CPUs</th>"
	      "<th>Context file</th><th class=\"n\">Pages</th><th class=\"n\">Bandwidth</th><th class=\"n\">Stood still</th><th class=\"n\">Messages</th></tr>\n",
	      f);
	for (uint32_t i = 0; i < s->np; i++) {
		const struct snapc_rank *r = &s->ranks[i];
		double write_ns = rank_write_ns(s, i);

		fprintf(f, "<tr><td class=\"n\">%d</td><td>", r->rank);
		html_text(f, r->host);
		fprintf(f, "</td><td class=\"n\">%d</td><td>", r->pid);
		html_text(f, r->engine);
		fputs("</td><td>", f);
		html_text(f, r->binding);
		fprintf(f, "</td><td><span class=\"bar\" style=\"width:%.0fpx\"></span>", (double)r->file_bytes / (double)most * 110 + 1);
		html_bytes(f, (double)r->file_bytes);
		fprintf(f, "</td><td class=\"n\">%llu</td><td class=\"n\">", (unsigned long long)r->pages);
		if (write_ns > 0) {
			html_bytes(f, (double)r->file_bytes / (write_ns / 1e9));
			fputs("/s", f);
		}
		fputs("</td><td class=\"n\">", f);
		html_duration(f, (double)r->stopped_ns);
		fprintf(f, "</td><td class=\"n\">%llu</td></tr>\n", (unsigned long long)r->messages);
	}
	fputs("</table></section>\n", f);
}

/* One job of the chain; the next older one is loaded when it is still there. */
static void ancestor_print(FILE *f, const struct snapc_job *job, int64_t seq, int depth)
{
	struct snapc_meta *meta;
	struct snapc_job *older = NULL;
	struct cr_err err;

	if (job->restarted_from[0] && depth < LINEAGE_MOST) {
		if (snapc_meta_open(job->restarted_from, &meta, &err) == 0) {
			if (snapc_meta_job(meta, &older, &err) < 0)
				older = NULL;
			snapc_meta_close(meta);
		}
		if (older) {
			ancestor_print(f, older, job->restarted_seq, depth + 1);
			snapc_job_destroy(older);
		} else {
			fputs("<div>", f);
			html_text(f, ref_name(job->restarted_from));
			fprintf(f, "<small>sequence %lld, not there any more</small></div>", (long long)job->restarted_seq);
		}
		fputs("<span>&#8594;</span>\n", f);
	}
	fprintf(f, "<div%s>", depth == 0 ? " class=\"now\"" : "");
	html_text(f, job->id);
	fprintf(f, "<small>mpirun %lld on ", (long long)job->mpirun_pid);
	html_text(f, job->host);
	fprintf(f, ", %ssequence %lld%s</small></div>", depth ? "left at " : "", (long long)seq, depth ? "" : ": this one");
}

static void lineage_print(FILE *f, const struct snapc_meta *meta, const struct snapc_snapshot *s)
{
	const uint32_t *seqs;
	uint32_t n = snapc_meta_sequences(meta, &seqs);

	fputs("<section class=\"card\"><h2>Where this job comes from</h2><div class=\"chain\">\n", f);
	ancestor_print(f, s->job, s->seq, 0);
	fputs("</div><p class=\"sub\" style=\"margin:10px 0 0\">Sequences of this reference:", f);
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, seqs[i] == s->seq ? " <b>%u</b>" : " %u", seqs[i]);
	fputs("</p></section>\n", f);
}

static void lines_print(FILE *f, const char *what, char *const *lines)
{
	if (!lines || !lines[0])
		return;
	fprintf(f, "<dt>%s</dt><dd><pre>", what);
	for (int i = 0; lines[i]; i++) {
		html_text(f, lines[i]);
		putc('\n', f);
	}
	fputs("</pre></dd>", f);
}

static void job_print(FILE *f, const struct snapc_snapshot *s)
{
	const struct snapc_job *job = s->job;

	fputs("<section class=\"card\"><h2>Job</h2><dl>", f);
	for (uint32_t i = 0; i < job->napps; i++) {
		fputs("<dt>Program</dt><dd><code>", f);
		html_words(f, job->apps[i].argv);
		fputs("</code></dd>", f);
	}
	fputs("<dt>mpirun</dt><dd><code>", f);
	html_words(f, job->argv);
	fputs("</code></dd><dt>Directory</dt><dd><code>", f);
	html_text(f, job->cwd);
	fputs("</code></dd><dt>Open MPI</dt><dd>", f);
	html_text(f, job->ompi_version[0] ? job->ompi_version : "unknown");
	fputs("</dd><dt>Snapshot</dt><dd><code>", f);
	html_text(f, s->dir);
	fputs("</code></dd>", f);
	lines_print(f, "MCA parameters", job->mca);
	lines_print(f, "Environment", job->env);
	fputs("</dl></section>\n", f);
}

static void page_print(FILE *f, const struct snapc_meta *meta, const struct snapc_snapshot *s)
{
	char title[PATH_MAX];

	snprintf(title, sizeof(title), "%s, sequence %u", ref_name(s->dir), s->seq);
	html_head(f, title);
	fputs("<h1>", f);
	html_text(f, title);
	fputs("</h1>\n<p class=\"sub\">Checkpoint of <code>", f);
	if (s->job->napps)
		html_words(f, s->job->apps[0].argv);
	fputs("</code>, committed ", f);
	html_time(f, s->end_ns);
	fputs("</p>\n", f);
	tiles_print(f, s);
	timeline_print(f, s);
	phases_print(f, s);
	lineage_print(f, meta, s);
	ranks_print(f, s);
	job_print(f, s);
	fputs("<footer>Written by ompi-snapshot (ompi-cr) " PACKAGE_VERSION ".</footer>\n</main>\n</body>\n</html>\n", f);
}

int snapshot_report(const struct snapc_meta *meta, const struct snapc_snapshot *s, const char *file, struct cr_err *err)
{
	bool standard = !strcmp(file, "-");
	char temporary[PATH_MAX];
	int bad;
	FILE *f;

	if (standard) {
		page_print(stdout, meta, s);
		return fflush(stdout) == EOF || ferror(stdout) ? cr_err_set(err, EIO, "standard output cannot be written") : 0;
	}
	if (snprintf(temporary, sizeof(temporary), "%s.tmp.%d", file, (int)getpid()) >= (int)sizeof(temporary))
		return cr_err_set(err, ENAMETOOLONG, "%s: path too long", file);
	f = fopen(temporary, "wxe");
	if (!f)
		return cr_err_set(err, errno, "%s: %s", file, strerror(errno));
	page_print(f, meta, s);
	bad = ferror(f);
	errno = 0;
	if (fclose(f) == EOF || bad || rename(temporary, file) < 0) {
		int rc = cr_err_set(err, errno ? errno : EIO, "%s: %s", file, strerror(errno ? errno : EIO));

		unlink(temporary);
		return rc;
	}
	return 0;
}
