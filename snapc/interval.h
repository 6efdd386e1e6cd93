/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How often to checkpoint. */
#ifndef SNAPC_INTERVAL_H
#define SNAPC_INTERVAL_H

/**
 * snapc_interval_daly - time of work between two checkpoints that loses least
 * @cost_s: what one checkpoint costs, > 0
 * @mtbf_s: mean time between failures, > 0
 *
 * The higher-order estimate of J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future Generation
 * Computer Systems 22 (2006), equation 37.
 *
 * Return: seconds from the end of a checkpoint to the beginning of the next.
 */
double snapc_interval_daly(double cost_s, double mtbf_s);

#endif
