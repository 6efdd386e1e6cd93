/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One question to the kernel's socket monitor (sock_diag(7)) per UNIX socket.
 */
#include "libcr/lower/files_unix.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcr/lower/cr_files.h"
#include "libcr/lower/files_set.h"
#include "libcr/lower/process_set.h"

static uint32_t attr_u32(const struct rtattr *a)
{
	uint32_t v = 0;

	memcpy(&v, RTA_DATA(a), RTA_PAYLOAD(a) < sizeof(v) ? RTA_PAYLOAD(a) : sizeof(v));
	return v;
}

static void take_attr(const struct rtattr *a, struct cr_unix_diag *ret)
{
	struct unix_diag_rqlen queue;
	struct unix_diag_vfs vfs;

	switch (a->rta_type) {
	case UNIX_DIAG_PEER:
		ret->has_peer = true;
		ret->peer_ino = attr_u32(a);
		break;
	case UNIX_DIAG_SHUTDOWN:
		ret->shut = *(const uint8_t *)RTA_DATA(a);
		break;
	case UNIX_DIAG_RQLEN:
		memcpy(&queue, RTA_DATA(a), sizeof(queue));
		ret->waiting = queue.udiag_rqueue;
		ret->backlog = queue.udiag_wqueue;
		break;
	case UNIX_DIAG_ICONS:
		ret->n_waiters = (uint32_t)(RTA_PAYLOAD(a) / sizeof(ret->waiters[0]));
		if (ret->n_waiters > CR_UNIX_WAITERS)
			ret->n_waiters = CR_UNIX_WAITERS;
		memcpy(ret->waiters, RTA_DATA(a), ret->n_waiters * sizeof(ret->waiters[0]));
		break;
	case UNIX_DIAG_VFS:
		memcpy(&vfs, RTA_DATA(a), sizeof(vfs));
		ret->vfs_ino = vfs.udiag_vfs_ino;
		ret->vfs_dev = vfs.udiag_vfs_dev;
		break;
	}
}

static int take_answer(const struct nlmsghdr *h, size_t bytes, struct cr_unix_diag *ret)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	const struct rtattr *a;
	int left;

	if (!NLMSG_OK(h, bytes))
		return -EPROTO;
	if (h->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EPROTO;
	memset(ret, 0, sizeof(*ret));
	ret->state = m->udiag_state;
	left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));
	for (a = (const struct rtattr *)(m + 1); RTA_OK(a, left); a = RTA_NEXT(a, left))
		take_attr(a, ret);
	return 0;
}

int cr_unix_diag_get(uint32_t ino, struct cr_unix_diag *ret)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req q;
	} ask = {
		.h = { .nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.q = { .sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_ino = ino,
		       .udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN | UDIAG_SHOW_VFS, .udiag_cookie = { ~0u, ~0u } },
	};
	_Alignas(struct nlmsghdr) char answer[4096];
	ssize_t n;
	int fd, r;

	fd = cr_file_move_high(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), cr_process_floor());
	if (fd < 0)
		return errno ? -errno : fd;
	n = send(fd, &ask, sizeof(ask), 0) < 0 ? -1 : recv(fd, answer, sizeof(answer), 0);
	r = n < 0 ? -errno : take_answer((const void *)answer, (size_t)n, ret);
	close(fd);
	return r;
}
