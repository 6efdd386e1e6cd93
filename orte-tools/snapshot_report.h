/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-snapshot report: one sequence as one HTML page that needs nothing else. */
#ifndef SNAPSHOT_REPORT_H
#define SNAPSHOT_REPORT_H

#include "snapc/meta.h"

/**
 * snapshot_report - write the page
 * @meta: the reference; @s: one of its sequences
 * @file: replaced when the page is complete; "-" is standard output
 *
 * Return: 0 or -errno with words.
 */
int snapshot_report(const struct snapc_meta *meta, const struct snapc_snapshot *s, const char *file, struct cr_err *err);

#endif
