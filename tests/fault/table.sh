#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A sample of the failure table: the cells marked in table.def, and some by lot.
exec bash "$(dirname "$0")/table" --sample "${CELL_SECONDS:-60}"
