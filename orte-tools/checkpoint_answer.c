/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The coordinator's lines, in the words and with the exit statuses that users of the original know. */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "orte-tools/checkpoint_dialogue.h"
#include "orte-tools/tool_json.h"
#include "snapc/line.h"

/* The names of the states that users of the original know. */
static const char *tool_state(const char *phase)
{
	static const char *const states[][2] = {
		{ "request", "Requested" },      { "quiesce", "Pending" },
		{ "stop", "Stopped" },           { "drain", "Draining" },
		{ "freeze", "Frozen" },          { "dump", "Running" },
		{ "running", "Continuing/Recovered" }, { "commit", "Locally Finished" },
		{ "established", "Checkpoint Established" }, { "terminating", "Terminating" },
		{ "stopping", "Stopping" },
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (!strcmp(states[i][0], phase))
			return states[i][1];
	return NULL;
}

static void tool_status(struct tool *t, const char *phase, const char *state, double at_s, const char *name)
{
	bool prints = t->options.status && !t->options.quiet;

	/* The job runs again while its memory is written: that is what the bar is about. */
	if (prints || strcmp(phase, "running") != 0)
		checkpoint_progress_end(&t->progress);
	if (prints)
		fprintf(t->words, "[%s:%05d] [%6.2f / %6.2f] %25s - %s\n", t->host, (int)getpid(), at_s - t->last_s, at_s, state, name);
	t->last_s = at_s;
}

static void tool_reason(struct tool *t, const struct snapc_words *words, FILE *json)
{
	const char *rank = snapc_words_get(words, "rank", "?"), *text = snapc_words_get(words, "text", "");

	if (json) {
		fputs(t->printed_reasons ? ",{\"rank\":" : "{\"rank\":", json);
		fprintf(json, "%lld,\"text\":", snapc_words_number(words, "rank", INT32_MAX, -1));
		tool_json_string(json, text);
		fputc('}', json);
	} else {
		fprintf(t->words, "ompi-checkpoint: rank %s: %s\n", rank, text);
	}
	t->printed_reasons = true;
}

static int tool_error(const struct tool *t, const struct snapc_words *words, const char *reasons)
{
	long long code = snapc_words_number(words, "errno", 4095, EIO);
	const char *text = snapc_words_get(words, "text", "no reason was given");

	if (t->options.json) {
		fprintf(t->out, "{\"ok\":false,\"errno\":%lld,\"error\":", code);
		tool_json_string(t->out, text);
		fprintf(t->out, ",\"reasons\":[%s]}\n", reasons);
	} else {
		fprintf(t->words, "ompi-checkpoint: %s%s\n", text,
			t->options.check ? "" : t->options.interval >= 0 ? "; the interval is what it was" : "; the job was not saved");
	}
	return code == EAGAIN || code == EBUSY ? TOOL_AGAIN : TOOL_FAILED;
}

static void tool_ok_json(const struct tool *t, const struct snapc_words *words)
{
	static const char *const numbers[] = { "seq", "np", "file_bytes", "messages", "message_bytes", "stopped_ns", "total_ns", "interval" };

	fprintf(t->out, "{\"ok\":true");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (snapc_words_get(words, numbers[i], NULL))
			fprintf(t->out, ",\"%s\":%lld", numbers[i], snapc_words_number(words, numbers[i], INT64_MAX, 0));
	if (!t->options.check && t->options.interval < 0) {
		fputs(",\"ref\":", t->out);
		tool_json_string(t->out, snapc_words_get(words, "ref", ""));
		fputs(",\"dir\":", t->out);
		tool_json_string(t->out, snapc_words_get(words, "dir", ""));
	}
	fputs("}\n", t->out);
}

static void tool_ok_verbose(const struct tool *t, const struct snapc_words *words)
{
	long long advice = snapc_words_number(words, "advice_s", INT64_MAX, 0);

	fprintf(t->words, "[%s:%05d] %lld bytes in %s/%lld; stopped %.3f ms; %lld messages (%lld bytes) were in flight\n", t->host, (int)getpid(),
		snapc_words_number(words, "file_bytes", INT64_MAX, 0), snapc_words_get(words, "dir", ""), snapc_words_number(words, "seq", INT32_MAX, -1),
		(double)snapc_words_number(words, "stopped_ns", INT64_MAX, 0) / 1e6, snapc_words_number(words, "messages", INT64_MAX, 0),
		snapc_words_number(words, "message_bytes", INT64_MAX, 0));
	if (advice)
		fprintf(t->words, "[%s:%05d] at this cost a checkpoint every %lld s loses least time (Daly; see the settings interval and mtbf)\n",
			t->host, (int)getpid(), advice);
}

static int tool_ok(const struct tool *t, const struct snapc_words *words)
{
	const struct checkpoint_options *o = &t->options;

	if (o->json) {
		tool_ok_json(t, words);
	} else if (o->quiet) {
		return TOOL_OK;
	} else if (o->interval > 0) {
		fprintf(t->out, "The job is checkpointed every %ld s.\n", o->interval);
	} else if (o->interval == 0) {
		fprintf(t->out, "The job is checkpointed when it is asked for, not by itself.\n");
	} else if (o->check) {
		fprintf(t->out, "The job can be checkpointed: %s ranks.\n", snapc_words_get(words, "np", "?"));
	} else {
		if (o->verbose > 0)
			tool_ok_verbose(t, words);
		fprintf(t->out, "Snapshot Ref.: %3lld %s\n", snapc_words_number(words, "seq", INT32_MAX, -1), snapc_words_get(words, "ref", ""));
	}
	return TOOL_OK;
}

/* --nowait: the ranks are being saved; the rest is the coordinator's. */
static int tool_leave(const struct tool *t, const struct snapc_words *words)
{
	if (!t->options.quiet)
		fprintf(t->words, "ompi-checkpoint: not waiting; the snapshot is not valid before `ompi-snapshot list` shows it\n");
	return tool_ok(t, words);
}

/* Return: -1: go on; otherwise the exit status. */
int tool_line(struct tool *t, char *text, FILE *reasons_json, char **reasons)
{
	struct snapc_words words;
	const char *phase, *state;
	char name[300] = "...";
	double at_s;

	if (snapc_line_parse(text, &words) < 0) {
		fprintf(stderr, "ompi-checkpoint: the coordinator's answer is not understood: install the same ompi-cr everywhere\n");
		return TOOL_FAILED;
	}
	at_s = (double)snapc_words_number(&words, "ns", INT64_MAX, 0) / 1e9;
	if (!strcmp(words.word, "phase")) {
		phase = snapc_words_get(&words, "name", "");
		snprintf(t->phase, sizeof(t->phase), "%s", phase);
		t->limit_s = (long)snapc_words_number(&words, "limit_s", 10000000, t->limit_s);
		state = tool_state(phase);
		if (!strcmp(phase, "established"))
			snprintf(name, sizeof(name), "%s", snapc_words_get(&words, "ref", "..."));
		if (state)
			tool_status(t, phase, state, at_s, name);
		if (!strcmp(phase, "dump"))
			checkpoint_progress_begin(&t->progress, &words, t->options.quiet || t->options.nowait);
		return t->options.nowait && !strcmp(phase, "freeze") ? tool_leave(t, &words) : -1;
	}
	if (!strcmp(words.word, "reason")) {
		tool_reason(t, &words, reasons_json);
		return -1;
	}
	if (!strcmp(words.word, "error")) {
		if (reasons_json)
			fflush(reasons_json);
		tool_status(t, "error", "Error", t->last_s, "...");
		return tool_error(t, &words, reasons_json ? *reasons : "");
	}
	if (!strcmp(words.word, "ok"))
		return tool_ok(t, &words);
	return -1; /* a word of a later version */
}
