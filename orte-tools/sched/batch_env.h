/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Environment by which `sbatch --ft-cr` has a plain mpirun or srun of the batch script run under ompi-cr-batch. */
#ifndef BATCH_ENV_H
#define BATCH_ENV_H

#define BATCH_ENV_AUTO "OMPI_CR_BATCH_AUTO"   /* set: mpirun becomes ompi-cr-batch */
#define BATCH_ENV_RUNS "OMPI_CR_BATCH_RUNS"   /* set by ompi-cr-batch: it has become one */
#define BATCH_ENV_GRACE "OMPI_CR_BATCH_GRACE" /* its --grace */

#endif
