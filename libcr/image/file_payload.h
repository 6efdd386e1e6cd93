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
	CR_FILE_EVENTFD = 10,
	CR_FILE_TIMERFD = 11,
	CR_FILE_SIGNALFD = 12,
	CR_FILE_EPOLL = 13,
	CR_FILE_INOTIFY = 14,
	CR_FILE_PIDFD = 15,    /* of the process itself */
	CR_FILE_SOCKET = 16,
	CR_FILE_MEMFD = 17,    /* its content is stored; the path is what proc calls it */
	CR_FILE_SHARED = 18,   /* in a tree: description @ino of what its processes share */
	CR_FILE_MQUEUE = 19,   /* POSIX message queue; its content is stored; the path is its name */
	CR_FILE_KINDS          /* one more than the last */
};

/* Attributes of a FILE record. */
#define CR_FILE_PSEUDO 0x1U /* on proc or sysfs: the size means nothing */
#define CR_FILE_NAMELESS 0x2U /* DIRECTORY, PATH: a directory that was removed; FIFO: one that was; the path is what it was called. MQUEUE: the same */
#define CR_FILE_PASSED 0x4U /* no descriptor refers to it: it is under way in a UNIX socket (SCM_RIGHTS). Its number was free, and is closed again */

/* Attributes of a FILE_DATA record. */
#define CR_FILE_DATA_PACKET 0x1U /* one packet of a pipe or socket: a read returns at its end */
#define CR_FILE_DATA_STATE 0x2U  /* the state of the object: the structure of its kind, below */
#define CR_FILE_DATA_LOCK 0x4U   /* array of struct cr_file_lock: locks and leases on this description */
#define CR_FILE_DATA_OWNER 0x8U  /* struct cr_file_owner */
#define CR_FILE_DATA_ITEM 0x10U  /* EPOLL, INOTIFY: one watch. SOCKET: one option. MQUEUE: one message, in the order in which they are received */
#define CR_FILE_DATA_MESSAGE 0x20U /* SOCKET: struct cr_file_message: of the content that follows */
#define CR_FILE_DATA_RIGHTS 0x40U /* SOCKET: array of int32_t: the descriptors that the content which follows carries, by the numbers in their FILE records */
#define CR_FILE_DATA_CREDENTIALS 0x80U /* SOCKET: struct cr_file_credentials: of the content that follows */
#define CR_FILE_DATA_ALL 0xffU

/* Descriptors of a FILE record beyond this are refused by a reader. */
#define CR_FILE_MAX_FDS 1048576U
#define CR_FILE_MAX_PATH_BYTES 4096U

/* Followed by n_fds times struct cr_file_fd, then path_bytes of the absolute path with its NUL. */
struct cr_file_payload {
	uint32_t kind;       /* enum cr_file_kind */
	uint32_t attrs;      /* CR_FILE_PSEUDO, NAMELESS, PASSED */
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

/* --- content of FILE_DATA records with STATE, LOCK, OWNER, ITEM --- */

struct cr_file_eventfd {
	uint64_t count;
	uint32_t semaphore;
	uint32_t reserved; /* 0 */
};

struct cr_file_timerfd {
	int32_t clock;
	uint32_t cancel_on_set; /* CLOCK_REALTIME: set to an absolute time with TFD_TIMER_CANCEL_ON_SET */
	uint64_t ticks;         /* expirations that were not read */
	uint64_t value_ns;      /* until the next one; 0: not armed */
	uint64_t interval_ns;
};

struct cr_file_signalfd {
	uint64_t mask;
};

struct cr_file_memfd {
	uint32_t seals; /* F_GET_SEALS */
	uint32_t reserved; /* 0 */
};

struct cr_file_mqueue {
	uint64_t max_messages, message_bytes; /* mq_maxmsg, mq_msgsize */
	uint32_t uid, gid;
};

/* Followed by @bytes of text. */
struct cr_file_mqueue_message {
	uint32_t priority;
	uint32_t bytes;
};

struct cr_file_epoll_item {
	int32_t fd;     /* the number under which it was added */
	int32_t source; /* a descriptor of the program for what was added: the same number, unless that was closed and used again */
	uint32_t events;
	uint32_t reserved; /* 0 */
	uint64_t data;
};

/* Followed by the absolute path with its NUL. */
struct cr_file_inotify_item {
	int32_t wd;
	uint32_t mask;
};

enum cr_file_lock_type { CR_FILE_LOCK_FLOCK = 1, CR_FILE_LOCK_POSIX = 2, CR_FILE_LOCK_OFD = 3, CR_FILE_LOCK_LEASE = 4 };

struct cr_file_lock {
	uint32_t type;  /* enum cr_file_lock_type */
	uint32_t write; /* 0: shared, or a read lease */
	uint64_t start;
	uint64_t bytes; /* 0: to the end, whatever that is */
};

/* Who gets signals about input and output: the process itself. */
struct cr_file_owner {
	int32_t type;  /* F_OWNER_PID, or -1: nobody */
	int32_t signo; /* F_GETSIG */
};

enum cr_file_socket_state {
	CR_FILE_SOCKET_OPEN = 1,      /* neither connected nor listening; may be bound */
	CR_FILE_SOCKET_LISTENING = 2,
	CR_FILE_SOCKET_PAIR = 3,      /* one end of a connected pair in this process; the other is object peer */
	CR_FILE_SOCKET_CLOSED = 4,    /* one end of a pair whose other end is closed */
	CR_FILE_SOCKET_WAITING = 5,   /* connected to a listening socket of this process, object peer, which has not accepted it */
};

#define CR_FILE_SOCKET_ADDRESS_BYTES 128

struct cr_file_socket {
	uint32_t state; /* enum cr_file_socket_state */
	int32_t family, type, protocol;
	uint32_t peer;     /* PAIR: object of the other end */
	uint32_t backlog;  /* LISTENING; WAITING: its place in the queue, from 0 */
	uint32_t shut;     /* bit 0: nothing more is received, bit 1: sent */
	uint32_t address_bytes; /* 0: not bound */
	uint8_t address[CR_FILE_SOCKET_ADDRESS_BYTES]; /* struct sockaddr */
};

struct cr_file_socket_option {
	int32_t level, name;
	uint32_t bytes;
	uint8_t value[20];
};

struct cr_file_message {
	uint32_t address_bytes; /* of the sender, which is another socket of this process */
	uint32_t reserved; /* 0 */
	uint8_t address[CR_FILE_SOCKET_ADDRESS_BYTES];
};

/* Who sent it; where the receiver asked for that (SO_PASSCRED). */
struct cr_file_credentials {
	int32_t pid; /* 0: of this process itself */
	uint32_t uid, gid;
	uint32_t reserved; /* 0 */
};

#define CR_FILE_MAX_RIGHTS 253U /* SCM_MAX_FD */

_Static_assert(sizeof(struct cr_file_credentials) == 16, "FILE_DATA content is part of the format");
_Static_assert(sizeof(struct cr_file_message) == 136, "FILE_DATA content is part of the format");
_Static_assert(sizeof(struct cr_file_payload) == 80, "FILE payload is part of the format");
_Static_assert(sizeof(struct cr_file_fd) == 16, "FILE payload is part of the format");
_Static_assert(sizeof(struct cr_file_data_payload) == 24, "FILE_DATA payload is part of the format");
_Static_assert(sizeof(struct cr_file_eventfd) == 16 && sizeof(struct cr_file_timerfd) == 32 && sizeof(struct cr_file_epoll_item) == 24 &&
		       sizeof(struct cr_file_inotify_item) == 8 && sizeof(struct cr_file_lock) == 24 && sizeof(struct cr_file_socket) == 160 &&
		       sizeof(struct cr_file_socket_option) == 32 && sizeof(struct cr_file_mqueue) == 24 && sizeof(struct cr_file_mqueue_message) == 8,
	       "FILE_DATA content is part of the format");

#endif
