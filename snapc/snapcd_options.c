/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapcd's command line. */
#include "snapc/snapcd_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>

#include "libcr/tools/option.h"

static const char usage[] =
	"Usage: snapcd --job ID --mpirun-pid PID --socket NAME --tool-socket NAME --snapshot-dir DIR --ref NAME [OPTION]...\n"
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
	"Environment: CR_DEBUG=1..3, CR_FAULT=phase[:rank][:fail|kill|hang], OMPI_CR_TIMEOUT_<PHASE>=seconds.\n";

#define TO(field) CR_OPTION_TO(struct snapcd_options, field)
#define SETTING(field) TO(settings.field)

static const struct cr_option options[] = {
	CR_OPTION_TEXT("job", 0, SETTING(job_id)),
	CR_OPTION_NUMBER("mpirun-pid", 0, SETTING(mpirun_pid), 1, INT32_MAX, NULL),
	CR_OPTION_NUMBER("mpirun-fd", 0, SETTING(mpirun_fd), 0, INT32_MAX, NULL),
	CR_OPTION_TEXT("socket", 0, TO(agent_socket)),
	CR_OPTION_TEXT("tool-socket", 0, SETTING(tool_socket)),
	CR_OPTION_NUMBER("np", 0, SETTING(np), 0, 1 << 22, NULL),
	CR_OPTION_TEXT("snapshot-dir", 0, SETTING(snapshot_dir)),
	CR_OPTION_TEXT("ref", 0, SETTING(ref)),
	CR_OPTION_NUMBER("keep", 0, SETTING(keep), 0, INT32_MAX, NULL),
	CR_OPTION_TEXT("restarted-from", 0, SETTING(restarted_from)),
	CR_OPTION_NUMBER("seq", 0, SETTING(restarted_seq), 0, INT32_MAX, NULL),
	CR_OPTION_TEXT("log", 0, TO(log_file)),
	CR_OPTION_SET("node", 0, TO(node), true),
	CR_OPTION_SET("again", 0, TO(again), true),
	CR_OPTION_TEXT("auth", 0, TO(auth)),
	CR_OPTION_NUMBER("port", 0, TO(port), 0, 65535, NULL),
	CR_OPTION_TEXT("network", 0, TO(network)),
	CR_OPTION_END,
};
static const struct cr_command command_line = { "snapcd", usage, options, .one_dash = false };

int snapcd_options_parse(struct snapcd_options *o, int argc, char **argv)
{
	struct snapc_global_settings *s = &o->settings;
	int status;

	s->mpirun_fd = -1;
	s->restarted_seq = -1;
	o->auth = "auto";
	status = cr_command_parse(&command_line, argc, argv, o);
	if (status >= 0)
		return status ? -EINVAL : 1;
	if (optind != argc || !s->job_id || !s->mpirun_pid || !o->agent_socket || (!o->node && (!s->tool_socket || !s->snapshot_dir || !s->ref))) {
		cr_command_refuse(&command_line, "--job, --mpirun-pid, --socket, --tool-socket, --snapshot-dir and --ref are needed");
		return -EINVAL;
	}
	return 0;
}
