/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Payloads of the FILE and FILE_DATA records: one open file description, the descriptors that refer to it, and content that
 * has no name in the file system.  docs/context-file-format.md, sections "FILE" and "FILE_DATA".
 */
#ifndef CR_IMAGE_FILE_PAYLOAD_H
#define CR_IMAGE_FILE_PAYLOAD_H

#include <stdint.h>

enum cr_file_kind {
	CR_FILE_REGULAR = 1,   /* a file that has a name; opened again by its path */
	CR_FILE_UNLINKED = 2,  /* a file without a name; its content is stored */
	CR_FILE_DIRECTORY = 3, /* opened again by its path */
	CR_FILE_PIPE = 4,      /* a pipe that nobody else holds; its content is stored */
	CR_FILE_FIFO = 5,      /* a named pipe that nobody else holds; its content is stored */
	CR_FILE_STREAM = 6,    /* one of the standard streams of the launch; connected to the new one */
	CR_FILE_TTY = 7,       /* a terminal that is no standard stream; opened again by its path */
	CR_FILE_DEVICE = 8,    /* /dev/null, zero, full, random, urandom */
	CR_FILE_PATH = 9,      /* opened with O_PATH: stands for a name only */
};

/* Attributes of a FILE record. */
#define CR_FILE_PSEUDO 0x1U /* on proc or sysfs: the size means nothing */

/* Attributes of a FILE_DATA record. */
#define CR_FILE_DATA_PACKET 0x1U /* one packet of a pipe: a read returns at its end */

/* Descriptors of a FILE record beyond this are refused by a reader. */
#define CR_FILE_MAX_FDS 1048576U
#define CR_FILE_MAX_PATH_BYTES 4096U

/* Followed by n_fds times struct cr_file_fd, then path_bytes of the absolute path with its NUL. */
struct cr_file_payload {
	uint32_t kind;       /* enum cr_file_kind */
	uint32_t attrs;      /* CR_FILE_PSEUDO */
	uint32_t open_flags; /* F_GETFL, the numbers of Linux on x86-64 */
	uint32_t mode;       /* st_mode */
	int64_t pos;
	uint64_t size; /* st_size */
	uint64_t dev;  /* st_dev, st_ino, st_rdev as the kernel numbered them: for people */
	uint64_t ino;
	uint64_t rdev;
	int64_t mtime_ns;
	uint32_t object;     /* records of the same object follow each other */
	uint32_t pipe_bytes; /* PIPE, FIFO: F_GETPIPE_SZ */
	uint32_t n_fds;
	uint32_t path_bytes; /* 0: none */
};

struct cr_file_fd {
	int32_t fd;
	uint32_t fd_flags;     /* F_GETFD */
	uint32_t stream;       /* STREAM: 0, 1 or 2, else 0 */
	uint32_t stream_flags; /* STREAM: the O_APPEND and O_NONBLOCK bits that the program changed since the launch */
};

/* Followed by @bytes of content. */
struct cr_file_data_payload {
	uint32_t object;
	uint32_t attrs;  /* CR_FILE_DATA_PACKET */
	uint64_t offset; /* UNLINKED: where in the file; ranges that no record covers are holes */
	uint64_t bytes;
};

_Static_assert(sizeof(struct cr_file_payload) == 80, "FILE payload is part of the format");
_Static_assert(sizeof(struct cr_file_fd) == 16, "FILE payload is part of the format");
_Static_assert(sizeof(struct cr_file_data_payload) == 24, "FILE_DATA payload is part of the format");

#endif
