/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a tool to a coordinator on another node. */
#include "orte-tools/tool_remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "snapc/auth.h"
#include "snapc/line.h"
#include "snapc/link_address.h"
#include "snapc/link_wire.h"
#include "snapc/settings.h"

/* For each address, and for each step of the proofs. */
#define REMOTE_PATIENCE_SECONDS 10

bool tool_remote_is_host(const struct snapc_registry_entry *entry, const char *host)
{
	size_t n = strcspn(entry->host, ".");

	return !strcmp(entry->host, host) || (strlen(host) == n && !strncmp(entry->host, host, n));
}

struct remote_search {
	const char *host;
	int (*visit)(void *arg, const struct snapc_registry_entry *entry);
	void *arg;
};

static int remote_visit(void *arg, const struct snapc_registry_entry *entry)
{
	const struct remote_search *search = arg;

	return tool_remote_is_host(entry, search->host) ? search->visit(search->arg, entry) : 0;
}

int tool_remote_find(const char *host, int (*visit)(void *arg, const struct snapc_registry_entry *entry), void *arg, char *ret_dir, struct cr_err *err)
{
	struct remote_search search = { .host = host, .visit = visit, .arg = arg };
	struct snapc_settings *settings = NULL;
	int rc = snapc_settings_load(&settings, err);

	if (rc == 0 && snapc_settings_export(settings) < 0)
		rc = cr_err_set(err, ENOMEM, "no memory for the settings");
	free(settings);
	return rc < 0 ? rc : snapc_registry_scan_far(remote_visit, &search, ret_dir, err);
}

/* --- frames, one at a time --- */

static int remote_read(int fd, void *buf, size_t bytes, struct cr_err *err)
{
	for (size_t have = 0; have < bytes;) {
		ssize_t n = read(fd, (char *)buf + have, bytes - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return cr_err_set(err, ETIMEDOUT, "it does not answer within %d s", REMOTE_PATIENCE_SECONDS);
		if (n <= 0)
			return cr_err_set(err, n < 0 ? errno : ECONNRESET, "%s", n < 0 ? strerror(errno) : "it has closed the connection");
		have += (size_t)n;
	}
	return 0;
}

/* The frame that may come at this point, or REFUSED, which is an error. @payload: of @room bytes */
static int remote_receive(int fd, enum snapc_link_stage stage, uint32_t kind, void *ret_payload, size_t room, struct cr_err *err)
{
	static unsigned char buf[sizeof(struct snapc_link_frame) + sizeof(struct snapc_link_redirect) + sizeof(struct snapc_link_refused)];
	struct snapc_link_msg msg;
	const void *payload;
	int64_t taken;
	size_t want;
	int rc;

	rc = remote_read(fd, buf, sizeof(struct snapc_link_frame), err);
	if (rc < 0)
		return rc;
	taken = snapc_link_parse(buf, sizeof(struct snapc_link_frame), stage, &msg, &payload, err);
	if (taken < 0)
		return (int)taken;
	want = snapc_link_expected(buf, sizeof(struct snapc_link_frame));
	if (want > sizeof(buf))
		return cr_err_set(err, EMSGSIZE, "its answer has %zu bytes", want);
	rc = remote_read(fd, buf + sizeof(struct snapc_link_frame), want - sizeof(struct snapc_link_frame), err);
	if (rc < 0)
		return rc;
	taken = snapc_link_parse(buf, want, stage, &msg, &payload, err);
	if (taken <= 0)
		return taken < 0 ? (int)taken : cr_err_set(err, EPROTO, "its answer is not complete");
	if (msg.kind == SNAPC_LINK_REFUSED)
		return cr_err_set(err, EACCES, "it refuses: %s", ((const struct snapc_link_refused *)payload)->text);
	if (msg.kind != kind || msg.bytes > room)
		return cr_err_set(err, EPROTO, "it takes this tool for a node: install the same ompi-cr everywhere");
	memcpy(ret_payload, payload, msg.bytes);
	return 0;
}

static int remote_prove(int fd, const struct snapc_auth *auth, struct cr_err *err)
{
	static struct snapc_link_proof proof;
	struct snapc_link_challenge challenge;
	struct snapc_link_welcome welcome;
	const struct snapc_link_msg msg = { .kind = SNAPC_LINK_PROOF, .rank = -1, .bytes = sizeof(proof) };
	struct snapc_auth_scene scene = { .global_nonce = challenge.nonce, .node_nonce = proof.nonce, .host = proof.host, .node = SNAPC_LINK_TOOL,
					  .addresses = proof.addresses };
	struct {
		struct snapc_link_frame frame;
		struct snapc_link_proof proof;
	} out;
	int rc;

	rc = remote_receive(fd, SNAPC_LINK_AT_NODE_FIRST, SNAPC_LINK_CHALLENGE, &challenge, sizeof(challenge), err);
	if (rc == 0 && challenge.method != auth->method)
		rc = cr_err_set(err, EPROTO, "it asks for another way of authentication than the job has");
	memset(&proof, 0, sizeof(proof));
	proof.node = SNAPC_LINK_TOOL;
	if (gethostname(proof.host, sizeof(proof.host) - 1) < 0)
		proof.host[0] = 0;
	if (rc == 0)
		rc = snapc_auth_random(proof.nonce, sizeof(proof.nonce), err);
	if (rc == 0)
		rc = snapc_auth_prove(auth, 0, &scene, proof.credential, err);
	if (rc < 0)
		return rc;
	snapc_link_frame_make(&msg, &out.frame);
	out.proof = proof;
	if (send(fd, &out, sizeof(out), MSG_NOSIGNAL) != (ssize_t)sizeof(out))
		return cr_err_set(err, EPIPE, "it has closed the connection");
	rc = remote_receive(fd, SNAPC_LINK_AT_NODE_PROVEN, SNAPC_LINK_WELCOME, &welcome, sizeof(welcome), err);
	return rc < 0 ? rc : snapc_auth_check(auth, 1, &scene, welcome.credential, err);
}

static void remote_patience(int fd, long seconds)
{
	const struct timeval tv = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static int remote_try(const struct sockaddr_storage *address, int bytes, const struct snapc_auth *auth, int *ret_fd, struct cr_err *err)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return cr_err_set(err, errno, "no socket: %s", strerror(errno));
	remote_patience(fd, REMOTE_PATIENCE_SECONDS);
	if (connect(fd, (const struct sockaddr *)address, (socklen_t)bytes) < 0)
		rc = cr_err_set(err, errno, "%s", errno == EINPROGRESS ? "it cannot be reached" : strerror(errno));
	else
		rc = remote_prove(fd, auth, err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	remote_patience(fd, 0);
	*ret_fd = fd;
	return 0;
}

int tool_remote_connect(const struct snapc_registry_entry *entry, int *ret_fd, struct cr_err *err)
{
	static char text[SNAPC_LINE_BYTES];
	char one[SNAPC_LINK_ADDRESS_BYTES] = "";
	struct sockaddr_storage address;
	struct snapc_words words;
	static struct snapc_auth auth;
	const char *list;
	struct cr_err why = { "" };
	int bytes, rc;

	snprintf(text, sizeof(text), "%s", entry->coordinator);
	if (snapc_line_parse(text, &words) < 0 || snapc_words_number(&words, "version", 1, 0) != 1)
		return cr_err_set(err, EINVAL, "the contact file of mpirun %d on %s is damaged", (int)entry->mpirun_pid, entry->host);
	rc = snapc_auth_join(snapc_words_get(&words, "key", ""), snapc_words_get(&words, "auth", ""), &auth, err);
	list = snapc_words_get(&words, "addresses", "");
	if (rc < 0)
		return rc;
	rc = cr_err_set(&why, ENOENT, "its contact file names no address");
	while ((bytes = snapc_link_address_next(&list, &address)) > 0) {
		snapc_link_address_text((const struct sockaddr *)&address, bytes, one);
		rc = remote_try(&address, bytes, &auth, ret_fd, &why);
		if (rc == 0 || rc == -EACCES)
			break;
	}
	memset(&auth, 0, sizeof(auth));
	if (rc < 0)
		cr_err_set(err, -rc, "the coordinator of mpirun %d on %s (%s): %.300s", (int)entry->mpirun_pid, entry->host, one, why.text);
	return rc;
}
