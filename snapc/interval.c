/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapc/interval.h"

#include <math.h>

double snapc_interval_daly(double cost_s, double mtbf_s)
{
	double ratio = cost_s / (2 * mtbf_s);

	if (ratio >= 1)
		return mtbf_s;
	return sqrt(2 * cost_s * mtbf_s) * (1 + sqrt(ratio) / 3 + ratio / 9) - cost_s;
}
