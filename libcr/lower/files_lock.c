/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks (flock, POSIX, open file description), leases, and who gets signals about input and output.
 *
 * A POSIX lock belongs to the process and is lost when the process closes any descriptor of the file: a checkpoint opens no file that has one, and
 * a restart takes locks last. Locks are taken without waiting: who holds one meanwhile makes the restart fail with the file's name.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* " 1: POSIX  ADVISORY  WRITE 812 fd:00:2097 100 199", or EOF for the last number */
int cr_file_lock_parse(const char *text, struct cr_open_file *file)
{
	struct cr_file_lock lock = { .type = 0 }, *more;
	char kind[16], state[16], access[16], end[32];
	uint64_t last;

	if (sscanf(text, " %*d: %15s %15s %15s %*d %*s %" SCNu64 " %31s", kind, state, access, &lock.start, end) != 5) {
		file->lock_waits = true;
		return 0;
	}
	if (strcmp(kind, "FLOCK") == 0)
		lock.type = CR_FILE_LOCK_FLOCK;
	else if (strcmp(kind, "POSIX") == 0)
		lock.type = CR_FILE_LOCK_POSIX;
	else if (strcmp(kind, "OFDLCK") == 0)
		lock.type = CR_FILE_LOCK_OFD;
	else if (strcmp(kind, "LEASE") == 0)
		lock.type = CR_FILE_LOCK_LEASE;
	lock.write = strcmp(access, "WRITE") == 0;
	if (!lock.type || (!lock.write && strcmp(access, "READ") != 0) || (lock.type == CR_FILE_LOCK_LEASE && strcmp(state, "ACTIVE") != 0)) {
		file->lock_waits = true;
		return 0;
	}
	last = strtoull(end, NULL, 10);
	if (strcmp(end, "EOF") != 0)
		lock.bytes = last - lock.start + 1;
	more = reallocarray(file->locks, file->n_locks + 1, sizeof(lock));
	if (!more)
		return -ENOMEM;
	file->locks = more;
	file->locks[file->n_locks++] = lock;
	return 0;
}

bool cr_file_has_posix_lock(const struct cr_open_file *file)
{
	unsigned int i;

	for (i = 0; i < file->n_locks; i++)
		if (file->locks[i].type == CR_FILE_LOCK_POSIX)
			return true;
	return false;
}

void cr_file_lock_keep_own(struct cr_open_file *file)
{
	unsigned int i, n = 0;

	for (i = 0; i < file->n_locks; i++)
		if (file->locks[i].type == CR_FILE_LOCK_POSIX)
			file->locks[n++] = file->locks[i];
	file->n_locks = n;
}

bool cr_file_lock_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	struct f_owner_ex owner = { 0 };
	int fd = file->fds[0].fd;

	if (file->lock_waits) {
		cr_file_refuse(refusals, file, "(%s) holds a lease that another process is taking away, or a lock of a kind that a checkpoint cannot save; release it before the checkpoint",
			       file->link);
		return false;
	}
	/* Who is told about what processes share: files_shared.c. */
	if (file->flags & O_PATH || set->shared)
		return true;
	if (fcntl(fd, F_GETOWN_EX, &owner) == 0 && owner.pid != 0 && (owner.type != F_OWNER_PID || owner.pid != getpid())) {
		cr_file_refuse(refusals, file, "(%s) sends signals about input and output to %s %d (F_SETOWN), which a checkpoint of this process does not hold; give them to the process itself or switch that off before the checkpoint",
			       file->link, owner.type == F_OWNER_TID ? "thread" : owner.type == F_OWNER_PGRP ? "process group" : "process", (int)owner.pid);
		return false;
	}
	return true;
}

int cr_file_lock_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_file_owner state = { .type = -1 };
	struct f_owner_ex owner = { 0 };
	int fd = file->fds[0].fd, r = 0;

	if (file->flags & O_PATH)
		return 0;
	/* Of what processes share: in the part of the one that it is. */
	if (fcntl(fd, F_GETOWN_EX, &owner) == 0 && owner.pid == getpid() && owner.type == F_OWNER_PID && !set->shared)
		state.type = F_OWNER_PID;
	state.signo = fcntl(fd, F_GETSIG);
	if (state.signo < 0)
		state.signo = 0;
	if (state.type >= 0 || state.signo)
		r = cr_file_data_put(file, CR_FILE_DATA_OWNER, &state, sizeof(state), w, err);
	if (r >= 0 && file->n_locks)
		r = cr_file_data_put(file, CR_FILE_DATA_LOCK, file->locks, file->n_locks * sizeof(*file->locks), w, err);
	return r;
}

static int set_lock(int fd, int flags, const struct cr_file_lock *lock)
{
	struct flock l = { .l_type = lock->write ? F_WRLCK : F_RDLCK, .l_start = (off_t)lock->start, .l_len = (off_t)lock->bytes };

	switch (lock->type) {
	case CR_FILE_LOCK_FLOCK:
		return flock(fd, (lock->write ? LOCK_EX : LOCK_SH) | LOCK_NB);
	case CR_FILE_LOCK_POSIX:
		/* The process's: listed at each of its descriptors, also those that could not have taken it. */
		if (lock->write ? !cr_file_writes(flags) : !cr_file_reads(flags))
			return 0;
		return fcntl(fd, F_SETLK, &l);
	case CR_FILE_LOCK_OFD:
		return fcntl(fd, F_OFD_SETLK, &l);
	case CR_FILE_LOCK_LEASE:
		return fcntl(fd, F_SETLEASE, lock->write ? F_WRLCK : F_RDLCK);
	}
	errno = EBADMSG;
	return -1;
}

int cr_file_lock_restore(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	static const char *const names[] = { "", "flock", "POSIX lock", "lock of the open file description", "lease" };
	struct cr_image_record at = *rec;
	struct cr_file_data_payload data;
	struct cr_file_owner owner;
	int fd = view->fds[0].fd;
	const char *content;
	uint64_t i;

	if (cr_file_data_next(img, &at, view, CR_FILE_DATA_LOCK, &data, (const void **)&content)) {
		for (i = 0; i + sizeof(struct cr_file_lock) <= data.bytes; i += sizeof(struct cr_file_lock)) {
			struct cr_file_lock lock;

			memcpy(&lock, content + i, sizeof(lock));
			if (set_lock(fd, (int)view->head.open_flags, &lock) < 0)
				return cr_err_set(err, errno, "descriptor %d: the %s on %s cannot be taken again: %s; let whoever holds one now release it",
						  fd, lock.type <= CR_FILE_LOCK_LEASE ? names[lock.type] : "lock", view->path ? view->path : "its file",
						  strerror(errno));
		}
	}
	/* After the lease, which makes the process the receiver. */
	at = *rec;
	if (cr_file_data_next(img, &at, view, CR_FILE_DATA_OWNER, &data, (const void **)&content) && data.bytes == sizeof(owner)) {
		struct f_owner_ex self = { .type = F_OWNER_PID, .pid = getpid() };

		memcpy(&owner, content, sizeof(owner));
		if ((owner.type >= 0 && fcntl(fd, F_SETOWN_EX, &self) < 0) || (owner.signo && fcntl(fd, F_SETSIG, owner.signo) < 0))
			return cr_err_set(err, errno, "descriptor %d: the receiver of its signals cannot be set: %s", fd, strerror(errno));
	}
	if ((int)view->head.open_flags & O_ASYNC && view->head.kind != CR_FILE_STREAM && fcntl(fd, F_SETFL, (int)view->head.open_flags) < 0)
		return cr_err_set(err, errno, "descriptor %d: O_ASYNC cannot be set: %s", fd, strerror(errno));
	return 0;
}
