/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection of a tool to the coordinator of a running job. */
#ifndef TOOL_JOB_H
#define TOOL_JOB_H

#include <stdio.h>

#include "snapc/line.h"
#include "snapc/registry.h"

/* @words: what is wrong is said here. Return: a connected socket to the owner's coordinator, or -1. */
int tool_job_connect(const struct snapc_registry_entry *entry, FILE *words);

/**
 * tool_job_ask - one request, one line of answer
 * @request: with its newline
 * @text: room for the answer; @ret_words points into it
 *
 * Return: 0: the answer was "ok"; -1: another one, or none in time. Nothing is printed.
 */
int tool_job_ask(const struct snapc_registry_entry *entry, const char *request, char *text, size_t room, struct snapc_words *ret_words);

#endif
