/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of ompi-checkpoint: the options of the original, and ours. */
#include "orte-tools/checkpoint_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/tools/option.h"

static const char usage[] =
	"Usage: ompi-checkpoint [OPTION]... PID_OF_MPIRUN | JOBID | --latest | --all\n"
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
	"Exit status: 0 done; 1 failed, the job goes on; 2 wrong usage; 75 not now, try again.\n";

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

#define TO(field) CR_OPTION_TO(struct checkpoint_options, field)
#define NO_DEBUGGER "--crdebug, --attach and --detach are not supported: attach gdb to a rank, or set CR_DEBUG=2 for mpirun"

static const struct cr_option options[] = {
	CR_OPTION_TEXT("hnp-jobid", 0, TO(job)),
	CR_OPTION_TEXT("hnp-pid", 0, TO(pid)),
	CR_OPTION_TEXT("host", 0, TO(host)),
	CR_OPTION_SET("latest", 0, TO(latest), true),
	CR_OPTION_SET("all", 0, TO(all), true),
	CR_OPTION_SET("term", 0, TO(term), true),
	CR_OPTION_SET("stop", 0, TO(stop), true),
	CR_OPTION_SET("check", 0, TO(check), true),
	CR_OPTION_NUMBER("interval", 0, TO(interval), 0, 100000000, "--interval needs a number of seconds, 0 for none"),
	CR_OPTION_SET("list", 'l', TO(list), true),
	CR_OPTION_SET("wait", 0, TO(wait), true),
	CR_OPTION_SET("nowait", 'w', TO(nowait), true),
	CR_OPTION_NUMBER("timeout", 0, TO(timeout_seconds), 1, 1000000, "--timeout needs a number of seconds"),
	CR_OPTION_SET("nosync", 0, TO(nosync), true),
	CR_OPTION_SET("json", 0, TO(json), true),
	CR_OPTION_SET("status", 's', TO(status), true),
	CR_OPTION_SET("verbose", 'v', TO(verbose), 1),
	CR_OPTION_NUMBER(NULL, 'V', TO(verbose), 0, LONG_MAX, "-V needs a number"),
	CR_OPTION_SET("quiet", 'q', TO(quiet), true),
	CR_OPTION_REFUSED("crdebug", 0, NO_DEBUGGER),
	CR_OPTION_REFUSED("attach", 0, NO_DEBUGGER),
	CR_OPTION_REFUSED("detach", 0, NO_DEBUGGER),
	CR_OPTION_END,
};
static const struct cr_command command_line = { "ompi-checkpoint", usage, options, .one_dash = true };

/* What makes no sense together. Return: the words, or NULL. */
static const char *options_clash(const struct checkpoint_options *o)
{
	if (o->stop && o->term)
		return "--stop and --term exclude each other";
	if (o->check && (o->term || o->stop || o->nowait))
		return "--check takes no checkpoint: --term, --stop and --nowait make no sense with it";
	if (o->interval >= 0 && (o->check || o->term || o->stop || o->nowait || o->list))
		return "--interval takes no checkpoint: --check, --term, --stop, --nowait and --list make no sense with it";
	if (o->host && (o->all || o->list))
		return "--host is for one job: --all and --list make no sense with it";
	if (o->wait && o->nowait)
		return "--wait and --nowait exclude each other";
	return NULL;
}

int checkpoint_options_parse(struct checkpoint_options *o, int argc, char **argv)
{
	const char *clash;
	int status, left;
	long pid;

	o->interval = -1;
	argc = options_take_mca(argc, argv);
	status = cr_command_parse(&command_line, argc, argv, o);
	if (status >= 0)
		return status;
	clash = options_clash(o);
	if (clash)
		return cr_command_refuse(&command_line, "%s", clash);
	o->name = argv[optind];
	left = argc - optind;
	if (o->list)
		return left ? cr_command_refuse(&command_line, "--list needs no job: %s", o->name) : -1;
	if (left + !!o->job + !!o->pid + o->latest + o->all != 1)
		return cr_command_refuse(&command_line, "name one job: the pid of its mpirun, its job id, or --latest; or --all");
	if (o->pid && !checkpoint_number(o->pid, 1, &pid))
		return cr_command_refuse(&command_line, "--hnp-pid needs a pid: %s", o->pid);
	o->status = o->status || o->verbose > 0;
	return -1;
}
