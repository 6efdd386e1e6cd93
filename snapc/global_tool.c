/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tools: one request per connection, lines in both directions (docs/protocol.md, "Tool and coordinator"). */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapc/global_private.h"
#include "snapc/log.h"

void snapc_tool_destroy(struct snapc_tool *tool)
{
	struct snapc_tool **at = &tool->global->tools;

	snapc_global_tool_gone(tool->global, tool);
	while (*at != tool)
		at = &(*at)->next;
	*at = tool->next;
	bufferevent_free(tool->stream);
	free(tool);
}

void snapc_tool_send(struct snapc_tool *tool, struct snapc_line *line)
{
	snapc_line_end(line);
	if (!tool->closing)
		bufferevent_write(tool->stream, line->text, line->used);
}

void snapc_tool_end(struct snapc_tool *tool, struct snapc_line *line)
{
	snapc_tool_send(tool, line);
	tool->closing = true;
}

void snapc_tool_error(struct snapc_tool *tool, int code, const char *text)
{
	struct snapc_line line;

	snapc_line_begin(&line, "error");
	snapc_line_add(&line, "errno", "%d", code < 0 ? -code : code);
	snapc_line_add(&line, "text", "%s", text);
	snapc_tool_end(tool, &line);
}

static void tool_status(struct snapc_tool *tool)
{
	const struct snapc_global *global = tool->global;
	uint32_t np = snapc_global_size(global), present = 0, ready = 0;
	struct snapc_line line;

	for (uint32_t r = 0; r < global->nmembers && r < np; r++) {
		present += global->members[r].present;
		ready += global->members[r].present && global->members[r].facts.mpi == SNAPC_MPI_READY;
	}
	snapc_line_begin(&line, "ok");
	snapc_line_add(&line, "job", "%s", global->settings->job_id);
	snapc_line_add(&line, "np", "%u", np);
	snapc_line_add(&line, "present", "%u", present);
	snapc_line_add(&line, "ready", "%u", ready);
	snapc_line_add(&line, "running", "%d", global->checkpoint != NULL);
	snapc_line_add(&line, "checkpoints", "%u", global->checkpoints);
	snapc_line_add(&line, "interval", "%u", global->interval);
	if (snapc_global_interval_left(global) >= 0)
		snapc_line_add(&line, "next_s", "%ld", snapc_global_interval_left(global));
	if (global->settings->count)
		global->settings->count(global->settings->arg, &line);
	snapc_line_add(&line, "ref", "%s", global->settings->ref);
	snapc_line_add(&line, "snapshot_dir", "%s", global->settings->snapshot_dir);
	snapc_tool_end(tool, &line);
}

static void tool_interval(struct snapc_tool *tool, const struct snapc_words *words)
{
	long long seconds = snapc_words_number(words, "seconds", SNAPC_GLOBAL_INTERVAL_MOST, -1);
	struct snapc_line line;

	if (seconds < 0) {
		snapc_tool_error(tool, EINVAL, "the interval is not a number of seconds that is allowed");
		return;
	}
	snapc_global_interval_set(tool->global, (uint32_t)seconds);
	snapc_log(SNAPC_LOG_INFO, "interval between checkpoints: %lld s, set by process %d", seconds, (int)tool->pid);
	snapc_line_begin(&line, "ok");
	snapc_line_add(&line, "interval", "%lld", seconds);
	snapc_tool_end(tool, &line);
}

static void tool_checkpoint(struct snapc_tool *tool, const struct snapc_words *words, bool check)
{
	struct snapc_checkpoint_options options = {
		.check = check,
		.term = snapc_words_number(words, "term", 1, 0) != 0,
		.stop = snapc_words_number(words, "stop", 1, 0) != 0,
		.nosync = snapc_words_number(words, "nosync", 1, 0) != 0,
		.nowait = snapc_words_number(words, "nowait", 1, 0) != 0,
		.timeout_seconds = (uint32_t)snapc_words_number(words, "timeout", 1000000, 0),
	};
	const char *fault = snapc_words_get(words, "fault", getenv("CR_FAULT"));
	struct cr_err err = { "" };
	int rc;

	if (options.term && options.stop) {
		snapc_tool_error(tool, EINVAL, "a job cannot be ended and stopped");
		return;
	}
	rc = check ? 0 : snapc_fault_parse(fault, &options.fault, &err);
	if (rc == 0)
		rc = snapc_global_request(tool->global, tool, &options, &err);
	snapc_log(SNAPC_LOG_INFO, "%s asked for by %s%s%s%s", check ? "check" : "checkpoint", tool->who, options.term ? ", --term" : options.stop ? ", --stop" : "",
		  rc < 0 ? ": refused: " : "", rc < 0 ? err.text : "");
	if (rc < 0)
		snapc_tool_error(tool, rc, err.text);
}

static void tool_request(struct snapc_tool *tool, char *text)
{
	struct snapc_words words;

	if (snapc_line_parse(text, &words) < 0)
		snapc_tool_error(tool, EPROTO, "the request is not a line of this protocol");
	else if (snapc_words_number(&words, "version", 1, -1) != 1)
		snapc_tool_error(tool, EPROTO, "the tool speaks another version of the protocol: install the same ompi-cr everywhere");
	else if (!strcmp(words.word, "abort") && tool->global->client == tool)
		snapc_checkpoint_abort(tool->global->checkpoint, "the tool was interrupted");
	else if (tool->global->client == tool)
		snapc_log(SNAPC_LOG_DEBUG, "second request on the connection of %s ignored", tool->who);
	else if (!strcmp(words.word, "checkpoint"))
		tool_checkpoint(tool, &words, false);
	else if (!strcmp(words.word, "check"))
		tool_checkpoint(tool, &words, true);
	else if (!strcmp(words.word, "status"))
		tool_status(tool);
	else if (!strcmp(words.word, "interval"))
		tool_interval(tool, &words);
	else
		snapc_tool_error(tool, EPROTO, "the request is not known");
}

static void tool_read(struct bufferevent *stream, void *arg)
{
	struct snapc_tool *tool = arg;
	struct evbuffer *in = bufferevent_get_input(stream);
	size_t length;
	char *line;

	while (!tool->closing && (line = evbuffer_readln(in, &length, EVBUFFER_EOL_LF))) {
		tool_request(tool, line);
		free(line);
	}
	if (!tool->closing && evbuffer_get_length(in) >= SNAPC_LINE_BYTES)
		snapc_tool_error(tool, EMSGSIZE, "the request is too long");
	if (tool->closing)
		evbuffer_drain(in, evbuffer_get_length(in));
	if (tool->closing && !evbuffer_get_length(bufferevent_get_output(stream)))
		snapc_tool_destroy(tool);
}

static void tool_written(struct bufferevent *stream, void *arg)
{
	struct snapc_tool *tool = arg;

	(void)stream;
	if (tool->closing)
		snapc_tool_destroy(tool);
}

static void tool_event(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		snapc_tool_destroy(arg);
}

static void tool_serve(struct snapc_global *global, struct bufferevent *stream, pid_t pid, const char *who)
{
	struct snapc_tool *tool = calloc(1, sizeof(*tool));

	if (!tool) {
		bufferevent_free(stream);
		return;
	}
	tool->stream = stream;
	tool->global = global;
	tool->pid = pid;
	snprintf(tool->who, sizeof(tool->who), "%s", who);
	tool->next = global->tools;
	global->tools = tool;
	bufferevent_setcb(tool->stream, tool_read, tool_written, tool_event, tool);
	bufferevent_setwatermark(tool->stream, EV_READ, 0, SNAPC_LINE_BYTES);
	bufferevent_enable(tool->stream, EV_READ | EV_WRITE);
}

void snapc_tool_accept(void *arg, int fd, const struct ucred *peer)
{
	struct snapc_global *global = arg;
	struct bufferevent *stream = bufferevent_socket_new(global->base, fd, BEV_OPT_CLOSE_ON_FREE);
	char who[32];

	if (!stream) {
		close(fd);
		return;
	}
	snprintf(who, sizeof(who), "process %d", (int)peer->pid);
	tool_serve(global, stream, peer->pid, who);
}

void snapc_global_tool_adopt(struct snapc_global *global, struct bufferevent *stream, const char *who)
{
	char text[352];

	snprintf(text, sizeof(text), "a tool on %s", who);
	tool_serve(global, stream, 0, text);
}
