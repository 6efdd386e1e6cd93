/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Phase names, deadlines, CR_FAULT. */
#include "snapc/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static int fault_action(const char *word, struct snapc_fault *fault)
{
	if (!strcmp(word, "fail"))
		fault->action = SNAPC_FAULT_FAIL;
	else if (!strcmp(word, "kill"))
		fault->action = SNAPC_FAULT_KILL;
	else if (!strcmp(word, "hang"))
		fault->action = SNAPC_FAULT_HANG;
	else
		return -EINVAL;
	return 0;
}

/* A word behind the phase: a rank or an action. */
static int fault_word(const char *word, struct snapc_fault *fault)
{
	char *end;
	unsigned long rank;

	if (*word >= '0' && *word <= '9') {
		rank = strtoul(word, &end, 10);
		if (*end || rank > INT32_MAX)
			return -EINVAL;
		fault->rank = (uint32_t)rank;
		return 0;
	}
	return fault_action(word, fault);
}

int snapc_fault_parse(const char *text, struct snapc_fault *ret_fault, struct cr_err *err)
{
	struct snapc_fault fault = { .action = SNAPC_FAULT_FAIL };
	char copy[64], *word, *rest;
	int id = 0;

	if (!text || !*text) {
		*ret_fault = (struct snapc_fault){ .action = SNAPC_FAULT_NONE };
		return 0;
	}
	if (strlen(text) >= sizeof(copy))
		goto bad;
	memcpy(copy, text, strlen(text) + 1);
	word = strtok_r(copy, ":", &rest);
	while (word && id < SNAPC_PHASE_COUNT && strcmp(word, fault_phases[id].name))
		id++;
	if (!word || id == SNAPC_PHASE_COUNT)
		goto bad;
	fault.phase = (enum snapc_phase_id)id;
	while ((word = strtok_r(NULL, ":", &rest)))
		if (fault_word(word, &fault) < 0)
			goto bad;
	*ret_fault = fault;
	return 0;
bad:
	return cr_err_set(err, EINVAL, "fault \"%.60s\" is not phase[:rank][:fail|kill|hang] with a phase of docs/protocol.md", text);
}
