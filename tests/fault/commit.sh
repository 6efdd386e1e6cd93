#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The commit on the disk: SIGKILL in the place of every single operation, an error of the device in it, and every state that a power loss after it may leave,
# each followed by ompi-snapshot verify and a checked restart. The old snapshot, or the old and the new one; never neither. No MPI job is needed.
. "$(dirname "$0")/../integ/lib.sh"
MAKE=${OMPI_CR_BUILD:-$TOP/_build}/tests/unit/make_snapshot
SHIM=${OMPI_CR_BUILD:-$TOP/_build}/tests/fault/crash_shim.so REF=ompi_global_snapshot_4711.ckpt
[ -x "$MAKE" ] && [ -f "$SHIM" ] || skip_all "make_snapshot or crash_shim.so is not built"
need python3 python3
unset OMPI_MCA_ompi_cr_snapshot_dir
DIR=$WORK/tree EVERY=${EVERY:-4}
# These context files hold no program: what `cr_restart --check` would say of them is not the question here
printf '#!/bin/sh\nexit 0\n' >"$WORK/cr_restart" && chmod +x "$WORK/cr_restart"
export OMPI_CR_RESTORER=$WORK/cr_restart

# Sequences that are listed, when all of them are good; else words
verdict()
{
	[ -e "$DIR/$REF/global_snapshot_meta.h5" ] || { echo none; return; }
	ompi-snapshot verify "$DIR/$REF" >"$WORK/verify" 2>"$WORK/verify.err" || { echo "bad: $(tail -1 "$WORK/verify.err")"; return; }
	ompi-restart --dry-run "$DIR/$REF" >"$WORK/dry" 2>&1 || { echo "restart: $(tail -1 "$WORK/dry")"; return; }
	awk '/^sequence/ { sub(":", "", $2); printf "%s%s", c, $2; c = "," }' "$WORK/verify"
}
# every NAME KEEP BEFORE ALLOWED AFTER: the operations of one more snapshot, each of them with CRASH_AT and CRASH_EIO
every()
{
	local name=$1 keep=$2 before=$3 allowed=" $4 " after=$5 how n got bad=0
	for how in CRASH_AT CRASH_EIO; do
		# Not all of them in each run, but another selection each time (EVERY=1: all)
		random "$EVERY"
		for ((n = 1 + R; n < 400; n += EVERY)); do
			rm -rf "$DIR"
			cp -a "$before" "$DIR"
			# shellcheck disable=SC2016 # a shell between, which says that its child was killed to a file
			bash -c '"$@"; exit $?' made env "$how=$n" CRASH_ROOT="$DIR" MAKE_SNAPSHOT_KEEP="$keep" LD_PRELOAD="$SHIM" "$MAKE" "$DIR" 2 1 \
				>"$WORK/made" 2>&1
			RC=$?
			got=$(verdict)
			case $allowed in *" $got "*) ;; *) bad=$((bad + 1)); say "$name, $how=$n: $got" ;; esac
			# A commit that failed says so, one that says nothing is there.
			# (One that cannot remove the old one is a commit all the same.)
			[ $RC != 0 ] || [ "$got" = "$after" ] || [ "$how,$got" = CRASH_EIO,0,1 ] || { bad=$((bad + 1)); say "$name, $how=$n: success, but $got"; }
			# what is left does not harm the next one, and goes with it
			"$MAKE" "$DIR" 2 1 >"$WORK/made2" 2>&1 || { bad=$((bad + 1)); say "$name, $how=$n: the next one fails: $(tail -1 "$WORK/made2")"; }
			ompi-snapshot verify -q "$DIR/$REF" || { bad=$((bad + 1)); say "$name, $how=$n: the next one is not valid"; }
			[ -z "$(find "$DIR" -name '*.tmp')" ] || { bad=$((bad + 1)); say "$name, $how=$n: left $(find "$DIR" -name '*.tmp' | head -1)"; }
			[ "$how" = CRASH_EIO ] || [ $RC = 137 ] || break
			[ "$how" = CRASH_AT ] || [ $((n + EVERY)) -lt "$last" ] || break
		done
		[ "$how" = CRASH_EIO ] || last=$n
	done
	check "$name: killed before, or failing in, every ${EVERY}th of $((last - 1)) operations: one of $4" [ $bad = 0 -a "$last" -gt 10 ]
}
# lost NAME KEEP BEFORE MAY...: the states after a power loss
lost()
{
	local name=$1 keep=$2 before=$3 rc
	shift 3
	rm -rf "$DIR" "$WORK/log"
	cp -a "$before" "$DIR"
	echo "$DIR" >"$WORK/log"
	CRASH_LOG=$WORK/log CRASH_ROOT=$DIR MAKE_SNAPSHOT_KEEP=$keep LD_PRELOAD=$SHIM "$MAKE" "$DIR" 2 1 >"$WORK/made" 2>&1
	rc=$?
	[ $rc = 0 ] || say_file "$WORK/made"
	python3 "$TOP/tests/fault/crash_replay.py" "$WORK/log" "$before" "$REF" "$WORK/state" "$@"
	rc=$((rc + $?))
	check "$name: after a power loss at each operation: one of $*" [ $rc = 0 ]
}
mkdir "$WORK/none"
mkdir "$WORK/one"
"$MAKE" "$WORK/one" 2 1 >/dev/null || { echo "1..1"; echo "not ok 1 - make_snapshot"; exit 1; }
lost "the first snapshot" 0 "$WORK/none" none 0
lost "one more" 0 "$WORK/one" 0 0,1
# The model finds what it is for
without_fsync()
{
	grep -v "^fsync" "$WORK/log" >"$WORK/log.without"
	! python3 "$TOP/tests/fault/crash_replay.py" "$WORK/log.without" "$WORK/one" "$REF" "$WORK/state" 0 0,1 >"$WORK/without" 2>&1 && grep -q ' bad$' "$WORK/without"
}
check "the same commit without its fsyncs is found out" without_fsync
lost "one more, the old one is removed after it" 1 "$WORK/one" 0 0,1 1
every "one more" 0 "$WORK/one" "0 0,1" 0,1
every "one more, the old one is removed after it" 1 "$WORK/one" "0 0,1 1" 1
done_testing
