/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much memory a protected process has that a checkpoint saves, as /proc/PID/smaps says it. The process is not disturbed. */
#ifndef CR_TOOLS_PROCESS_MEMORY_H
#define CR_TOOLS_PROCESS_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes of its own in the program's part of the address space; 0: not known. At most the pages that are all zero are too many. Context: any thread. */
uint64_t cr_process_memory(pid_t pid);

#endif
