/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-cr-info: what is installed, what this machine has, every setting with its origin. --check: is this machine ready? */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orte-tools/info_probe.h"
#include "orte-tools/tool_json.h"
#include "snapc/settings.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
	"Usage: ompi-cr-info [OPTION]...\n"
	"Print version, build, features of this machine, and every setting with its origin.\n"
	"\n"
	"      --check    is this machine ready? One line per question; what to do about each no. Exit status 1 when something needed is missing\n"
	"      --json     print as JSON\n"
	"  -q, --quiet    with --check: print only what is missing; -v, --verbose: with --check also the settings\n"
	"  -h, --help     print this help\n"
	"      --version  print the version\n"
	"\n"
	"A setting comes from mpirun's command line (-mca ompi_cr_NAME VALUE), the environment (OMPI_MCA_ompi_cr_NAME, OMPI_CR_NAME in capitals),\n"
	"the user's file, the system's file, or its default: the first that has it.\n";

struct build_line {
	const char *name;
	const char *value;
};

static const struct build_line build[] = {
	{ "version", PACKAGE_VERSION },
	{ "open_mpi_built_for", CR_OMPI_VERSION },
	{ "bindir", CR_BINDIR },
	{ "libexecdir", CR_PKGLIBEXECDIR },
	{ "component_dir", CR_MCADIR },
	{ "parameter_set_dir", CR_AMCADIR },
	{ "sysconfdir", CR_SYSCONFDIR },
#ifdef HAVE_MUNGE
	{ "munge", "yes" },
#else
	{ "munge", "no" },
#endif
};

static void print_probes(const struct info_probe *probes, int nprobes, bool check, bool quiet)
{
	for (int i = 0; i < nprobes; i++) {
		if (quiet && (probes[i].good || !probes[i].needed))
			continue;
		printf("%-4s %-18s %s\n", probes[i].good ? "yes" : probes[i].needed ? "NO" : "no", probes[i].name, probes[i].found);
		if (!probes[i].good && check)
			printf("     %-18s %s\n", "", probes[i].remedy);
	}
}

static void print_verdict(const struct info_probe *probes, int nprobes, bool missing)
{
	bool all = true;

	for (int i = 0; i < nprobes; i++)
		all = all && probes[i].good;
	if (missing)
		puts("\nThis machine is not ready: every NO has to become a yes.");
	else
		puts(all ? "\nThis machine is ready." : "\nThis machine is ready. A small no costs something, and says what.");
}

static void print_build(void)
{
	for (size_t i = 0; i < sizeof(build) / sizeof(build[0]); i++)
		printf("%-20s %s\n", build[i].name, build[i].value);
	putchar('\n');
}

static void print_settings(const struct snapc_settings *s)
{
	char user[PATH_MAX], system[PATH_MAX];

	snapc_settings_paths(user, system);
	printf("\nuser file: %s\nsystem file: %s\n\n", user, system);
	for (int i = 0; i < SNAPC_SETTINGS; i++)
		printf("%-18s = %-24s (%s%s%s)\n    %s\n", s->all[i].name, s->all[i].value[0] ? s->all[i].value : "\"\"",
		       snapc_origin_name(s->all[i].origin), s->all[i].where[0] ? ": " : "", s->all[i].where, s->all[i].words);
}

static void json_member(const char *name, const char *value, const char *after)
{
	tool_json_string(stdout, name);
	fputs(": ", stdout);
	tool_json_string(stdout, value);
	fputs(after, stdout);
}

static void print_json(const struct snapc_settings *s, const struct info_probe *probes, int nprobes)
{
	size_t nbuild = sizeof(build) / sizeof(build[0]);

	fputs("{\"build\": {", stdout);
	for (size_t i = 0; i < nbuild; i++)
		json_member(build[i].name, build[i].value, i + 1 < nbuild ? ", " : "");
	fputs("},\n\"probes\": [", stdout);
	for (int i = 0; i < nprobes; i++) {
		printf("%s{\"good\": %s, \"needed\": %s, ", i ? ",\n" : "", probes[i].good ? "true" : "false", probes[i].needed ? "true" : "false");
		json_member("name", probes[i].name, ", ");
		json_member("found", probes[i].found, ", ");
		json_member("remedy", probes[i].good ? "" : probes[i].remedy, "}");
	}
	fputs("],\n\"settings\": [", stdout);
	for (int i = 0; i < SNAPC_SETTINGS; i++) {
		fputs(i ? ",\n{" : "{", stdout);
		json_member("name", s->all[i].name, ", ");
		json_member("value", s->all[i].value, ", ");
		json_member("origin", snapc_origin_name(s->all[i].origin), ", ");
		json_member("where", s->all[i].where, "}");
	}
	puts("]}");
}

int main(int argc, char **argv)
{
	enum { CHECK = 256, JSON, VERSION };
	static const struct option options[] = {
		{ "check", no_argument, NULL, CHECK },
		{ "json", no_argument, NULL, JSON },
		{ "quiet", no_argument, NULL, 'q' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, VERSION },
		{ NULL, 0, NULL, 0 },
	};
	struct info_probe probes[INFO_PROBES_MOST];
	struct snapc_settings *settings;
	bool check = false, json = false, missing = false, quiet = false, verbose = false;
	struct cr_err err = { "" };
	int c, nprobes;

	while ((c = getopt_long(argc, argv, "hqv", options, NULL)) != -1) {
		switch (c) {
		case CHECK:
			check = true;
			break;
		case JSON:
			json = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'v':
			verbose = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case VERSION:
			puts("ompi-cr-info (ompi-cr) " PACKAGE_VERSION);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "ompi-cr-info: %s: no argument is expected\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (snapc_settings_load(&settings, &err) < 0 || snapc_settings_export(settings) < 0) {
		fprintf(stderr, "ompi-cr-info: %s\n", err.text[0] ? err.text : "out of memory");
		return EXIT_FAILED;
	}
	nprobes = info_probe(settings, probes);
	for (int i = 0; i < nprobes; i++)
		missing = missing || (probes[i].needed && !probes[i].good);
	if (json) {
		print_json(settings, probes, nprobes);
	} else {
		if (!check)
			print_build();
		print_probes(probes, nprobes, check, quiet && check);
		if (check && !quiet)
			print_verdict(probes, nprobes, missing);
		if (!check || verbose)
			print_settings(settings);
	}
	free(settings);
	return check && missing ? EXIT_FAILED : 0;
}
