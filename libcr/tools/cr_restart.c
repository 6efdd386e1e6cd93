/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr_restart: become the process that a context file holds. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cr_proto.h"
#include "libcr/lower/restore.h"
#include "libcr/lower/start.h"
#include "libcr/lower/tree.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static const char usage[] =
	"Usage: cr_restart [OPTION]... FILE\n"
	"       cr_restart [OPTION]... --rank-file FORMAT\n"
	"Go on with the process that was saved in FILE (cr_checkpoint). The program keeps its process id as it knows it,\n"
	"its files and its working directory; standard streams are this command's.\n"
	"\n"
	"      --rank-file FORMAT  for ompi-restart: the file's name with one %d for the rank of this process\n"
	"      --check             check everything, start nothing\n"
	"  -q, --quiet             no words when it succeeds\n"
	"  -h, --help              print this help\n"
	"      --version           print the version\n"
	"\n"
	"Exit status: that of the restarted program; 1 when the restart failed, 2 for a usage error.\n";

static int rank_path(const char *format, char *path, size_t bytes, struct cr_err *err)
{
	const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *mark = strstr(format, "%d");
	int n;

	if (!rank)
		rank = getenv("PMIX_RANK");
	if (!rank)
		return cr_err_set(err, EINVAL, "--rank-file needs a launcher that sets OMPI_COMM_WORLD_RANK or PMIX_RANK (mpirun, srun)");
	if (!mark)
		return cr_err_set(err, EINVAL, "--rank-file %s: no %%d in it", format);
	n = snprintf(path, bytes, "%.*s%s%s", (int)(mark - format), format, rank, mark + 2);
	return n < 0 || (size_t)n >= bytes ? cr_err_set(err, ENAMETOOLONG, "--rank-file: name too long") : 0;
}

/* Fault injection: what CR_FAULT=restart[:rank][:action] asks of this process (docs/protocol.md); "" when nothing. */
static const char *restart_fault(void)
{
	const char *text = getenv("CR_FAULT"), *mine = getenv("OMPI_COMM_WORLD_RANK");
	unsigned long rank = 0;
	char *end;

	if (!text || strncmp(text, "restart", 7) != 0)
		return "";
	text += 7;
	if (text[0] == ':' && text[1] >= '0' && text[1] <= '9') {
		rank = strtoul(text + 1, &end, 10);
		text = end;
	}
	if (!mine)
		mine = getenv("PMIX_RANK");
	if (strtoul(mine ? mine : "0", NULL, 10) != rank)
		return "";
	return *text == ':' ? text + 1 : "fail";
}

/* Everything has been checked, nothing has been changed. */
static int restart_blow(const char *fault, struct cr_err *err)
{
	if (strcmp(fault, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(fault, "stop") == 0)
		raise(SIGSTOP);
	else if (strcmp(fault, "cut") == 0)
		setenv(CR_ENV_SNAPC_SOCKET, "ompi-cr-nobody-listens-here", 1);
	else if (strcmp(fault, "fail") == 0)
		return cr_err_set(err, EIO, "fault injected in phase restart");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { "rank-file", required_argument, NULL, 'r' },
		{ "check", no_argument, NULL, 'c' }, { "quiet", no_argument, NULL, 'q' }, { NULL, 0, NULL, 0 },
	};
	const char *format = NULL;
	struct cr_err err = { "" };
	struct cr_image *img;
	char path[4096];
	int c, rc, check = 0, words = 2;

	while ((c = getopt_long(argc, argv, "hq", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("cr_restart (ompi-cr) " PACKAGE_VERSION);
			return 0;
		case 'r':
			format = optarg;
			break;
		case 'c':
			check = 1;
			break;
		case 'q':
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if ((format && optind != argc) || (!format && optind + 1 != argc)) {
		fputs(usage, stderr);
		return 2;
	}
	rc = format ? rank_path(format, path, sizeof(path), &err) : 0;
	if (!format)
		snprintf(path, sizeof(path), "%s", argv[optind]);
	if (!rc)
		rc = cr_restore_floor(path, &err);
	if (rc > 0)
		rc = cr_start(rc, NULL, &err);
	if (!rc)
		rc = cr_start_launcher_env(&err);
	if (!rc)
		words = dup(2); /* above the floor: descriptor 2 becomes the program's */
	if (!rc && strcmp(restart_fault(), "eio") == 0)
		rc = cr_err_set(&err, EIO, "%s: cannot read: %s", path, strerror(EIO));
	if (!rc)
		rc = cr_restore_check(path, &img, &err);
	if (!rc && check) {
		printf("%s: can be restarted here\n", path);
		return 0;
	}
	if (!rc)
		rc = restart_blow(restart_fault(), &err);
	if (!rc && cr_tree_is(img)) {
		rc = cr_tree_run(img, &err);
		if (rc >= 0)
			return rc;
	} else if (!rc) {
		rc = cr_restore_run(img, &err);
	}
	dprintf(words >= 0 ? words : 2, "cr_restart: %s\n", err.text[0] ? err.text : strerror(-rc));
	return 1;
}
