# SPDX-License-Identifier: GPL-2.0-or-later
# mpi_coverage.awk - make docs/mpi-coverage.md: for every function of mpi.h whether it survives a checkpoint, and the test that shows it.
#   awk -v top=DIR -f mpi_coverage.awk mpi_coverage.def mpi_calls.def
# Fails, with the names on standard error, when a function has no test or a test does not exist.

function fail(text) { print "mpi_coverage: " text > "/dev/stderr"; bad = 1 }

# The functions that the program @file names.
function read_program(test, file,    line, word) {
	if ((getline line < file) < 0) {
		fail(test ": no program " file)
		return
	}
	do {
		while (match(line, /MPIX?_[A-Za-z_0-9]+/)) {
			word = substr(line, RSTART, RLENGTH)
			if (!(word in test_of))
				test_of[word] = test
			line = substr(line, RSTART + RLENGTH)
		}
	} while ((getline line < file) > 0)
	close(file)
}

function check_test(test,    file, line) {
	file = test
	sub(/^check\//, "abi/", file)
	file = top "/tests/" file ".sh"
	if ((getline line < file) < 0)
		fail("no test " test " (" file ")")
	close(file)
}

FNR == NR && /^test / {
	check_test($2)
	for (i = 3; i <= NF; i++)
		read_program($2, top "/" $i)
}
FNR == NR && /^like / { check_test($3); like_expr[++likes] = $2; like_test[likes] = $3 }
FNR == NR && /^states / {
	file = top "/" $2
	while ((getline line < file) > 0)
		if (line ~ /^STATE\(/) {
			split(line, field, /^STATE\(|, |"/)
			state[++states] = sprintf("| %s/%s | %s |", field[2], field[3], substr(line, index(line, "\"") + 1, length(line) - index(line, "\"") - 2))
		}
	close(file)
	if (!states)
		fail("no states in " file)
}
FNR == NR && /^(nocr|call) / {
	kind[++notes] = $1
	note_expr[notes] = $2
	text = $0
	sub(/^[a-z]+ [^ ]+ /, "", text)
	note_text[notes] = text
}

FNR != NR && /^CRCP_CALL\([A-Z0-9]+, / {
	split($0, field, /, |\(/)
	class = field[2]
	name = field[4]
	verdict = "survives"
	for (i = notes; i > 0; i--)
		if ((class " " name) ~ note_expr[i])
			verdict = (kind[i] == "nocr" ? "NOCR: " : "") note_text[i]
	test = test_of[name]
	for (i = 1; test == "" && i <= likes; i++)
		if ((class " " name) ~ like_expr[i])
			test = like_test[i] " (of its kind)"
	if (test == "")
		fail(name " has no test: let a program of mpi_coverage.def call it")
	row[++rows] = sprintf("| %s | %s | %s |", name, verdict, test)
	key[rows] = name
	count[verdict ~ /^NOCR/ ? "nocr" : "survives"]++
}

END {
	if (bad)
		exit 1
	print "# MPI functions under a checkpoint\n"
	print "Made by `make mpi-coverage` from `crcp/mpi_calls.def` and `crcp/mpi_coverage.def`. One row for every function of Open MPI's `mpi.h` and"
	print "`mpi-ext.h`: does what it makes survive a checkpoint and a restart, and which test of `./run-tests` shows it. *NOCR* names the reason for which a"
	print "checkpoint is refused, and when that ends; the call itself works as without ompi-cr. *of its kind*: the test calls others that the same"
	print "wrapper serves.\n"
	printf "%d functions: %d survive, %d refuse a checkpoint for a while.\n\n", rows, count["survives"], count["nocr"]
	print "| function | checkpoint | test |"
	print "|---|---|---|"
	for (i = 1; i <= rows; i++) { # insertion sort by name
		for (j = i - 1; j > 0 && key[order[j]] > key[i]; j--)
			order[j + 1] = order[j]
		order[j + 1] = i
	}
	for (i = 1; i <= rows; i++)
		print row[order[i]]
	print "\n## States\n"
	print "`integ/mpi` checkpoints the ranks of a job inside of all of these at once, ends the job, and restarts it; then at random moments"
	print "(tests/integ/mpi/states.def).\n"
	print "| state | what the checkpoint finds |"
	print "|---|---|"
	for (i = 1; i <= states; i++)
		print state[i]
}
