/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Proofs by munge credential or by the job's secret. */
#include "snapc/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_MUNGE
#include <munge.h>
#endif

#define AUTH_TEXT_BYTES (768 + SNAPC_LINK_ADDRESSES_BYTES)
#define AUTH_TTL_SECONDS 60

static void auth_hex(const unsigned char *bytes, size_t n, char *ret_text)
{
	for (size_t i = 0; i < n; i++)
		sprintf(ret_text + 2 * i, "%02x", bytes[i]);
	ret_text[2 * n] = 0;
}

/* What a proof covers. */
static void auth_text(const struct snapc_auth *auth, int coordinator, const struct snapc_auth_scene *s, char *text)
{
	char global[2 * SNAPC_LINK_NONCE_BYTES + 1], node[2 * SNAPC_LINK_NONCE_BYTES + 1];

	auth_hex(s->global_nonce, SNAPC_LINK_NONCE_BYTES, global);
	auth_hex(s->node_nonce, SNAPC_LINK_NONCE_BYTES, node);
	if (coordinator)
		snprintf(text, AUTH_TEXT_BYTES, "ompi-cr 2 coordinator %s %s %s", auth->key, node, global);
	else
		snprintf(text, AUTH_TEXT_BYTES, "ompi-cr 2 node %s %s %s %016" PRIx64 " %08" PRIx32 " %s %s", auth->key, global, node, s->instance,
			 s->node, s->host, s->addresses);
}

int snapc_auth_random(void *ret_bytes, size_t bytes, struct cr_err *err)
{
	return getrandom(ret_bytes, bytes, 0) == (ssize_t)bytes ? 0 : cr_err_set(err, EIO, "no random bytes from the kernel: %s", strerror(errno));
}

/* --- munge --- */

#ifdef HAVE_MUNGE
static int munge_context(const struct snapc_auth *auth, munge_ctx_t *ret_ctx, struct cr_err *err)
{
	const char *socket = getenv(SNAPC_AUTH_MUNGE_SOCKET_ENV);
	munge_ctx_t ctx = munge_ctx_create();
	munge_err_t rc;

	if (!ctx)
		return cr_err_set(err, ENOMEM, "no memory for a munge context");
	rc = munge_ctx_set(ctx, MUNGE_OPT_TTL, AUTH_TTL_SECONDS);
	if (rc == EMUNGE_SUCCESS && socket && *socket)
		rc = munge_ctx_set(ctx, MUNGE_OPT_SOCKET, socket);
	if (rc == EMUNGE_SUCCESS && auth)
		rc = munge_ctx_set(ctx, MUNGE_OPT_UID_RESTRICTION, auth->owner);
	if (rc != EMUNGE_SUCCESS) {
		munge_ctx_destroy(ctx);
		return cr_err_set(err, EIO, "munge: %s", munge_strerror(rc));
	}
	*ret_ctx = ctx;
	return 0;
}

static int munge_prove(const struct snapc_auth *auth, const char *text, char *ret_proof, struct cr_err *err)
{
	char *credential = NULL;
	munge_ctx_t ctx;
	munge_err_t code;
	int rc;

	rc = munge_context(auth, &ctx, err);
	if (rc < 0)
		return rc;
	code = munge_encode(&credential, ctx, text, (int)strlen(text));
	if (code != EMUNGE_SUCCESS) {
		const char *words = munge_ctx_strerror(ctx);

		rc = cr_err_set(err, EIO, "munge cannot make a credential: %s; is munged running?", words ? words : munge_strerror(code));
	} else if (strlen(credential) >= SNAPC_LINK_CREDENTIAL_BYTES) {
		rc = cr_err_set(err, EMSGSIZE, "munge made a credential of %zu bytes", strlen(credential));
	} else {
		strcpy(ret_proof, credential);
	}
	free(credential);
	munge_ctx_destroy(ctx);
	return rc;
}

static int munge_check(const struct snapc_auth *auth, const char *text, const char *proof, struct cr_err *err)
{
	void *payload = NULL;
	uid_t uid = (uid_t)-1;
	gid_t gid;
	int bytes = 0, rc;
	munge_ctx_t ctx;
	munge_err_t code;

	rc = munge_context(NULL, &ctx, err);
	if (rc < 0)
		return rc;
	code = munge_decode(proof, ctx, &payload, &bytes, &uid, &gid);
	if (code != EMUNGE_SUCCESS)
		rc = cr_err_set(err, EACCES, "its munge credential is not valid: %s", munge_strerror(code));
	else if (uid != auth->owner && uid != 0)
		rc = cr_err_set(err, EACCES, "its munge credential is of user %u, and the job belongs to user %u", (unsigned)uid, (unsigned)auth->owner);
	else if ((size_t)bytes != strlen(text) || memcmp(payload, text, (size_t)bytes) != 0)
		rc = cr_err_set(err, EACCES, "its munge credential was made for another job or another connection");
	free(payload);
	munge_ctx_destroy(ctx);
	return rc;
}
#else
static int munge_prove(const struct snapc_auth *auth, const char *text, char *ret_proof, struct cr_err *err)
{
	(void)auth;
	(void)text;
	(void)ret_proof;
	return cr_err_set(err, EOPNOTSUPP, "ompi-cr was built without munge");
}

static int munge_check(const struct snapc_auth *auth, const char *text, const char *proof, struct cr_err *err)
{
	(void)proof;
	return munge_prove(auth, text, NULL, err);
}
#endif

int snapc_auth_munge_probe(struct cr_err *err)
{
	struct snapc_auth self = { .method = SNAPC_AUTH_MUNGE, .owner = geteuid() };
	char proof[SNAPC_LINK_CREDENTIAL_BYTES];

	return munge_prove(&self, "ompi-cr probe", proof, err);
}

/* --- the job's secret --- */

static void secret_digest(const struct snapc_auth *auth, const char *text, unsigned char *ret_digest)
{
	struct hmac_sha256_ctx ctx;

	hmac_sha256_set_key(&ctx, sizeof(auth->secret), auth->secret);
	hmac_sha256_update(&ctx, strlen(text), (const uint8_t *)text);
	hmac_sha256_digest(&ctx, SHA256_DIGEST_SIZE, ret_digest);
}

static int secret_check(const struct snapc_auth *auth, const char *text, const char *proof, struct cr_err *err)
{
	unsigned char digest[SHA256_DIGEST_SIZE];
	char hex[2 * SHA256_DIGEST_SIZE + 1];

	secret_digest(auth, text, digest);
	auth_hex(digest, sizeof(digest), hex);
	if (strlen(proof) != sizeof(hex) - 1 || !memeql_sec(proof, hex, sizeof(hex) - 1))
		return cr_err_set(err, EACCES, "its proof was not made with this job's secret for this connection");
	return 0;
}

/* The snapshot directory is made at the first checkpoint; until then its parent has to do. */
static int secret_write(struct snapc_auth *auth, const char *dir, struct cr_err *err)
{
	char *slash;
	int fd, rc;

	rc = snapc_auth_random(auth->secret, sizeof(auth->secret), err);
	if (rc < 0)
		return rc;
	if (snprintf(auth->secret_path, sizeof(auth->secret_path) - 64, "%s", dir) >= (int)sizeof(auth->secret_path) - 64)
		return cr_err_set(err, ENAMETOOLONG, "the path of the snapshot directory is too long for the job's secret");
	slash = strrchr(auth->secret_path, '/');
	if (access(dir, F_OK) < 0 && slash && slash != auth->secret_path)
		*slash = 0;
	strcat(auth->secret_path, "/.ompi-cr-");
	strcat(auth->secret_path, auth->key);
	fd = open(auth->secret_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = cr_err_set(err, errno, "cannot write the job's secret %s: %s", auth->secret_path, strerror(errno));
		auth->secret_path[0] = 0;
		return rc;
	}
	rc = write(fd, auth->secret, sizeof(auth->secret)) == (ssize_t)sizeof(auth->secret) ? 0 : -EIO;
	if (close(fd) < 0 || rc < 0) {
		rc = cr_err_set(err, EIO, "cannot write the job's secret %s", auth->secret_path);
		unlink(auth->secret_path);
		auth->secret_path[0] = 0;
	}
	return rc;
}

static int secret_read(struct snapc_auth *auth, const char *path, struct cr_err *err)
{
	struct stat st;
	int fd, rc = 0;

	if (snprintf(auth->secret_path, sizeof(auth->secret_path), "%s", path) >= (int)sizeof(auth->secret_path))
		return cr_err_set(err, ENAMETOOLONG, "the path of the job's secret is too long");
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return cr_err_set(err, errno, "cannot read the job's secret %s: %s; the snapshot directory must be shared by all nodes, or run munged on them",
				  path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		rc = cr_err_set(err, EPERM, "the job's secret %s is not a file of user %u with mode 0600", path, (unsigned)geteuid());
	else if (read(fd, auth->secret, sizeof(auth->secret)) != (ssize_t)sizeof(auth->secret))
		rc = cr_err_set(err, EIO, "the job's secret %s is not complete", path);
	close(fd);
	return rc;
}

/* --- both --- */

int snapc_auth_create(const char *wanted, const char *dir, struct snapc_auth *ret_auth, struct cr_err *err)
{
	unsigned char key[16];
	int rc;

	memset(ret_auth, 0, sizeof(*ret_auth));
	ret_auth->owner = geteuid();
	rc = snapc_auth_random(key, sizeof(key), err);
	if (rc < 0)
		return rc;
	auth_hex(key, sizeof(key), ret_auth->key);
	if (strcmp(wanted, "auto") && strcmp(wanted, "munge") && strcmp(wanted, "secret"))
		return cr_err_set(err, EINVAL, "way of authentication \"%s\": auto, munge or secret", wanted);
	if (strcmp(wanted, "secret")) {
		rc = snapc_auth_munge_probe(err);
		if (rc == 0) {
			ret_auth->method = SNAPC_AUTH_MUNGE;
			return 0;
		}
		if (!strcmp(wanted, "munge"))
			return rc;
	}
	ret_auth->method = SNAPC_AUTH_SECRET;
	return secret_write(ret_auth, dir, err);
}

void snapc_auth_destroy(struct snapc_auth *auth)
{
	if (auth->secret_path[0])
		unlink(auth->secret_path);
	memset(auth, 0, sizeof(*auth));
}

int snapc_auth_join(const char *key, const char *method, struct snapc_auth *ret_auth, struct cr_err *err)
{
	static const char secret[] = "secret:";

	memset(ret_auth, 0, sizeof(*ret_auth));
	ret_auth->owner = geteuid();
	if (strlen(key) != sizeof(ret_auth->key) - 1)
		return cr_err_set(err, EINVAL, "the job's key has %zu digits", strlen(key));
	strcpy(ret_auth->key, key);
	if (!strcmp(method, "munge")) {
		ret_auth->method = SNAPC_AUTH_MUNGE;
		return snapc_auth_munge_probe(err);
	}
	if (strncmp(method, secret, sizeof(secret) - 1) != 0)
		return cr_err_set(err, EINVAL, "way of authentication \"%s\" is not known", method);
	ret_auth->method = SNAPC_AUTH_SECRET;
	return secret_read(ret_auth, method + sizeof(secret) - 1, err);
}

void snapc_auth_method_text(const struct snapc_auth *auth, char *ret_text, size_t bytes)
{
	if (auth->method == SNAPC_AUTH_MUNGE)
		snprintf(ret_text, bytes, "munge");
	else
		snprintf(ret_text, bytes, "secret:%s", auth->secret_path);
}

int snapc_auth_prove(const struct snapc_auth *auth, int coordinator, const struct snapc_auth_scene *scene, char *ret_proof, struct cr_err *err)
{
	unsigned char digest[SHA256_DIGEST_SIZE];
	char text[AUTH_TEXT_BYTES];

	auth_text(auth, coordinator, scene, text);
	if (auth->method == SNAPC_AUTH_MUNGE)
		return munge_prove(auth, text, ret_proof, err);
	secret_digest(auth, text, digest);
	auth_hex(digest, sizeof(digest), ret_proof);
	return 0;
}

int snapc_auth_check(const struct snapc_auth *auth, int coordinator, const struct snapc_auth_scene *scene, const char *proof, struct cr_err *err)
{
	char text[AUTH_TEXT_BYTES];

	auth_text(auth, coordinator, scene, text);
	return auth->method == SNAPC_AUTH_MUNGE ? munge_check(auth, text, proof, err) : secret_check(auth, text, proof, err);
}
