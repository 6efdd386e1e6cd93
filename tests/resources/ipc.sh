#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# System V queues and semaphores of a tree: two processes that share them, what the end of one undoes; content that is put back after the program has gone
# on; objects that are gone; those that somebody else uses, which are left alone.
# shellcheck source=tests/resources/lib.sh
. "$(dirname "$0")/lib.sh"
AS_USER=
[ "$(id -u)" != 0 ] || AS_USER="setpriv --bounding-set=-sys_admin,-checkpoint_restore"
OTHERS=$WORK/others

# Left behind by programs that were killed, and no others'
remove_objects() { if [ -s "$RUN/objects" ]; then read -r queue set <"$RUN/objects"; ipcrm -q "$queue" 2>/dev/null; ipcrm -s "$set" 2>/dev/null; fi; }
give_up()
{
	say_file "$RUN/ckpt.err" 4
	say_file "$RUN/err" 4
	say_file "$OUT" 4
	if alive "$JOB"; then kill_job; fi
	remove_objects
	exec 8>&-
	not_ok "$1"
}
# refuses WORDS: a restart that does not begin
refuses()
{
	local rc
	# shellcheck disable=SC2086
	timeout -k 5 60 ${2:-} cr_restart "$RUN/context" <"$RUN/orders" >"$RUN/refused" 2>&1 8>&-
	rc=$?
	grep -qF -- "$1" "$RUN/refused" && [ $rc != 0 ] || { say_file "$RUN/refused" 4; return 1; }
}
again() { saved --tree && resume && order_verify; }

RUN=$WORK/family
begin "$PROGS/ipc_family" && save --tree && order_verify || { give_up "a tree with a queue and semaphores: it goes on after a checkpoint"; done_testing; }
ok "a tree with a queue and semaphores: it goes on after a checkpoint"
read -r queue set <"$RUN/objects"
# It has gone on, and its objects with it
refuses "was saved with it; end that one" && check "the program still runs: a restart leaves its objects alone" order_verify || not_ok "the program still runs: a restart leaves its objects alone"
kill_job
resume
order_verify || { give_up "what it did after the checkpoint is undone"; done_testing; }
ok "what it did after the checkpoint is undone"
again || { give_up "restarted"; done_testing; }
ok "restarted"
again && again || { give_up "restarted three times in a chain"; done_testing; }
ok "restarted three times in a chain"

# Gone, and made again under their numbers; or not
saved --tree || not_ok "saved once more"
ipcrm -q "$queue" -s "$set"
if [ "$(id -u)" = 0 ]; then
	check "objects that are gone: refused to who cannot make them" refuses "CAP_CHECKPOINT_RESTORE" "$AS_USER"
	resume
	order_verify || { give_up "objects that are gone are made again under their numbers"; done_testing; }
	check "objects that are gone are made again under their numbers" sh -c "ipcs -q -i $queue | grep -q 'msqid=$queue' && ipcs -s -i $set | grep -q 'semid=$set'"
	saved --tree || not_ok "saved once more"
	# Somebody else uses the queue now
	perl -e 'msgsnd($ARGV[0], pack("l! a*", 77, "theirs"), 0) or die; open my $f, ">", $ARGV[1]; close $f; sleep 1 until -e $ARGV[2]' "$queue" "$OTHERS" "$OTHERS.end" 8>&- &
	other=$! STARTED+=($!)
	for ((i = 0; i < 600; i++)); do if [ -e "$OTHERS" ]; then break; fi; nap 50; done
	check "a queue that somebody else uses: the restart is refused" refuses "is used by process $other (perl)"
	check "... and what that one has sent is still there" perl -e 'my $m; exit !(msgrcv($ARGV[0], $m, 100, 77, 2048) && $m =~ /theirs$/)' "$queue"
	kill "$other"
	wait "$other" 2>/dev/null
	# No privilege is needed for what is still there
	RESTART_WITH=$AS_USER
fi
resume
order_verify && order_end || { give_up "objects that are still there, taken again without a privilege"; done_testing; }
ok "objects that are still there, taken again without a privilege"
check "nothing is left behind at the end" sh -c "! ipcs -q -i $queue 2>/dev/null | grep -q msqid && ! ipcs -s -i $set 2>/dev/null | grep -q semid"

# POSIX shared memory and named semaphores: the content is the checkpoint's
RESTART_WITH=
RUN=$WORK/named
begin "$BIN/named_semaphores" && save || { give_up "named memory: saved"; done_testing; }
memory=/dev/shm/ompi-cr-memory-$JOB
files=$(ls -d "$memory" /dev/shm/sem.ompi-cr-*-"$JOB")
kill_job
printf x | dd of="$memory" bs=1 seek=9000 conv=notrunc status=none
# shellcheck disable=SC2016
perl -e 'open my $f, "<", $ARGV[0] or die; my $p = syscall(9, 0, 4096, 1, 1, fileno $f, 0); open my $g, ">", $ARGV[1]; close $g; sleep 1 while 1' "$memory" "$OTHERS.maps" &
other=$! STARTED+=($!)
for ((i = 0; i < 600; i++)); do if [ -e "$OTHERS.maps" ]; then break; fi; nap 50; done
check "named memory that somebody else maps: the restart is refused" refuses "is in that of process $other now"
check "... and its content is still theirs" cmp -s <(dd if="$memory" bs=1 skip=9000 count=1 status=none) <(printf x)
kill "$other"
wait "$other" 2>/dev/null
resume
order_verify || { give_up "named memory: what was done after the checkpoint is undone"; done_testing; }
ok "named memory: what was done after the checkpoint is undone"
saved || not_ok "saved once more"
# shellcheck disable=SC2086
rm -f $files
resume
order_verify && order_end || { give_up "named memory and semaphores that are gone are made again"; done_testing; }
ok "named memory and semaphores that are gone are made again"
done_testing
