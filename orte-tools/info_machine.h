/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions about the kernel and about the limits of this login; called by info_probe.c, which knows which of them are needed. */
#ifndef INFO_MACHINE_H
#define INFO_MACHINE_H

#include "orte-tools/info_probe.h"

void info_ask_kernel(struct info_probe *p);
void info_ask_fsgsbase(struct info_probe *p);
void info_ask_seccomp(struct info_probe *p);
void info_ask_pagemap(struct info_probe *p);
void info_ask_pagemap_scan(struct info_probe *p);
void info_ask_module(struct info_probe *p);
void info_ask_nofile(struct info_probe *p);
void info_ask_memory_limit(struct info_probe *p);
void info_ask_locked_memory(struct info_probe *p);
void info_ask_processes(struct info_probe *p);
void info_ask_file_size(struct info_probe *p);
void info_ask_core(struct info_probe *p);

#endif
