/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saving a job, bringing it back, and forgetting it: see hook.h. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orte-tools/sched/hook.h"
#include "snapc/snapshot.h"

/* What the half that has become the user says to the one that is still root. */
struct saved {
	int rc;
	struct cr_err err;
	struct hook_job job;
	char text[HOOK_TEXT_BYTES];
	char drop[PATH_MAX]; /* a snapshot that is not wanted any more, or "" */
};

/* Run @argv for its standard output. Return: exit status; -errno. */
static int command_read(char *const *argv, char *out, size_t room)
{
	size_t used = 0;
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], 1);
		execv(argv[0], argv);
		fprintf(stderr, "ompi-cr-hook: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(pipes[1]);
	while (pid > 0 && ((n = read(pipes[0], out + used, room - 1 - used)) > 0 || (n < 0 && errno == EINTR)))
		used += n > 0 ? (size_t)n : 0;
	close(pipes[0]);
	out[used] = '\0';
	if (pid < 0)
		return -EAGAIN;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The string "key":"..." of ompi-checkpoint --json. */
static bool json_string(const char *json, const char *key, char *ret, size_t room)
{
	char mark[64];
	const char *at;
	size_t n = 0;

	snprintf(mark, sizeof(mark), "\"%s\":\"", key);
	at = strstr(json, mark);
	if (!at)
		return false;
	for (at += strlen(mark); *at && *at != '"' && n < room - 1; at++) {
		if (*at == '\\' && *++at != '\\' && *at != '"' && *at != '/')
			return false; /* a path with control characters */
		ret[n++] = *at;
	}
	ret[n] = '\0';
	return *at == '"';
}

static void link_read(pid_t pid, const char *what, bool file, char *ret, size_t room)
{
	char path[64];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	n = readlink(path, ret, room - 1);
	ret[n > 0 ? n : 0] = '\0';
	if (file && (stat(path, &st) < 0 || !S_ISREG(st.st_mode)))
		ret[0] = '\0';
}

static int checkpoint(pid_t mpirun, bool term, struct hook_reference *r, struct cr_err *err)
{
	char pid[24], json[16384];
	char *argv[] = { (char *)CR_BINDIR "/ompi-checkpoint", (char *)"--json", pid, term ? (char *)"--term" : NULL, NULL };
	char words[512];
	const char *seq;
	int status;

	snprintf(pid, sizeof(pid), "%d", (int)mpirun);
	link_read(mpirun, "cwd", false, r->cwd, sizeof(r->cwd));
	link_read(mpirun, "fd/1", true, r->output, sizeof(r->output));
	link_read(mpirun, "fd/2", true, r->error, sizeof(r->error));
	status = command_read(argv, json, sizeof(json));
	if (status != 0) {
		if (!json_string(json, "error", words, sizeof(words)))
			snprintf(words, sizeof(words), "ompi-checkpoint ended with status %d", status);
		return cr_err_set(err, EIO, "mpirun %d was not saved: %s", (int)mpirun, words);
	}
	seq = strstr(json, "\"seq\":");
	if (!seq || !json_string(json, "dir", r->dir, sizeof(r->dir)))
		return cr_err_set(err, EPROTO, "ompi-checkpoint of another version answers");
	r->seq = strtoll(seq + 6, NULL, 10);
	hook_say(HOOK_WORDS_MORE, "mpirun %d is saved as %s, sequence %lld", (int)mpirun, r->dir, r->seq);
	return 0;
}

/* As the user: what the reference in @place names already goes into the one that takes its place. */
static void chain_read(const struct hook_place *place, struct hook_reference *r, char *ret_drop)
{
	struct hook_reference old;
	int fd = hook_place_read(place, NULL), rc;

	if (fd < 0)
		return;
	rc = hook_reference_load(fd, &old, NULL);
	close(fd);
	if (rc < 0)
		return;
	if (strcmp(old.dir, r->dir)) {
		memcpy(r->previous, old.dir, sizeof(r->previous));
		memcpy(ret_drop, old.previous, sizeof(old.previous));
	} else {
		memcpy(r->previous, old.previous, sizeof(r->previous));
	}
	r->restarted = old.restarted;
	r->since = old.since;
}

/* As the user. With @term the rest of the job stands still, so that no more of the batch script is run when its mpirun ends. */
static void save(const struct hook_place *chain, pid_t id, bool term, struct saved *s)
{
	struct hook_reference r;

	memset(&r, 0, sizeof(r));
	s->rc = hook_job_find(id, &s->job, &s->err);
	if (s->rc < 0)
		return;
	hook_say(HOOK_WORDS_MORE, "process %d: mpirun %d is the job's", (int)id, (int)s->job.mpirun);
	if (term)
		hook_job_signal(&s->job, true, SIGSTOP);
	s->rc = checkpoint(s->job.mpirun, term, &r, &s->err);
	if (s->rc == 0 && chain)
		chain_read(chain, &r, s->drop);
	if (s->rc == 0 && hook_reference_make(&r, s->text, sizeof(s->text)) < 0)
		s->rc = cr_err_set(&s->err, ENAMETOOLONG, "the paths of the job are too long; its snapshot is %.400s", r.dir);
	if (s->rc < 0 && term)
		hook_job_signal(&s->job, true, SIGCONT);
}

static void save_in_child(const struct hook_user *user, pid_t id, bool term, struct saved *s)
{
	int pipes[2], status;
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		s->rc = cr_err_set(&s->err, errno, "fork: %s", strerror(errno));
		return;
	}
	if (pid == 0) {
		s->rc = hook_user_become(user, &s->err);
		if (s->rc == 0)
			save(NULL, id, term, s);
		_exit(write(pipes[1], s, sizeof(*s)) == (ssize_t)sizeof(*s) ? 0 : 1);
	}
	close(pipes[1]);
	while (have < sizeof(*s) && (n = read(pipes[0], (char *)s + have, sizeof(*s) - have)) > 0)
		have += (size_t)n;
	close(pipes[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (have != sizeof(*s))
		s->rc = cr_err_set(&s->err, EIO, "the half that is the user has ended");
	s->drop[0] = s->text[sizeof(s->text) - 1] = s->err.text[sizeof(s->err.text) - 1] = '\0';
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)where;
	return kind == FTW_DP ? rmdir(path) : unlink(path);
}

/* As the user. What is not a snapshot of his stays. */
static int snapshot_remove(const char *dir)
{
	struct stat st;

	if (fnmatch("*/ompi_global_snapshot_*.ckpt", dir, 0) || lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return 0;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 ? 0 : -errno;
}

int hook_save(const struct hook_user *user, const struct hook_place *place, bool chain, pid_t id, enum hook_after after, struct cr_err *err)
{
	bool root = geteuid() == 0 && place->dir >= 0;
	struct saved *s = calloc(1, sizeof(*s));
	int rc = s ? 0 : cr_err_set(err, ENOMEM, "no memory");

	if (rc == 0 && !root)
		rc = hook_user_become(user, err);
	if (rc == 0)
		rc = hook_place_check(place, err);
	if (rc < 0)
		goto out;
	if (root)
		save_in_child(user, id, after == HOOK_END, s);
	else
		save(chain ? place : NULL, id, after == HOOK_END, s);
	rc = s->rc;
	if (rc < 0) {
		cr_err_set(err, rc, "%s", s->err.text);
		goto out;
	}
	rc = hook_place_write(place, user, s->text, err);
	if (rc == 0)
		hook_say(HOOK_WORDS_MORE, "the reference is in %s", place->path);
	if (root && hook_user_become(user, rc < 0 ? NULL : err) < 0)
		rc = rc < 0 ? rc : -EPERM;
	if (rc < 0)
		hook_job_signal(&s->job, true, SIGCONT);
	else if (after == HOOK_END)
		hook_job_signal(&s->job, false, SIGKILL); /* no handler of the script runs: the job is not over */
	else if (after == HOOK_STOP)
		hook_job_signal(&s->job, false, SIGSTOP);
	if (rc == 0)
		snapshot_remove(s->drop);
out:
	free(s);
	return rc;
}

/*
 * Output goes on in the files where it went, when the scheduler has not given us others. A file that is not the user's any more, or not there, does not keep
 * the job from going on: it is named on stderr.
 */
static void output_reopen(int fd, const char *path)
{
	struct stat st, old;
	const char *why = NULL;
	int file;

	if (!path[0] || (fstat(fd, &old) == 0 && S_ISREG(old.st_mode)))
		return;
	file = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0)
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		why = "not a file of the job's user";
	else if (dup2(file, fd) < 0)
		why = strerror(errno);
	if (why)
		hook_say(HOOK_WORDS_NOTE, "%s: output does not go on there: %s", path, why);
	if (file >= 0)
		close(file);
}

static int reference_get(const struct hook_user *user, const struct hook_place *place, struct hook_reference *r, struct cr_err *err)
{
	int fd = geteuid() == 0 && place->dir >= 0 ? hook_place_read(place, err) : -1, rc;

	if (fd < 0 && geteuid() == 0 && place->dir >= 0)
		return fd;
	rc = hook_user_become(user, err);
	if (rc == 0 && fd < 0)
		fd = hook_place_read(place, err);
	if (rc < 0 || fd < 0)
		return rc < 0 ? rc : fd;
	rc = hook_reference_load(fd, r, err);
	close(fd);
	return rc;
}

pid_t hook_restarted(const struct hook_user *user, const struct hook_place *place)
{
	struct hook_reference r;

	if (reference_get(user, place, &r, NULL) < 0 || r.restarted < 2 || hook_process_since(r.restarted) != r.since)
		return 0;
	return r.restarted;
}

/* As the user, in a place of his. A checkpoint that cannot be noted is restarted all the same: only the next one fails, and says why. */
static void note(const struct hook_user *user, const struct hook_place *place, struct hook_reference *r)
{
	char text[HOOK_TEXT_BYTES];

	r->restarted = getpid();
	r->since = hook_process_since(r->restarted);
	if (hook_reference_make(r, text, sizeof(text)) == 0)
		hook_place_write(place, user, text, NULL);
}

int hook_restart(const struct hook_user *user, const struct hook_place *place, bool noted, struct cr_err *err)
{
	struct hook_reference r;
	char seq[24];
	char *argv[] = { (char *)"ompi-restart", (char *)"--fallback", (char *)"--seq", seq, r.dir, NULL, NULL };
	int rc = reference_get(user, place, &r, err);

	if (rc < 0)
		return rc;
	if (noted)
		note(user, place, &r);
	snprintf(seq, sizeof(seq), "%lld", r.seq);
	hook_say(HOOK_WORDS_MORE, "restarting %s, sequence %s, in %s", r.dir, seq, r.cwd);
	/* After the reference: ompi-restart sorts them. */
	if (!hook_words_wanted(HOOK_WORDS_NOTE))
		argv[5] = (char *)"--quiet";
	else if (hook_words_wanted(HOOK_WORDS_MORE))
		argv[5] = (char *)"--verbose";
	if (chdir(r.cwd) < 0 && chdir("/") < 0)
		return cr_err_set(err, errno, "%s: %s", r.cwd, strerror(errno));
	output_reopen(STDERR_FILENO, r.error); /* first: what is said of the other goes there */
	output_reopen(STDOUT_FILENO, r.output);
	execv(CR_BINDIR "/ompi-restart", argv);
	return cr_err_set(err, errno, CR_BINDIR "/ompi-restart: %s", strerror(errno));
}

int hook_clean(const struct hook_user *user, const struct hook_place *place, struct cr_err *err)
{
	bool root = geteuid() == 0 && place->dir >= 0;
	struct hook_reference r;
	int rc = 0;

	/* Root's part first: the name, of which we keep the contents. */
	int fd = root ? hook_place_read(place, NULL) : -1;

	if (root)
		rc = hook_place_remove(place, err);
	if (rc == 0)
		rc = hook_user_become(user, err);
	if (rc == 0 && !root) {
		fd = hook_place_read(place, NULL);
		rc = hook_place_remove(place, err);
	}
	if (rc < 0 || fd < 0) /* never saved: nothing to forget */
		return rc;
	rc = hook_reference_load(fd, &r, err);
	close(fd);
	if (rc < 0)
		return rc;
	snapshot_remove(r.previous);
	rc = snapshot_remove(r.dir);
	return rc < 0 ? cr_err_set(err, rc, "%s cannot be removed: %s", r.dir, strerror(-rc)) : 0;
}
