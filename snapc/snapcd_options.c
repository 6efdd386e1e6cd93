/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapcd's command line. */
#include "snapc/snapcd_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static void snapcd_usage(FILE *out)
{
	fputs("Usage: snapcd --job ID --mpirun-pid PID --socket NAME --tool-socket NAME --snapshot-dir DIR --ref NAME [OPTION]...\n"
	      "Coordinate the checkpoints of one job. mpirun starts it; it is not meant to be started by hand.\n\n"
	      "  --job ID               name of the job for users\n"
	      "  --mpirun-pid PID       ends when this process ends\n"
	      "  --mpirun-fd FD         socket to the component in mpirun\n"
	      "  --socket NAME          abstract unix socket for the ranks\n"
	      "  --tool-socket NAME     abstract unix socket for ompi-checkpoint\n"
	      "  --np N                 number of ranks, 0: the ranks will say\n"
	      "  --snapshot-dir DIR     where snapshots go\n"
	      "  --ref NAME             name of the job's global snapshot\n"
	      "  --keep N               keep the N newest snapshots of the job, 0: all\n"
	      "  --restarted-from DIR   global snapshot that the job was brought back from\n"
	      "  --seq N                its sequence number\n"
	      "  --node                 play the local role alone, for the coordinator that OMPI_CR_COORDINATOR names; PID and FD are\n"
	      "                         orted's, and only --job, --mpirun-pid and --socket are needed\n"
	      "  --again                take the place of a coordinator that died with its supervisor, and whose line OMPI_CR_COORDINATOR has\n"
	      "  --auth WAY             how other nodes prove who they are: auto, munge or secret\n"
	      "  --port N               TCP port for other nodes, 0: any\n"
	      "  --network LIST         interfaces and networks that other nodes may use, as eth0,10.0.0.0/8,fd00::/8\n"
	      "  --log FILE             append messages to FILE instead of stderr\n"
	      "  --help, --version\n\n"
	      "Environment: CR_DEBUG=1..3, CR_FAULT=phase[:rank][:fail|kill|hang], OMPI_CR_TIMEOUT_<PHASE>=seconds.\n",
	      out);
}

static int snapcd_number(const char *text, const char *option, long long low, long long high, long long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (!*text || *end || errno || *ret < low || *ret > high) {
		fprintf(stderr, "snapcd: --%s %s: a number from %lld to %lld is needed\n", option, text, low, high);
		return -EINVAL;
	}
	return 0;
}

int snapcd_options_parse(struct snapcd_options *o, int argc, char **argv)
{
	enum { JOB = 1, PID, FD, SOCKET, TOOL, NP, DIR_, REF, KEEP, FROM, SEQ, LOG, NODE, AGAIN, AUTH, PORT, NETWORK, HELP, VERSION };
	static const struct option options[] = {
		{ "job", required_argument, NULL, JOB },
		{ "mpirun-pid", required_argument, NULL, PID },
		{ "mpirun-fd", required_argument, NULL, FD },
		{ "socket", required_argument, NULL, SOCKET },
		{ "tool-socket", required_argument, NULL, TOOL },
		{ "np", required_argument, NULL, NP },
		{ "snapshot-dir", required_argument, NULL, DIR_ },
		{ "ref", required_argument, NULL, REF },
		{ "keep", required_argument, NULL, KEEP },
		{ "restarted-from", required_argument, NULL, FROM },
		{ "seq", required_argument, NULL, SEQ },
		{ "log", required_argument, NULL, LOG },
		{ "node", no_argument, NULL, NODE },
		{ "again", no_argument, NULL, AGAIN },
		{ "auth", required_argument, NULL, AUTH },
		{ "port", required_argument, NULL, PORT },
		{ "network", required_argument, NULL, NETWORK },
		{ "help", no_argument, NULL, HELP },
		{ "version", no_argument, NULL, VERSION },
		{ NULL, 0, NULL, 0 },
	};
	struct snapc_global_settings *s = &o->settings;
	long long number;
	int option, rc = 0;

	s->mpirun_fd = -1;
	s->restarted_seq = -1;
	o->auth = "auto";
	while (rc == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case JOB:
			s->job_id = optarg;
			break;
		case PID:
			rc = snapcd_number(optarg, "mpirun-pid", 1, INT32_MAX, &number);
			s->mpirun_pid = (pid_t)number;
			break;
		case FD:
			rc = snapcd_number(optarg, "mpirun-fd", 0, INT32_MAX, &number);
			s->mpirun_fd = (int)number;
			break;
		case SOCKET:
			o->agent_socket = optarg;
			break;
		case TOOL:
			s->tool_socket = optarg;
			break;
		case NP:
			rc = snapcd_number(optarg, "np", 0, 1 << 22, &number);
			s->np = (uint32_t)number;
			break;
		case DIR_:
			s->snapshot_dir = optarg;
			break;
		case REF:
			s->ref = optarg;
			break;
		case KEEP:
			rc = snapcd_number(optarg, "keep", 0, INT32_MAX, &number);
			s->keep = (uint32_t)number;
			break;
		case FROM:
			s->restarted_from = optarg;
			break;
		case SEQ:
			rc = snapcd_number(optarg, "seq", 0, INT32_MAX, &number);
			s->restarted_seq = number;
			break;
		case LOG:
			o->log_file = optarg;
			break;
		case NODE:
			o->node = true;
			break;
		case AUTH:
			o->auth = optarg;
			break;
		case PORT:
			rc = snapcd_number(optarg, "port", 0, 65535, &number);
			o->port = (unsigned)number;
			break;
		case NETWORK:
			o->network = optarg;
			break;
		case AGAIN:
			o->again = true;
			break;
		case HELP:
			snapcd_usage(stdout);
			return 1;
		case VERSION:
			printf("snapcd (ompi-cr) %s\n", PACKAGE_VERSION);
			return 1;
		default:
			rc = -EINVAL;
		}
	}
	if (rc == 0 && (optind != argc || !s->job_id || !s->mpirun_pid || !o->agent_socket ||
			(!o->node && (!s->tool_socket || !s->snapshot_dir || !s->ref)))) {
		fputs("snapcd: --job, --mpirun-pid, --socket, --tool-socket, --snapshot-dir and --ref are needed; see --help\n", stderr);
		rc = -EINVAL;
	}
	return rc;
}
