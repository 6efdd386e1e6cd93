/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one table through which the upper half reaches the lower half.  It lies at a fixed address in the window, so it is saved
 * with the program; the lower half fills its part in again after a restart and raises @epoch.
 */
#ifndef CR_GATE_H
#define CR_GATE_H

#include <stddef.h>
#include <stdint.h>

#include "libcr/cr_board.h"
#include "libcr/cr_callbacks.h"
#include "libcr/arch/x86_64/fs.h"
#include "libcr/cr_layout.h"

#define CR_GATE_MAGIC 0x657461475243ULL
#define CR_GATE_VERSION 3
#define CR_OMIT_ENV "OMPI_CR_OMIT" /* in the environment of programs that cr_run --omit started: they leave themselves out of checkpoints */

/* A thread of the program as the lower half knows it. Lower-half memory; gone after a restart. */
struct cr_thread {
	uint64_t lower_fs;   /* %fs base of the parked lower-half thread whose TLS this thread borrows */
	uint64_t upper_fs;   /* the program's own %fs base */
	volatile uint64_t depth; /* > 0: inside the lower half, possibly with a callback above it: cannot be frozen */
	volatile uint64_t enter_sp;
	uint64_t fs_by_kernel; /* %fs is changed by arch_prctl(): no FSGSBASE here; read by assembly at 32 */
};

/* Called by the lower half on the upper %fs: @a holds the first eight integer arguments of the C function that was called. */
typedef uint64_t (*cr_upcall_fn)(void *arg, uint64_t *a);

struct cr_gate {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes;
	volatile uint64_t epoch; /* 1 at launch, +1 at every restart: addresses of the lower half kept elsewhere are stale when it changes */

	/* --- filled in by the lower half --- */

	/* The calling thread's lower-half record; makes one (and a lower-half thread for its TLS) the first time.
	 * Call on the upper %fs. NULL: out of resources. */
	struct cr_thread *(*thread_attach)(void);
	/* dlopen(RTLD_NOW | RTLD_GLOBAL) in the lower half. On the LOWER %fs (use cr_cross_enter). NULL: *err says why. */
	void *(*lower_open)(const char *path, char *err, size_t err_bytes);
	/* dlsym in the lower half. On the lower %fs. */
	void *(*lower_sym)(void *handle, const char *name);
	/* A function pointer that the lower half may call; runs fn(arg, args) on the upper %fs of the thread that is inside. Valid until
	 * thunk_destroy or the end of this epoch. Callable on either %fs. NULL: out of memory. */
	void *(*thunk_create)(cr_upcall_fn fn, void *arg);
	void (*thunk_destroy)(void *thunk);
	/* Tell the agent that the board changed. Any %fs, signal-safe. */
	void (*board_notify)(void);
	/* Mark/clear "cannot be checkpointed" with a reason in words; id is chosen by the caller and names the reason. Any %fs. text is copied. */
	int (*nocr_set)(uint64_t id, const char *text);
	int (*nocr_clear)(uint64_t id);
	/* Environment variable of the lower half's process (of the launcher, fresh after a restart). Any %fs. Borrowed. */
	const char *(*lower_getenv)(const char *name);
	/* Starts a program that is not the program's child: outside of the window, without its descriptors and signals; its descriptor 3 is the
	 * writing end of a pipe. Returns the reading end (the lower half's: above the floor) or -errno. On the lower %fs. */
	int (*helper_start)(const char *const *argv);
	/* Closes the pipe. @epoch: in which it was made. 0 or -ESTALE. On the lower %fs. */
	int (*helper_end)(int fd, uint64_t epoch);
	/* One question to the agent of a process (the kernel's id; 0: this one): ask_send returns a descriptor of the lower half that becomes readable,
	 * ask_receive the length of the answer and closes it. Both -errno; -ESTALE: a restart since @epoch was read. On the lower %fs. */
	int (*ask_send)(int pid, uint64_t epoch, uint32_t type, const void *payload, uint64_t bytes);
	int (*ask_receive)(int fd, uint64_t epoch, uint32_t type, char *buf, uint64_t bytes);
	int32_t kernel_pid; /* of this process */
	int32_t pad;

	/* --- filled in by the upper half --- */

	/* The MPI layer's shared state; NULL in a program without MPI. Set before MPI_Init enters the library. */
	struct cr_board *volatile board;
	/* Called on a thread of the program, upper half, upper %fs, inside a signal frame, with all signals but CR_SIGNUM blocked, when the
	 * board's order is CR_ORDER_STOP (or later) and the thread was found in the program's code. Async-signal-safe: no malloc, no stdio.
	 * Runs the MPI layer's stop and drain when this is the thread to do it, else returns at once. */
	void (*volatile stop_client)(void);

	/* libcr's callbacks; NULL until the program calls cr_init(). */
	struct cr_callbacks *volatile callbacks;
	/* Called like stop_client when the callbacks' order is CR_CALLBACK_SIGNALS, on the threads that have callbacks in signal context. */
	void (*volatile callback_client)(void);
};

#define CR_GATE ((struct cr_gate *)CR_GATE_ADDR)

#endif
