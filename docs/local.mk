# SPDX-License-Identifier: GPL-2.0-or-later
# Man pages: one source each, compared with --help by tests/man/man.sh; the documents.

dist_man_MANS += docs/man/cr_run.1 docs/man/cr_checkpoint.1 docs/man/cr_restart.1 docs/man/cr_inspect.1 \
	docs/man/ompi-checkpoint.1 docs/man/ompi-restart.1 docs/man/ompi-snapshot.1 docs/man/ompi-cr-env.1 docs/man/ompi-cr-info.1 docs/man/ompi-cr-batch.1 \
	docs/man/ompi-cr-srun.1 docs/man/ompi-cr-hook.1

dist_doc_DATA += docs/architecture.md docs/blcr-migration.md docs/context-file-format.md docs/dependencies.md docs/failure-table.md docs/install.md \
	docs/kmod.md docs/metadata.md docs/mpi-coverage.md docs/openmpi-migration.md docs/operations.md docs/protocol.md docs/schedulers.md \
	docs/user-guide.md docs/what-is-saved.md
