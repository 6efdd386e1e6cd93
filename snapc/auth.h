/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may connect as a node of a job: proofs of identity on TCP connections between daemons.
 *
 * A proof covers a text that binds it to the job's key, to both sides' nonces of this one connection, and to the side that makes it ("coordinator" is whoever
 * listens: the coordinator, or a node that takes others below it):
 *	"ompi-cr 2 node <key> <coordinator's nonce> <node's nonce> <instance> <number> <host> <addresses>"
 *	"ompi-cr 2 coordinator <key> <node's nonce> <coordinator's nonce>"
 * With munge the proof is a credential with that payload, of the job's owner or root, which nobody but the owner can decode.  Without, it is the
 * HMAC-SHA256 of the text under the job's secret, 32 random bytes in a file of mode 0600 in the snapshot directory, which all nodes share.
 * Which of the two holds is decided once, by the coordinator, and told to the nodes by mpirun: a connection cannot talk it down.
 */
#ifndef SNAPC_AUTH_H
#define SNAPC_AUTH_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include "libcr/cr_err.h"
#include "snapc/link_wire.h"

enum snapc_auth_method {
	SNAPC_AUTH_MUNGE = 1,
	SNAPC_AUTH_SECRET = 2,
};

#define SNAPC_AUTH_KEY_BYTES 33 /* 32 hex digits and a NUL */
#define SNAPC_AUTH_MUNGE_SOCKET_ENV "OMPI_CR_MUNGE_SOCKET"

struct snapc_auth {
	enum snapc_auth_method method;
	uid_t owner;
	char key[SNAPC_AUTH_KEY_BYTES];
	unsigned char secret[32];
	char secret_path[PATH_MAX]; /* "" with munge */
};

/* The parts of one connection's proofs. */
struct snapc_auth_scene {
	const unsigned char *global_nonce;
	const unsigned char *node_nonce;
	uint64_t instance;
	const char *host;
	uint32_t node;
	const char *addresses;
};

/**
 * snapc_auth_create - of a new job: draw its key, choose the method
 * @wanted: "munge", "secret", or "auto": munge when munged answers, and if not, the secret
 * @dir: directory that all nodes see, for the secret
 *
 * Return: 0, or -errno with words. snapc_auth_destroy() removes the secret's file.
 */
int snapc_auth_create(const char *wanted, const char *dir, struct snapc_auth *ret_auth, struct cr_err *err);
void snapc_auth_destroy(struct snapc_auth *auth);

/* On a node: @key and @method as mpirun told them, "munge" or "secret:<path>". */
int snapc_auth_join(const char *key, const char *method, struct snapc_auth *ret_auth, struct cr_err *err);

/* "munge", "secret:<path>": what snapc_auth_join() takes. */
void snapc_auth_method_text(const struct snapc_auth *auth, char *ret_text, size_t bytes);

/* Does munged answer? 0, or -errno with words. */
int snapc_auth_munge_probe(struct cr_err *err);

/**
 * snapc_auth_prove - make the proof of one side
 * @coordinator: which side
 * @ret_proof: SNAPC_LINK_CREDENTIAL_BYTES
 *
 * Context: may wait for munged, which answers in about a millisecond or not at all (libmunge gives up by itself).
 * Return: 0, or -errno with words.
 */
int snapc_auth_prove(const struct snapc_auth *auth, int coordinator, const struct snapc_auth_scene *scene, char *ret_proof, struct cr_err *err);

/* Judge the proof of the other side. Return: 0, or -EACCES with the reason. */
int snapc_auth_check(const struct snapc_auth *auth, int coordinator, const struct snapc_auth_scene *scene, const char *proof, struct cr_err *err);

/* Random bytes of the kernel. */
int snapc_auth_random(void *ret_bytes, size_t bytes, struct cr_err *err);

#endif
