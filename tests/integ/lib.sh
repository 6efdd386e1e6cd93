# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Functions for tests with processes: start, checkpoint, kill, restart, compare. Sourced by tests/integ/*.sh, which speak TAP.
#
# From the environment: OMPI_CR_PREFIX (where ompi-cr is installed), OMPI_CR_PROGS (built test programs), SEED (to repeat a run),
# CKPTS (checkpoints per program), SCALE (percent of the steps that programs run), KEEP=1 (leave the working directory).
# The only processes that are ever killed are those started here, by pid.

set -u
# Descriptors that whoever started the test left open are not part of it: a pipe to somebody else cannot be saved.
for fd in /proc/self/fd/*; do
	fd=${fd##*/}
	if [ "$fd" -gt 2 ] && [ "$fd" != 255 ]; then eval "exec $fd>&-"; fi
done
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PREFIX=${OMPI_CR_PREFIX:-$TOP/_install}
PROGS=${OMPI_CR_PROGS:-$TOP/_build/tests/integ/progs}
SRC=$TOP/tests/integ/progs
SEED=${SEED:-$(( (RANDOM << 15 | RANDOM) % 1000000 ))}
CKPTS=${CKPTS:-$([ "${STRESS:-}" = long ] && echo 40 || echo 8)}
SCALE=${SCALE:-100}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/ompi-cr-test.XXXXXX")
AGAIN=0 FRESH=0 RUN=$WORK SEG=0 JOB='' REF='' MODE=mpi N_TEST=0 N_FAILED=0 STARTED=()
RND=$SEED

export PATH=$PREFIX/bin:$PATH
export OMPI_MCA_mca_base_component_path=$PREFIX/lib/openmpi:SYSTEM_DEFAULT:USER_DEFAULT
export OMPI_MCA_mca_base_param_file_path=$PREFIX/share/openmpi/amca-param-sets:/usr/share/openmpi/amca-param-sets
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_base_warn_component_unused=0
export OMPI_CR_SNAPSHOT_DIR=$WORK/snapshots
export OMP_NUM_THREADS=1
mkdir -p "$OMPI_CR_SNAPSHOT_DIR"
if [ "$(id -u)" = 0 ]; then
	export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
MPIRUN=$(command -v mpirun.openmpi || command -v mpirun)

say() { printf '# %s\n' "$*"; }

# say_file FILE [LINES]: its end, as TAP comments
say_file()
{
	if [ -s "$1" ]; then
		say "--- ${1#"$WORK"/}"
		tail -n "${2:-12}" "$1" | cut -c1-300 | sed 's/^/#   /'
	fi
}

ok() { N_TEST=$((N_TEST + 1)); echo "ok $N_TEST - $*"; }
not_ok() { N_TEST=$((N_TEST + 1)) N_FAILED=$((N_FAILED + 1)); echo "not ok $N_TEST - $*"; }
skip() { N_TEST=$((N_TEST + 1)); echo "ok $N_TEST - $1 # SKIP $2"; }
# check DESCRIPTION COMMAND...: one test point
check()
{
	local what=$1
	shift
	if "$@"; then ok "$what"; else not_ok "$what"; fi
}
skip_all() { echo "1..0 # SKIP $*"; exit 0; }
done_testing() { echo "1..$N_TEST"; [ "$N_FAILED" = 0 ]; exit; }

# n STEPS: as many, or SCALE percent of them (a busy machine)
n() { echo $(($1 * SCALE / 100)); }

# fit MOST SECONDS NP COMMAND...: the steps that take about so long here; at most MOST, and no less than a fourth of it: what is measured may have been something
# else that the machine did. COMMAND takes their number as its last argument
fit()
{
	local most=$1 seconds=$2 np=$3 few=$(($1 / 1000)) some=$(($1 / 50)) at begin ms
	shift 3
	if [ "$few" -lt 1 ]; then few=1; fi
	if [ "$some" -lt 4 ]; then some=4; fi
	begin=$(date +%s%N)
	"$MPIRUN" -np "$np" "$@" "$few" >/dev/null 2>&1 </dev/null
	at=$(date +%s%N)
	"$MPIRUN" -np "$np" "$@" "$some" >/dev/null 2>&1 </dev/null
	ms=$((($(date +%s%N) - at - (at - begin)) / 1000000)) # without the start and the end of mpirun
	some=$((ms > 0 ? (some - few) * seconds * 1000 / ms : most))
	if [ $some -lt $((most / 4)) ]; then some=$((most / 4)); fi
	n $((some < most ? some : most))
}

# The next number in 0 .. $1-1 of the seeded sequence, in $R
random()
{
	RND=$(( (RND * 1103515245 + 12345) & 0x7fffffff ))
	R=$(( (RND >> 8) % $1 ))
}
# nap MS: sleep; MS is a whole number
nap() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

alive()
{
	local st
	[ -r "/proc/$1/stat" ] && st=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	st=${st##*) }
	[ "${st%% *}" != Z ] && [ -n "$st" ]
}

# until_catches PID SIGNAL: until it has a handler for the signal of that number, which ends it before. At most a minute.
until_catches()
{
	local i caught
	for ((i = 0; i < 3000; i++)); do
		caught=$(awk '/^SigCgt:/ { print $2 }' "/proc/$1/status" 2>/dev/null)
		if [ $((0x${caught:-0} >> ($2 - 1) & 1)) = 1 ]; then return 0; fi
		alive "$1" || return 1
		nap 20
	done
	return 1
}

# Processes below $1, without the coordinator, which has to notice the end of the job by itself
descendants()
{
	ps -eo pid=,ppid=,comm= | awk -v top="$1" '
		{ parent[$1] = $2; name[$1] = $3 }
		END { for (p in parent) { q = p; n = 0; while (q != top && q in parent && n++ < 64) q = parent[q];
			if (q == top && p != top && name[p] != "snapcd") print p } }'
}

cleanup()
{
	local p
	for p in "${STARTED[@]}"; do
		# only if it is still our child: a pid that ended and was used again is not
		if alive "$p" && [ "$(ps -o ppid= -p "$p" | tr -d ' ')" = "$$" ]; then
			# shellcheck disable=SC2046
			kill -KILL "$p" $(descendants "$p") 2>/dev/null
		fi
	done
	wait 2>/dev/null
	if [ "${KEEP:-0}" = 1 ]; then say "kept $WORK"; else rm -rf "$WORK"; fi
}
trap cleanup EXIT
trap 'exit 143' TERM INT

# The files of the next life, empty before it begins: one of that name from before is not to be read for it
segment()
{
	SEG=$((SEG + 1)) FRESH=1
	: >"$RUN/out.$SEG"
	: >"$RUN/err.$SEG"
}

# From who calls: CKPT_ARGS, options of cr_checkpoint; RESTART_WITH, a command before cr_restart.
# start_job NP COMMAND...: in $RUN, in the background; sets JOB (pid of mpirun, or of the program when MODE=plain)
start_job()
{
	local np=$1
	shift
	segment
	if [ "$MODE" = plain ]; then
		(cd "$RUN" && exec cr_run -- "$@") >"$RUN/out.$SEG" 2>"$RUN/err.$SEG" </dev/null &
	else
		(cd "$RUN" && exec "$MPIRUN" -am ft-enable-cr -np "$np" "$@") >"$RUN/out.$SEG" 2>"$RUN/err.$SEG" </dev/null &
	fi
	JOB=$! STARTED+=($!)
}

# restart [REFERENCE [OPTION...]]: from the newest snapshot; sets JOB
restart()
{
	local ref=${1:-$REF}
	[ $# -gt 0 ] && shift
	segment
	if [ "$MODE" = plain ]; then
		(cd / && exec ${RESTART_WITH:-} cr_restart "$@" "$ref") >"$RUN/out.$SEG" 2>"$RUN/err.$SEG" </dev/null &
	else
		(cd / && exec ompi-restart "$@" "$ref") >"$RUN/out.$SEG" 2>"$RUN/err.$SEG" </dev/null &
	fi
	JOB=$! STARTED+=($!)
}

# What start_job or restart has started is still the shell that is to become it, as the last checkpoint said
unborn() { [ "$FRESH" = 1 ] && grep -q 'is not an mpirun\|there is no job\|was not started by cr_run' "$RUN/ckpt.err"; }

# checkpoint [OPTION...]: of JOB; sets REF; output in $RUN/ckpt.out, $RUN/ckpt.err. Waits as long as the program is not far enough (status 75).
checkpoint()
{
	local rc try
	for ((try = 0; try < 600; try++)); do
		if [ "$MODE" = plain ]; then
			REF_NEW=$RUN/context.$((N_CKPT + 1))
			rm -f "$REF_NEW"
			# shellcheck disable=SC2086
			timeout -k 5 60 cr_checkpoint ${CKPT_ARGS:-} "$@" -f "$REF_NEW" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
			rc=$?
		else
			timeout -k 5 90 ompi-checkpoint "$@" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
			rc=$?
			REF_NEW=$(awk '/^Snapshot Ref\.:/ { print $4 }' "$RUN/ckpt.out")
		fi
		if [ $rc = 0 ]; then
			N_CKPT=$((N_CKPT + 1))
			if [ "$MODE" = plain ] && [ $N_CKPT -gt 3 ]; then rm -f "$RUN/context.$((N_CKPT - 3))"; fi
			[ -n "$REF_NEW" ] || return 1
			REF=$REF_NEW FRESH=0
			return 0
		fi
		alive "$JOB" || return $rc
		# not there yet: a process that is still starting has no agent, a rank that is before MPI_Init says "try again"
		if [ $rc != 75 ] && { [ $N_CKPT -gt 0 ] || [ $try -gt 20 ]; } && ! unborn; then return $rc; fi
		nap $((try < 10 ? 40 : 100))
	done
	return 75
}

# kill_job: SIGKILL to mpirun and to the ranks at once, no warning
kill_job()
{
	local pids p i
	# an mpirun that is just starting ranks must not start one more behind our back: that would go on for a while and write
	kill -STOP "$JOB" 2>/dev/null
	pids=$(descendants "$JOB")
	# shellcheck disable=SC2086
	kill -KILL "$JOB" $pids 2>/dev/null
	wait "$JOB" 2>/dev/null
	for p in $pids; do
		for ((i = 0; i < 100; i++)); do alive "$p" && nap 20 || break; done
	done
}

# until_so COMMAND...: until it succeeds, as long as JOB lives. At most two minutes
until_so()
{
	local i
	for ((i = 0; i < 2400; i++)); do
		"$@" && return 0
		alive "$JOB" || return 1
		nap 50
	done
	return 1
}

# until JOB's rank 0 has written this line, has printed that step (step.h), has written something
until_says() { until_so grep -qx "$1" "$RUN/out.$SEG"; }
until_step() { until_so grep -q "^step $1 " "$RUN/out.$SEG"; }
until_speaks() { until_so [ -s "$RUN/out.$SEG" ]; }

# patiently COMMAND...: again as long as its status is 75, at most a minute; its status, also in RC
patiently()
{
	local try
	for ((try = 0; try < 600; try++)); do
		"$@"
		RC=$?
		[ $RC = 75 ] || break
		nap 100
	done
	return $RC
}

# job_end SECONDS: wait for JOB; its exit status in RC (124: it did not end)
job_end()
{
	local i
	for ((i = 0; i < $1 * 20; i++)); do
		if ! alive "$JOB"; then
			wait "$JOB"
			RC=$?
			return
		fi
		nap 50
	done
	RC=124
	kill_job
}

# Which lines count. A test may redefine it.
filter() { cat; }

# whole FILE: its complete lines (a killed job may stop in the middle of one)
whole() { if [ -s "$1" ] && [ -n "$(tail -c 1 "$1" | tr '\n' ' ' | tr -d ' ')" ]; then sed '$d' "$1"; else cat "$1"; fi; }

# covered REFERENCE SEGMENT...: every segment is a piece of the reference, none leaves a gap, together they are all of it
covered()
{
	local ref=$1 f
	shift
	filter <"$ref" >"$WORK/cov.ref"
	for f in "$@"; do
		whole "$f" | filter >"$WORK/cov.seg"
		echo "$WORK/cov.seg" >/dev/null
		cp "$WORK/cov.seg" "$f.cov"
	done
	awk -v n="$#" '
		FILENAME == ARGV[1] { ref[++lines] = $0; next }
		FNR == 1 { seg++; name[seg] = FILENAME }
		{ s[seg, ++len[seg]] = $0 }
		END {
			have = 0
			for (k = 1; k <= seg; k++) {
				found = -1
				for (p = have + 1; p >= 1 && found < 0; p--) {
					for (i = 1; i <= len[k] && ref[p + i - 1] == s[k, i] && p + i - 1 <= lines; i++);
					if (i > len[k]) found = p
				}
				if (found < 0) {
					for (p = have + 1; p > 1 && ref[p] != s[k, 1]; p--);
					for (i = 1; i <= len[k] && ref[p + i - 1] == s[k, i]; i++);
					print "# part " k " (of " seg ") is wrong in its line " i ": " s[k, i]
					print "# expected: " ref[p + i - 1]
					exit 1
				}
				if (found + len[k] - 1 > have) have = found + len[k] - 1
			}
			if (have != lines) { print "# only " have " of " lines " lines came; next would be: " ref[have + 1]; exit 1 }
		}' "$WORK/cov.ref" "${@/%/.cov}"
}

# reference NP COMMAND...: the same run without ompi-cr, in $WORK/ref; its output in $WORK/ref/out, its time in REF_MS
reference()
{
	local np=$1 rc begin
	shift
	begin=$(date +%s%N)
	rm -rf "$WORK/ref"
	mkdir -p "$WORK/ref"
	prepare "$WORK/ref"
	if [ "$MODE" = plain ]; then
		(cd "$WORK/ref" && exec timeout "${LIMIT:-200}" "$@") >"$WORK/ref/out" 2>"$WORK/ref/err" </dev/null
	else
		(cd "$WORK/ref" && exec timeout "${LIMIT:-200}" "$MPIRUN" -np "$np" "$@") >"$WORK/ref/out" 2>"$WORK/ref/err" </dev/null
	fi
	rc=$?
	REF_MS=$((($(date +%s%N) - begin) / 1000000))
	[ $rc = 0 ] || say_file "$WORK/ref/err"
	return $rc
}
# prepare DIR: input files of a run. A test may redefine it.
prepare() { :; }

explain()
{
	say "seed $SEED, checkpoints $N_CKPT, restarts $N_RESTART, last status ${RC:-?}"
	say_file "$RUN/ckpt.err"
	say_file "$RUN/err.$SEG"
	local last=$SEG
	while [ "$last" -gt 1 ] && ! [ -s "$RUN/out.$last" ]; do last=$((last - 1)); done # a program whose output is a file goes on in that
	say_file "$RUN/out.$last" 4
}

# chain NAME NP COMMAND...: one test point. Runs it uninterrupted for reference, then under ompi-cr with at least CKPTS checkpoints at random moments; after
# every few of them the job is killed and restarted from the newest snapshot; what is restarted is checkpointed again. Files named in FILES must be equal.
# A program that knows STEP_HOLD (step.h) does not end before its last checkpoint, however late that is.
# GAP: largest pause between two checkpoints in ms. LIMIT: seconds for the whole.
chain()
{
	local name=$1 np=$2 until_kill begin f rc gap patience
	shift 2
	RUN=$WORK/run SEG=0 N_CKPT=0 N_RESTART=0 RC=''
	rm -rf "$RUN" "${OMPI_CR_SNAPSHOT_DIR:?}"/*
	mkdir -p "$RUN"
	prepare "$RUN"
	if ! reference "$np" "$@"; then
		not_ok "$name: the uninterrupted run failed"
		return
	fi
	gap=$((REF_MS * 6 / 10 / CKPTS)) # all of them fit in, on a quick machine too
	if [ $gap -gt "${GAP:-300}" ]; then gap=${GAP:-300}; fi
	if [ $gap -lt 3 ]; then gap=3; fi
	begin=$SECONDS
	STEP_HOLD=-2:$RUN/enough start_job "$np" "$@"
	random 3
	until_kill=$((R + 2 < CKPTS ? R + 2 : CKPTS)) # one restart at least
	while alive "$JOB"; do
		if [ $((SECONDS - begin)) -gt "${LIMIT:-200}" ]; then
			kill_job
			RC=124
			explain
			not_ok "$name: not finished after ${LIMIT:-200} s"
			return
		fi
		random $gap
		nap $((R + 2))
		if [ $N_CKPT -ge "$CKPTS" ]; then
			: >"$RUN/enough"
			continue
		fi
		alive "$JOB" || break
		checkpoint
		rc=$?
		if [ $rc != 0 ]; then
			# It may just be ending; when its coordinator has ended, it certainly is.
			patience=$((${MAY_REFUSE:-0} == 1 ? 10 : 100))
			if grep -q 'there is no job\|is not an mpirun\|the job is ending' "$RUN/ckpt.err"; then patience=300; fi
			for ((f = 0; f < patience; f++)); do alive "$JOB" && nap 100 || break; done
			alive "$JOB" || break
			if [ "${MAY_REFUSE:-0}" = 1 ] && [ $rc != 124 ]; then continue; fi
			explain
			not_ok "$name: checkpoint $((N_CKPT + 1)) failed (status $rc)"
			kill_job
			return
		fi
		until_kill=$((until_kill - 1))
		if [ $until_kill = 0 ]; then
			random $gap
			nap $((R + gap / 5)) # no longer than the program has left to run
			alive "$JOB" || break
			kill_job
			restart
			N_RESTART=$((N_RESTART + 1))
			random 4
			until_kill=$((R + 3))
		fi
	done
	wait "$JOB"
	RC=$?
	if [ $RC != 0 ]; then
		explain
		not_ok "$name: ended with status $RC"
		return
	fi
	# shellcheck disable=SC2046
	if ! covered "$WORK/ref/out" $(seq -f "$RUN/out.%g" 1 $SEG); then
		explain
		not_ok "$name: the output differs from the uninterrupted run's"
		return
	fi
	for f in ${FILES:-}; do
		if ! cmp -s <(filter <"$WORK/ref/$f") <(filter <"$RUN/$f"); then
			explain
			diff <(filter <"$WORK/ref/$f") <(filter <"$RUN/$f") | head -8 | sed 's/^/# /'
			not_ok "$name: the file $f differs from the uninterrupted run's"
			return
		fi
	done
	if [ $N_CKPT -lt "$CKPTS" ] || [ $N_RESTART -lt $((CKPTS < 15 ? 1 : 2)) ]; then
		# The machine was too busy for the pauses between the checkpoints: the whole again, with shorter ones.
		if [ $AGAIN -lt 4 ]; then
			AGAIN=$((AGAIN + 1))
			GAP=$((gap / 3 + 1)) chain "$name" "$np" "$@"
			AGAIN=0
			return
		fi
		not_ok "$name: the run was too short: $N_CKPT checkpoints of $CKPTS, $N_RESTART restarts"
		return
	fi
	ok "$name ($N_CKPT checkpoints, $N_RESTART restarts, $((SECONDS - begin)) s)"
}

need() { command -v "$1" >/dev/null || skip_all "$1 is not installed (Debian: $2)"; }
say "seed $SEED (SEED=$SEED repeats this run)"
