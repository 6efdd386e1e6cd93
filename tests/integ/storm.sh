#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A busy program with threads that checks every step it takes, under checkpoints at random instants, one as soon as possible after the other;
# every so often it is killed and restarted. STRESS=long takes ten thousand, and a thousand restarts of one image.
. "$(dirname "$0")/lib.sh"
MODE=plain
CKPTS=300 EVERY=60 RESTARTS=50
if [ "${STRESS:-}" = long ]; then CKPTS=10000 EVERY=250 RESTARTS=1000; fi
CKPTS=${STORM_CKPTS:-$CKPTS}
need cr_run "(this project: make install)"
# Context files are large and short-lived: in memory when there is room
if [ -w /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')" -gt 500000 ]; then
	SHM=$(mktemp -d /dev/shm/ompi-cr-test.XXXXXX)
	trap 'cleanup; rm -rf "$SHM"' EXIT
else
	SHM=$WORK
fi

# soon_ready: until the agent of JOB answers
soon_ready()
{
	local i
	for ((i = 0; i < 1200; i++)); do
		if cr_checkpoint --check "$JOB" >"$RUN/ckpt.out" 2>&1; then return 0; fi
		alive "$JOB" || return 1
		nap 50
	done
	return 1
}

storm()
{
	local n=0 tries=0 rc restarts=0 begin=$SECONDS
	RUN=$WORK/storm SEG=0
	mkdir -p "$RUN"
	start_job 1 "$PROGS/storm" "$RUN/records"
	while [ $n -lt "$CKPTS" ]; do
		if [ $n = 0 ] || [ $tries -gt 0 ]; then soon_ready || break; fi
		# a machine that is too slow for all of them
		if [ $((SECONDS - begin)) -gt 300 ] && [ "${STRESS:-}" != long ] && [ $n -ge $EVERY ]; then CKPTS=$n; fi
		random 4
		if [ "$R" = 0 ]; then
			random 9
			nap "$R"
		fi
		timeout -k 5 90 cr_checkpoint --nosync -q -f "$SHM/context.new" "$JOB" >"$RUN/ckpt.out" 2>"$RUN/ckpt.err"
		rc=$?
		if [ $rc = 75 ] && [ $tries -lt 100 ]; then
			tries=$((tries + 1))
			continue
		fi
		[ $rc = 0 ] || break
		tries=0 n=$((n + 1))
		mv "$SHM/context.new" "$SHM/context"
		if [ $((n % EVERY)) = 0 ]; then
			kill_job
			restart "$SHM/context"
			restarts=$((restarts + 1))
			soon_ready || break
		fi
	done
	say "seed $SEED, $n checkpoints, $restarts restarts, $((SECONDS - begin)) s"
	check "storm: every checkpoint succeeds, the program lives" [ $n = "$CKPTS" ]
	if [ $n != "$CKPTS" ]; then
		say "checkpoint $((n + 1)): status ${rc:-?}"
		say_file "$RUN/ckpt.err"
		say_file "$RUN/ckpt.out"
	fi
	until_catches "$JOB" 15
	kill -TERM "$JOB" 2>/dev/null
	job_end 60
	check "storm: the program ends when it is told to, with every step right" [ "$RC" = 0 ]
	[ "$RC" = 0 ] || say "status $RC"
	say_file "$RUN/err.$SEG"
	say_file "$RUN/out.1" 3
	check "storm: it says so" grep -qx ok "$RUN/out.1"
	check "storm: a record for each step" [ "$(($(stat -c %s "$RUN/records") / 16))" = "$(awk '/^steps:/ { print $4 }' "$RUN/out.1")" ]
}

# The same image again and again: the addresses that the kernel deals out to the new process must never be in its way.
restarts()
{
	local i
	RUN=$WORK/restarts SEG=0
	mkdir -p "$RUN"
	start_job 1 "$PROGS/await" "$RUN/go"
	soon_ready
	check "restarts: checkpoint" cr_checkpoint --nosync -q --kill -f "$SHM/context" "$JOB"
	job_end 60
	: >"$RUN/go"
	: >"$RUN/out.1"
	for ((i = 1; i <= RESTARTS; i++)); do
		timeout -k 5 120 cr_restart "$SHM/context" >"$RUN/out" 2>"$RUN/err" </dev/null
		RC=$?
		[ $RC = 0 ] && [ "$(cat "$RUN/out" "$RUN/out.1")" = ok ] || break
		: >"$RUN/out.1"
	done
	check "restarts: $RESTARTS of one image" [ $i -gt "$RESTARTS" ]
	if [ $i -le "$RESTARTS" ]; then
		say "restart $i: status $RC"
		say_file "$RUN/err"
		say_file "$RUN/out"
	fi
}

# An image whose memory lies where the kernel puts our own libraries: most restarts meet that, and begin again with other addresses.
in_the_way()
{
	local i tries=$((RESTARTS / 5))
	RUN=$WORK/in_the_way
	mkdir -p "$RUN"
	mkfifo "$RUN/orders"
	exec 8<>"$RUN/orders"
	# A pipe, so that each restart has its own output
	mkfifo "$RUN/pipe"
	cat "$RUN/pipe" >"$RUN/out" 8>&- &
	(cd "$RUN" && exec cr_run -- "${OMPI_CR_BUILD:-$TOP/_build}/tests/resources/addresses") <"$RUN/orders" >"$RUN/pipe" 2>"$RUN/err" 8>&- &
	JOB=$! STARTED+=($!)
	for ((i = 0; i < 3000; i++)); do grep -qx ready "$RUN/out" && break; nap 20; done
	check "in the way: checkpoint" cr_checkpoint --nosync -q --kill -f "$SHM/context" "$JOB"
	job_end 60
	exec 8>&-
	for ((i = 1; i <= tries; i++)); do
		[ "$(echo verify | timeout -k 5 120 cr_restart "$SHM/context" 2>"$RUN/err")" = verified ] || break
	done
	check "in the way: $tries restarts" [ $i -gt $tries ]
	[ $i -gt $tries ] || say_file "$RUN/err"
}

storm
restarts
in_the_way
done_testing
