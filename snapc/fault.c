/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Phase names, deadlines, CR_FAULT. */
#include "snapc/fault.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SILENCE_SECONDS 60u

static const struct {
	const char *name;
	uint32_t seconds;
	const char *setting;
} fault_phases[SNAPC_PHASE_COUNT] = {
#define PHASE(id, name_, seconds_, setting_) [SNAPC_PHASE_##id] = { name_, seconds_, setting_ },
#include "snapc/phases.def"
#undef PHASE
};

const char *snapc_phase_name(enum snapc_phase_id id)
{
	return id < SNAPC_PHASE_COUNT ? fault_phases[id].name : "?";
}

uint32_t snapc_phase_seconds(enum snapc_phase_id id)
{
	const char *text = getenv(fault_phases[id].setting);
	char *end;
	long seconds;

	if (!text || !*text)
		return fault_phases[id].seconds;
	seconds = strtol(text, &end, 10);
	return *end || seconds < 1 || seconds > 1000000 ? fault_phases[id].seconds : (uint32_t)seconds;
}

uint32_t snapc_silence_seconds(void)
{
	const char *text = getenv("OMPI_CR_TIMEOUT_SILENCE");
	char *end;
	long seconds = text && *text ? strtol(text, &end, 10) : 0;

	return seconds < 1 || seconds > 1000000 || *end ? SILENCE_SECONDS : (uint32_t)seconds;
}

static const char *const fault_actions[] = {
	[SNAPC_FAULT_FAIL] = "fail", [SNAPC_FAULT_KILL] = "kill", [SNAPC_FAULT_HANG] = "hang",     [SNAPC_FAULT_STOP] = "stop",
	[SNAPC_FAULT_CUT] = "cut",   [SNAPC_FAULT_ENOSPC] = "enospc", [SNAPC_FAULT_EIO] = "eio",
};

#define DO(action) (1u << SNAPC_FAULT_##action)
#define IN(phase) (1u << SNAPC_PHASE_##phase)
#define ANY_PHASE ((1u << SNAPC_PHASE_COUNT) - 1)

/* What can be done to whom. Actions on what is written, only in the phases in which the target writes. */
static const struct {
	const char *name;
	uint32_t actions;
	uint32_t disk_phases;
} fault_allowed[] = {
	[SNAPC_FAULT_RANK] = { "rank", DO(FAIL) | DO(KILL) | DO(HANG) | DO(STOP) | DO(CUT) | DO(ENOSPC) | DO(EIO), IN(DUMP) },
	[SNAPC_FAULT_DAEMON] = { "daemon", DO(KILL) | DO(STOP) | DO(CUT), 0 },
	[SNAPC_FAULT_GLOBAL] = { "global", DO(KILL) | DO(STOP) | DO(CUT) | DO(ENOSPC) | DO(EIO), IN(REQUEST) | IN(COMMIT) },
	[SNAPC_FAULT_MPIRUN] = { "mpirun", DO(KILL) | DO(STOP) | DO(CUT), 0 },
	[SNAPC_FAULT_TOOL] = { "tool", DO(KILL) | DO(STOP) | DO(CUT), 0 },
};

#define DISK_ACTIONS (DO(ENOSPC) | DO(EIO))

static int fault_find(const char *word, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (names[i] && !strcmp(word, names[i]))
			return (int)i;
	return -1;
}

/* A word behind the phase: a target, a rank or an action. */
static int fault_word(const char *word, struct snapc_fault *fault)
{
	char *end;
	unsigned long rank;
	int action;

	if (*word >= '0' && *word <= '9') {
		rank = strtoul(word, &end, 10);
		if (*end || rank > INT32_MAX)
			return -EINVAL;
		fault->rank = (uint32_t)rank;
		return 0;
	}
	for (size_t i = 0; i < sizeof(fault_allowed) / sizeof(fault_allowed[0]); i++)
		if (!strcmp(word, fault_allowed[i].name)) {
			fault->target = (enum snapc_fault_target)i;
			return 0;
		}
	action = fault_find(word, fault_actions, sizeof(fault_actions) / sizeof(fault_actions[0]));
	if (action < 0)
		return -EINVAL;
	fault->action = (enum snapc_fault_action)action;
	return 0;
}

static int fault_words(char *text, struct snapc_fault *fault)
{
	char *word, *rest;
	int id = 0;

	word = strtok_r(text, ":", &rest);
	if (word && !strcmp(word, "restart")) {
		fault->action = SNAPC_FAULT_NONE;
		return 0;
	}
	while (word && id < SNAPC_PHASE_COUNT && strcmp(word, fault_phases[id].name))
		id++;
	if (!word || id == SNAPC_PHASE_COUNT)
		return -EINVAL;
	fault->phase = (enum snapc_phase_id)id;
	while ((word = strtok_r(NULL, ":", &rest)))
		if (fault_word(word, fault) < 0)
			return -EINVAL;
	if (!(fault_allowed[fault->target].actions & 1u << fault->action))
		return -ENOTSUP;
	if ((1u << fault->action & DISK_ACTIONS) && !(fault_allowed[fault->target].disk_phases & 1u << fault->phase))
		return -ENOTSUP;
	return 0;
}

int snapc_fault_parse(const char *text, struct snapc_fault *ret_fault, struct cr_err *err)
{
	struct snapc_fault fault = { .action = SNAPC_FAULT_FAIL };
	char copy[64];
	int rc;

	if (!text || !*text) {
		*ret_fault = (struct snapc_fault){ .action = SNAPC_FAULT_NONE };
		return 0;
	}
	rc = strlen(text) < sizeof(copy) ? 0 : -EINVAL;
	if (rc == 0) {
		memcpy(copy, text, strlen(text) + 1);
		rc = fault_words(copy, &fault);
	}
	if (rc == -ENOTSUP)
		return cr_err_set(err, EINVAL, "fault \"%.60s\": this cannot happen to %s in this phase (docs/protocol.md, \"Fault injection\")", text,
				  fault_allowed[fault.target].name);
	if (rc < 0)
		return cr_err_set(err, EINVAL, "fault \"%.60s\" is not phase[:target][:rank][:action] with words of docs/protocol.md", text);
	*ret_fault = fault;
	return 0;
}

int snapc_fault_disk(const struct snapc_fault *fault, enum snapc_fault_target target, enum snapc_phase_id phase)
{
	if (fault->target != target || fault->phase != phase)
		return 0;
	return fault->action == SNAPC_FAULT_ENOSPC ? ENOSPC : fault->action == SNAPC_FAULT_EIO ? EIO : 0;
}

void snapc_fault_cut_network(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		int fd = atoi(e->d_name), domain = 0, listens = 1;
		socklen_t bytes = sizeof(int);

		if (e->d_name[0] == '.' || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) < 0 || (domain != AF_INET && domain != AF_INET6))
			continue;
		bytes = sizeof(int);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0 && !listens)
			shutdown(fd, SHUT_RDWR);
	}
	if (d)
		closedir(d);
}
