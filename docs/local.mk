# SPDX-License-Identifier: GPL-2.0-or-later
# Man pages: one source each, compared with --help by tests/man/man.sh.

dist_man_MANS += docs/man/ompi-checkpoint.1 docs/man/ompi-restart.1 docs/man/ompi-snapshot.1 docs/man/ompi-cr-env.1 docs/man/ompi-cr-info.1 docs/man/ompi-cr-batch.1
