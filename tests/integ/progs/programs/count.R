# SPDX-License-Identifier: GPL-2.0-or-later
# A matrix and random numbers that grow with the steps.
steps <- as.integer(commandArgs(trailingOnly = TRUE)[1])
set.seed(7)
m <- diag(40)
# The last steps are not made before the test has done what it wants (step.h)
hold <- sub("^[^:]*:", "", Sys.getenv("STEP_HOLD"))
for (step in seq_len(steps)) {
	while (step == steps - 1 && nchar(hold) && !file.exists(hold)) Sys.sleep(0.01)
	m <- (m %*% matrix(runif(1600), 40)) / 20
	fit <- lm(y ~ x, data.frame(x = 1:200, y = rnorm(200) + step * (1:200)))
	cat(sprintf("step %d %.9f %.9f\n", step, sum(m), coef(fit)[[2]]))
}
