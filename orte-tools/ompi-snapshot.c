/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-snapshot: list, show, verify, prune, export, import and report global snapshots. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orte-tools/snapshot_print.h"
#include "orte-tools/snapshot_prune.h"
#include "orte-tools/snapshot_report.h"
#include "orte-tools/snapshot_transfer.h"
#include "orte-tools/tool_json.h"
#include "orte-tools/tool_ref.h"
#include "orte-tools/tool_verify.h"
#include "snapc/meta.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
	"Usage: ompi-snapshot list [REF]                 every sequence of every reference (or of REF)\n"
	"       ompi-snapshot show REF                   one sequence (default: the newest): job, phases, ranks\n"
	"       ompi-snapshot verify REF [--quick]       read every context file (of all sequences, or of SEQ), compare checksums\n"
	"       ompi-snapshot prune REF --keep N         remove all sequences but the N newest, and but the newest one that is whole\n"
	"       ompi-snapshot export REF -o FILE         one sequence as one file, with checksums; - is standard output\n"
	"       ompi-snapshot import FILE [--dir DIR]    and back, on any machine; - is standard input\n"
	"       ompi-snapshot report REF --html FILE     one sequence as a page for a browser: who was late, sizes, lineage\n"
	"REF is a name under the snapshot directory, or a path.\n"
	"\n"
	"  -s, --seq N      sequence number\n"
	"      --keep N     how many sequences stay (at least 1)\n"
	"      --quick      verify: all but the page data\n"
	"  -o, --output FILE, --html FILE   what export and report write\n"
	"      --dir DIR    snapshot directory (default: OMPI_CR_SNAPSHOT_DIR, else HOME)\n"
	"      --json       print JSON\n"
	"  -q, --quiet      no words when all is well, and no progress bar\n"
	"  -v, --verbose    accepted; there is nothing more to say\n"
	"  -h, --help       print this help\n"
	"      --version    print the version\n"
	"\n"
	"Exit status: 0 all well, 1 a failure or a damaged snapshot, 2 a usage error.\n";

struct options {
	const char *ref, *dir, *output, *html;
	int64_t seq, keep;
	bool json, quiet, quick;
};

static int fail(const struct cr_err *err)
{
	fprintf(stderr, "ompi-snapshot: %s\n", err->text);
	return EXIT_FAILED;
}

static int command_list(const struct options *o)
{
	char path[PATH_MAX];
	struct cr_err err = { "" };

	if (o->ref && tool_ref_resolve(o->ref, o->dir, path, &err) < 0)
		return fail(&err);
	return snapshot_list(o->dir ? o->dir : tool_snapshot_dir(), o->ref ? path : NULL, o->json) < 0 ? EXIT_FAILED : 0;
}

static int command_show(const struct options *o)
{
	struct cr_err err = { "" };
	struct snapc_snapshot *s;
	struct snapc_meta *meta;
	char path[PATH_MAX];
	int rc;

	if (tool_ref_resolve(o->ref, o->dir, path, &err) < 0 || snapc_meta_open(path, &meta, &err) < 0)
		return fail(&err);
	rc = snapc_meta_load(meta, o->seq, &s, &err);
	snapc_meta_close(meta);
	if (rc < 0)
		return fail(&err);
	(o->json ? snapshot_show_json : snapshot_show)(s);
	snapc_snapshot_destroy(s);
	return 0;
}

/* Return: number of bad files of one sequence; a sequence that cannot be read counts as one. */
static int sequence_verify(const struct snapc_meta *meta, uint32_t seq, const struct options *o, bool first)
{
	struct tool_verdict *bad = NULL;
	struct cr_err err = { "" };
	struct snapc_snapshot *s;
	int n = 1;

	if (snapc_meta_load(meta, seq, &s, &err) < 0) {
		fail(&err);
		return 1;
	}
	n = tool_verify(s, (o->quick ? 0 : TOOL_VERIFY_PAGES) | (o->quiet ? TOOL_VERIFY_QUIET : 0), &bad);
	if (o->json)
		printf("%s{\"sequence\": %u, \"ranks\": %u, \"bad\": [", first ? "" : ", ", seq, s->np);
	for (int i = 0; i < n; i++) {
		fprintf(stderr, "ompi-snapshot: sequence %u, rank %d: %s: %s\n", seq, bad[i].rank, bad[i].path, bad[i].err.text);
		if (o->json) {
			printf("%s{\"rank\": %d, \"file\": ", i ? ", " : "", bad[i].rank);
			tool_json_string(stdout, bad[i].path);
			fputs(", \"reason\": ", stdout);
			tool_json_string(stdout, bad[i].err.text);
			putchar('}');
		}
	}
	if (o->json)
		fputs("]}", stdout);
	else if (!o->quiet && n == 0)
		printf("sequence %u: %u context files are whole\n", seq, s->np);
	else if (!o->quiet)
		printf("sequence %u: %d of %u context files are damaged\n", seq, n, s->np);
	free(bad);
	snapc_snapshot_destroy(s);
	return n ? n : 0;
}

static int command_verify(const struct options *o)
{
	struct cr_err err = { "" };
	struct snapc_meta *meta;
	const uint32_t *seqs;
	char path[PATH_MAX];
	uint32_t n, done = 0;
	int bad = 0;

	if (tool_ref_resolve(o->ref, o->dir, path, &err) < 0 || snapc_meta_open(path, &meta, &err) < 0)
		return fail(&err);
	n = snapc_meta_sequences(meta, &seqs);
	if (o->json)
		putchar('[');
	for (uint32_t i = 0; i < n; i++) {
		if (o->seq < 0 || seqs[i] == o->seq) {
			bad += sequence_verify(meta, seqs[i], o, done == 0) != 0;
			done++;
		}
	}
	if (o->json)
		puts("]");
	snapc_meta_close(meta);
	if (done == 0) {
		fprintf(stderr, o->seq < 0 ? "ompi-snapshot: %s holds no sequence\n" : "ompi-snapshot: %s holds no such sequence\n", path);
		return EXIT_FAILED;
	}
	return bad ? EXIT_FAILED : 0;
}

static int command_prune(const struct options *o)
{
	struct cr_err err = { "" };
	char path[PATH_MAX];

	if (o->keep < 1) {
		fprintf(stderr, "ompi-snapshot: prune needs --keep N, at least 1; to throw a reference away, remove its directory\n");
		return EXIT_USAGE;
	}
	if (tool_ref_resolve(o->ref, o->dir, path, &err) < 0)
		return fail(&err);
	return snapshot_prune(path, (uint32_t)o->keep, o->quiet);
}

/* Return: 0 with one sequence of a reference, or the exit status. */
static int sequence_open(const struct options *o, struct snapc_meta **ret_meta, struct snapc_snapshot **ret_s)
{
	struct cr_err err = { "" };
	char path[PATH_MAX];

	if (tool_ref_resolve(o->ref, o->dir, path, &err) < 0 || snapc_meta_open(path, ret_meta, &err) < 0)
		return fail(&err);
	if (snapc_meta_load(*ret_meta, o->seq, ret_s, &err) < 0) {
		snapc_meta_close(*ret_meta);
		return fail(&err);
	}
	return 0;
}

static void transfer_print(const struct options *o, const struct snapshot_transfer *t, const char *done)
{
	FILE *out = o->output && !strcmp(o->output, "-") ? stderr : stdout;

	if (o->json) {
		fputs("{\"reference\": ", out);
		tool_json_string(out, t->ref);
		fprintf(out, ", \"sequence\": %u, \"np\": %u, \"bytes\": %llu, \"path\": ", t->seq, t->np, (unsigned long long)t->bytes);
		tool_json_string(out, t->where);
		fputs("}\n", out);
	} else if (!o->quiet) {
		fprintf(out, "%s, sequence %u: %u ranks, %.1f MiB %s %s\n", t->ref, t->seq, t->np, (double)t->bytes / 1048576.0, done, t->where);
	}
}

static int command_export(const struct options *o)
{
	struct snapshot_transfer t = { .quiet = o->quiet };
	struct cr_err err = { "" };
	struct snapc_snapshot *s;
	struct snapc_meta *meta;
	int rc;

	if (!o->output) {
		fprintf(stderr, "ompi-snapshot: export needs -o FILE\n");
		return EXIT_USAGE;
	}
	rc = sequence_open(o, &meta, &s);
	if (rc)
		return rc;
	snapc_meta_close(meta);
	rc = snapshot_export(s, o->output, &t, &err);
	snapc_snapshot_destroy(s);
	if (rc < 0)
		return fail(&err);
	transfer_print(o, &t, "exported to");
	return 0;
}

static int command_import(const struct options *o)
{
	struct snapshot_transfer t = { .quiet = o->quiet };
	struct cr_err err = { "" };

	if (snapshot_import(o->ref, o->dir ? o->dir : tool_snapshot_dir(), &t, &err) < 0)
		return fail(&err);
	transfer_print(o, &t, "imported as");
	return 0;
}

static int command_report(const struct options *o)
{
	struct cr_err err = { "" };
	struct snapc_snapshot *s;
	struct snapc_meta *meta;
	int rc;

	if (!o->html) {
		fprintf(stderr, "ompi-snapshot: report needs --html FILE\n");
		return EXIT_USAGE;
	}
	rc = sequence_open(o, &meta, &s);
	if (rc)
		return rc;
	rc = snapshot_report(meta, s, o->html, &err);
	snapc_snapshot_destroy(s);
	snapc_meta_close(meta);
	return rc < 0 ? fail(&err) : 0;
}

static const struct {
	const char *name;
	int (*run)(const struct options *o);
	bool needs_ref;
} commands[] = {
	{ "list", command_list, false },
	{ "show", command_show, true },
	{ "verify", command_verify, true },
	{ "prune", command_prune, true },
	{ "export", command_export, true },
	{ "import", command_import, true },
	{ "report", command_report, true },
};

static int usage_error(const char *words, const char *what)
{
	if (words)
		fprintf(stderr, "ompi-snapshot: %s%s\n", words, what);
	fputs(usage, stderr);
	return EXIT_USAGE;
}

static int number_parse(const char *text, int64_t *ret_number)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end || n < -1 || n > UINT32_MAX)
		return -EINVAL;
	*ret_number = n;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seq", required_argument, NULL, 's' },  { "keep", required_argument, NULL, 'k' }, { "dir", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },       { "quick", no_argument, NULL, 'Q' },      { "quiet", no_argument, NULL, 'q' },
		{ "output", required_argument, NULL, 'o' }, { "html", required_argument, NULL, 'H' }, { "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },       { "version", no_argument, NULL, 'V' },    { NULL, 0, NULL, 0 },
	};
	struct options o = { .seq = -1, .keep = 0 };
	const char *name;
	int c;

	while ((c = getopt_long(argc, argv, "hs:qo:v", options, NULL)) != -1) {
		switch (c) {
		case 's':
			if (number_parse(optarg, &o.seq) < 0)
				return usage_error("not a sequence number: ", optarg);
			break;
		case 'k':
			if (number_parse(optarg, &o.keep) < 0)
				return usage_error("not a number: ", optarg);
			break;
		case 'd':
			o.dir = optarg;
			break;
		case 'j':
			o.json = true;
			break;
		case 'Q':
			o.quick = true;
			break;
		case 'q':
			o.quiet = true;
			break;
		case 'o':
			o.output = optarg;
			break;
		case 'H':
			o.html = optarg;
			break;
		case 'v':
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("ompi-snapshot (ompi-cr) " PACKAGE_VERSION);
			return 0;
		default:
			return usage_error(NULL, "");
		}
	}
	if (optind == argc)
		return usage_error("a command is missing", "");
	name = argv[optind++];
	if (argc - optind > 1)
		return usage_error("more than one REF: ", argv[optind + 1]);
	o.ref = argv[optind];
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (commands[i].needs_ref && !o.ref)
			return usage_error("REF or FILE is missing", "");
		return commands[i].run(&o);
	}
	return usage_error("unknown command: ", name);
}
