# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The reader's jobs are the only ones that --latest finds: others of the same user may run beside this test.
export OMPI_CR_REGISTRY_DIR=$WORK/registry
mkdir -m 700 "$OMPI_CR_REGISTRY_DIR"
