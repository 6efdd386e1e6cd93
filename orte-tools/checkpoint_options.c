/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of ompi-checkpoint: the options of the original, and ours. */
#include "orte-tools/checkpoint_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static void options_usage(FILE *out)
{
	fputs("Usage: ompi-checkpoint [OPTION]... PID_OF_MPIRUN | JOBID | --latest | --all\n"
	      "Save the state of a running Open MPI job that was started with `mpirun -am ft-enable-cr`. The job goes on.\n"
	      "      --latest          the job that was started last\n"
	      "      --all             every running job of yours, for root: of everybody; each as if it had been named\n"
	      "      --hnp-jobid ID, --hnp-pid PID   the job by its job id, by the pid of its mpirun\n"
	      "      --host NODE       the job's mpirun runs on that node, not on this one\n"
	      "      --term            end the job after the checkpoint is established\n"
	      "      --stop            stop the ranks where they were saved; SIGCONT to mpirun lets them go on\n"
	      "      --check           only ask whether the job could be saved, and why not\n"
	      "      --interval SEC    no checkpoint now, but one every SEC seconds from now on; 0: no more\n"
	      "  -l, --list            list running jobs and the snapshots in the snapshot directory\n"
	      "      --wait            when the job is still starting, or another checkpoint runs, wait for it (60 s, or --timeout)\n"
	      "  -w, --nowait          return as soon as the ranks are being saved\n"
	      "      --timeout SEC     give up, and let the job go on, when it takes longer\n"
	      "      --nosync          do not wait for stable storage: survives the job, not the machine\n"
	      "      --json            print the result as one JSON object\n"
	      "  -s, --status          print each change of state\n"
	      "  -v, --verbose, -V N   say more; implies --status\n"
	      "  -q, --quiet           print errors only, and no progress bar\n"
	      "      --mca NAME VALUE, --gmca NAME VALUE, --am FILE   accepted as by every Open MPI tool\n"
	      "      --crdebug, --attach, --detach   of the original; refused, with what to do instead\n"
	      "  -h, --help            print this help\n"
	      "      --version         print the version\n"
	      "Exit status: 0 done; 1 failed, the job goes on; 2 wrong usage; 75 not now, try again.\n",
	      out);
}

/* Take "-mca NAME VALUE", "-gmca NAME VALUE", "-am FILE" out of argv; MCA parameters go to the environment as elsewhere in Open MPI. */
static int options_take_mca(int argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i][0] == '-' ? argv[i] + 1 + (argv[i][1] == '-') : "";

		if ((!strcmp(word, "mca") || !strcmp(word, "gmca")) && i + 2 < argc) {
			char name[256];

			snprintf(name, sizeof(name), "OMPI_MCA_%s", argv[i + 1]);
			setenv(name, argv[i + 2], 1);
			i += 2;
		} else if (!strcmp(word, "am") && i + 1 < argc) {
			i++;
		} else {
			argv[kept++] = argv[i];
		}
	}
	argv[kept] = NULL;
	return kept;
}

bool checkpoint_number(const char *text, long low, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(text, &end, 10);
	return *text && !*end && !errno && *ret >= low;
}

static int options_bad(const char *what, const char *word)
{
	fprintf(stderr, "ompi-checkpoint: %s%s%s\nTry `ompi-checkpoint --help`.\n", what, word ? ": " : "", word ? word : "");
	return TOOL_USAGE;
}

int checkpoint_options_parse(struct checkpoint_options *o, int argc, char **argv)
{
	enum { VERSION = 256, TERM, STOP, JOBID, PID, LATEST, CHECK, TIMEOUT, NOSYNC, JSON, WAIT, INTERVAL, CRDEBUG, ALL, HOST };
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },          { "version", no_argument, NULL, VERSION },
		{ "verbose", no_argument, NULL, 'v' },       { "term", no_argument, NULL, TERM },
		{ "stop", no_argument, NULL, STOP },         { "nowait", no_argument, NULL, 'w' },
		{ "status", no_argument, NULL, 's' },        { "list", no_argument, NULL, 'l' },
		{ "hnp-jobid", required_argument, NULL, JOBID }, { "hnp-pid", required_argument, NULL, PID },
		{ "latest", no_argument, NULL, LATEST },     { "check", no_argument, NULL, CHECK },
		{ "timeout", required_argument, NULL, TIMEOUT }, { "nosync", no_argument, NULL, NOSYNC },
		{ "json", no_argument, NULL, JSON },         { "quiet", no_argument, NULL, 'q' },
		{ "wait", no_argument, NULL, WAIT },         { "interval", required_argument, NULL, INTERVAL },
		{ "all", no_argument, NULL, ALL },           { "host", required_argument, NULL, HOST },
		{ "crdebug", no_argument, NULL, CRDEBUG },   { "attach", no_argument, NULL, CRDEBUG },
		{ "detach", no_argument, NULL, CRDEBUG },    { NULL, 0, NULL, 0 },
	};
	long level;
	int option;

	o->interval = -1;
	argc = options_take_mca(argc, argv);
	while ((option = getopt_long_only(argc, argv, "hvV:wslq", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			options_usage(stdout);
			return TOOL_OK;
		case VERSION:
			printf("ompi-checkpoint (ompi-cr) %s\n", PACKAGE_VERSION);
			return TOOL_OK;
		case 'v':
			o->verbose = o->verbose ? o->verbose : 1;
			break;
		case 'V':
			if (!checkpoint_number(optarg, 0, &level))
				return options_bad("-V needs a number", optarg);
			o->verbose = level;
			break;
		case TERM:
			o->term = true;
			break;
		case STOP:
			o->stop = true;
			break;
		case 'w':
			o->nowait = true;
			break;
		case 's':
			o->status = true;
			break;
		case 'l':
			o->list = true;
			break;
		case JOBID:
			o->job = optarg;
			break;
		case PID:
			o->pid = optarg;
			break;
		case LATEST:
			o->latest = true;
			break;
		case CHECK:
			o->check = true;
			break;
		case TIMEOUT:
			if (!checkpoint_number(optarg, 1, &o->timeout_seconds) || o->timeout_seconds > 1000000)
				return options_bad("--timeout needs a number of seconds", optarg);
			break;
		case NOSYNC:
			o->nosync = true;
			break;
		case JSON:
			o->json = true;
			break;
		case 'q':
			o->quiet = true;
			break;
		case HOST:
			o->host = optarg;
			break;
		case ALL:
			o->all = true;
			break;
		case WAIT:
			o->wait = true;
			break;
		case INTERVAL:
			if (!checkpoint_number(optarg, 0, &o->interval) || o->interval > 100000000)
				return options_bad("--interval needs a number of seconds, 0 for none", optarg);
			break;
		case CRDEBUG:
			return options_bad("--crdebug, --attach and --detach are not supported: attach gdb to a rank, or set CR_DEBUG=2 for mpirun", NULL);
		default:
			fputs("Try `ompi-checkpoint --help`.\n", stderr);
			return TOOL_USAGE;
		}
	}
	if (o->stop && o->term)
		return options_bad("--stop and --term exclude each other", NULL);
	if (o->check && (o->term || o->stop || o->nowait))
		return options_bad("--check takes no checkpoint: --term, --stop and --nowait make no sense with it", NULL);
	if (o->interval >= 0 && (o->check || o->term || o->stop || o->nowait || o->list))
		return options_bad("--interval takes no checkpoint: --check, --term, --stop, --nowait and --list make no sense with it", NULL);
	if (o->host && (o->all || o->list))
		return options_bad("--host is for one job: --all and --list make no sense with it", NULL);
	if (o->wait && o->nowait)
		return options_bad("--wait and --nowait exclude each other", NULL);
	o->name = argv[optind];
	if (o->list)
		return argc > optind ? options_bad("--list needs no job", argv[optind]) : -1;
	if (argc - optind + !!o->job + !!o->pid + o->latest + o->all != 1)
		return options_bad("name one job: the pid of its mpirun, its job id, or --latest; or --all", NULL);
	if (o->pid && !checkpoint_number(o->pid, 1, &level))
		return options_bad("--hnp-pid needs a pid", o->pid);
	o->status = o->status || o->verbose > 0;
	return -1;
}
