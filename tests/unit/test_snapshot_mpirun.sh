#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The component inside mpirun: -am works, protection is started and ended, and without -am nothing is different. TAP.
# Coordinator and cr_run are scripts here that print what they are given.
top=$(cd "${top_builddir:-.}" && pwd)
src=$(cd "${top_srcdir:-.}" && pwd)
built=$top/orte-tools/mca/.libs/mca_schizo_ompicr.so
mpirun=$(command -v mpirun.openmpi || command -v mpirun) || { echo "1..0 # SKIP no mpirun"; exit 0; }
[ -e "$built" ] || { echo "Bail out! $built is not built"; exit 99; }
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
export TMP="$tmp" XDG_RUNTIME_DIR="$tmp/run" HOME="$tmp/home"
mkdir -m 700 "$tmp/run" "$tmp/home" "$tmp/component"
component=$tmp/component
ln -s "$built" "$component/"
for v in $(env | sed -n 's/^\(OMPI_[A-Z_a-z0-9]*\)=.*/\1/p'); do unset "$v"; done
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

cat >"$tmp/snapcd" <<'END'
#!/bin/sh
echo "$@" >"$TMP/args"
env >"$TMP/env"
echo ready >&3
[ -z "$FAKE_TERMINATE" ] || { sleep 1; echo terminate >&3; }
[ -z "$FAKE_DIE" ] || exit 0
cat <&3 >/dev/null
echo gone >"$TMP/gone"
END
printf '#!/bin/sh\necho "through cr_run: $*" >>"$TMP/started"\nexec "$@"\n' >"$tmp/cr_run"
printf '#!/bin/sh\nexit 1\n' >"$tmp/dead_snapcd"
printf '#!/bin/sh\necho "error: the moon is full" >&3\n' >"$tmp/sorry_snapcd"
printf 'btl = self,vader\nspaces = a b c\nquoted = "x y"\n# comment\n\nmca_base_env_list = AMCA_A=1;AMCA_B=two words\n' >"$tmp/set.conf"
chmod +x "$tmp/snapcd" "$tmp/cr_run" "$tmp/dead_snapcd" "$tmp/sorry_snapcd"

n=0
ok() { # ok STATUS NAME
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; { head -n 20 "$tmp/err"; tail -n 8 "$tmp/out"; } 2>/dev/null | sed 's/^/# /'; fi
}
plain() { timeout 60 "$mpirun" --oversubscribe "$@" >"$tmp/out" 2>"$tmp/err"; status=$?; }
with() {
	rm -f "$tmp/args" "$tmp/env" "$tmp/gone"
	: >"$tmp/started"
	OMPI_MCA_mca_base_component_path="$component:SYSTEM_DEFAULT:USER_DEFAULT" \
	OMPI_MCA_mca_base_param_file_path="$src/orte-tools/amca:$tmp" \
	OMPI_MCA_ompi_cr_run="$tmp/cr_run" OMPI_MCA_ompi_cr_snapcd="${SNAPCD:-$tmp/snapcd}" plain "$@"
}
names() { sed -n 's/^\([A-Za-z_0-9]*\)=.*/\1/p' "$1" | grep -v -e '^OMPI_MCA_mca_base_component_path$' -e '^OMPI_MCA_mca_base_param_file_path$' -e '^OMPI_MCA_ompi_cr_' | sort; }
wait_for() { i=0; while [ ! -e "$1" ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done; [ -e "$1" ]; }

# Without -am.
plain -np 1 env; names "$tmp/out" >"$tmp/names"; grep -v -e PMIX -e HOSTNAME "$tmp/err" >"$tmp/err1"
with -np 1 env; names "$tmp/out" >"$tmp/names2"; grep -v -e PMIX -e HOSTNAME "$tmp/err" >"$tmp/err2"
[ $status -eq 0 ] && cmp -s "$tmp/names" "$tmp/names2" && cmp -s "$tmp/err1" "$tmp/err2" && [ ! -e "$tmp/args" ]; ok $? "without -am: the same environment, no words, no coordinator"
with -np 2 sh -c 'exit 5'
[ $status -eq 5 ] && [ ! -e "$tmp/args" ]; ok $? "without -am: the same exit status"
with --version; cp "$tmp/out" "$tmp/version"; plain --version
[ $status -eq 0 ] && cmp -s "$tmp/out" "$tmp/version"; ok $? "without -am: --version"

# -am as it was meant.
with -am "$tmp/set.conf" -np 1 env
[ $status -eq 0 ] && grep -q '^OMPI_MCA_btl=self,vader$' "$tmp/out" && grep -q '^OMPI_MCA_spaces=a b c$' "$tmp/out" && grep -q '^OMPI_MCA_quoted=x y$' "$tmp/out"; ok $? "-am FILE is applied"
grep -q '^AMCA_A=1$' "$tmp/out" && grep -q '^AMCA_B=two words$' "$tmp/out"; ok $? "mca_base_env_list of the file reaches the ranks"
[ ! -s "$tmp/err" ] && [ ! -e "$tmp/args" ] && [ ! -s "$tmp/started" ]; ok $? "another set: no banner, no protection"
OMPI_MCA_btl=self,tcp with -am set.conf -np 1 env
grep -q '^OMPI_MCA_btl=self,tcp$' "$tmp/out"; ok $? "environment goes before the file, which is found by name"
OMPI_MCA_btl=self,tcp with -am set.conf --mca btl self -np 1 env
grep -q '^OMPI_MCA_btl=self$' "$tmp/out"; ok $? "command line goes before the environment"
with -am no-such-set -np 1 true
grep -q no-such-set "$tmp/err" && [ ! -e "$tmp/args" ]; ok $? "a set that is not there is still complained about"
printf 'this is not a line\n' >"$tmp/broken.conf"
with -am broken.conf -np 1 true
[ $status -eq 0 ] && grep -q 'broken.conf:1:' "$tmp/err"; ok $? "a line that is not understood is named"

# Protection.
# The ranks write to files: mpirun may put one rank's words into another's line.
with -am ft-enable-cr -np 2 sh -c 'env >"$TMP/rank.$OMPI_COMM_WORLD_RANK"'
[ $status -eq 0 ] && [ "$(grep -c '^through cr_run: sh -c env' "$tmp/started")" -eq 2 ]; ok $? "every rank is started through cr_run"
sock=$(sed -n 's/.*--socket \([^ ]*\).*/\1/p' "$tmp/args")
[ -n "$sock" ] && grep -q "^OMPI_CR_SNAPC_SOCKET=$sock\$" "$tmp/rank.0" && grep -q "^OMPI_CR_SNAPC_SOCKET=$sock\$" "$tmp/rank.1"; ok $? "the ranks know the coordinator's socket"
pid=$(sed -n 's/.*--mpirun-pid \([0-9]*\).*/\1/p' "$tmp/args")
grep -q -- "--snapshot-dir $tmp/home --ref ompi_global_snapshot_$pid.ckpt" "$tmp/args" && ! grep -q restarted-from "$tmp/args"; ok $? "the coordinator knows directory and reference"
[ "$(grep -c . "$tmp/err")" -eq 1 ] && grep -q "^ompi-cr: job [0-9]*\.1 (mpirun pid $pid), snapshots in $tmp/home\$" "$tmp/err"; ok $? "one line says what can be checkpointed"
! grep -q -e '^OMPI_MCA_orte_fork_agent=' -e '^OMPI_MCA_mca_base_param_file_prefix=' "$tmp/rank.0" "$tmp/rank.1"; ok $? "ranks do not inherit what concerns mpirun alone"
wait_for "$tmp/gone"; ok $? "the coordinator sees the end of mpirun"
touch -d '9 days ago' "$tmp/run/ompi-cr/snapcd-1.log"; touch -d '2 days ago' "$tmp/run/ompi-cr/snapcd-2.log"
with -q -am ft-enable-cr -np 1 true
[ ! -e "$tmp/run/ompi-cr/snapcd-1.log" ] && [ -e "$tmp/run/ompi-cr/snapcd-2.log" ]; ok $? "old logs go away"
[ $status -eq 0 ] && [ ! -s "$tmp/err" ]; ok $? "mpirun -q: not a word"
with -am ft-enable-cr -np 2 sh -c 'exit 7'
[ $status -eq 7 ]; ok $? "the exit status of a protected job"
with -am ft-enable-cr --mca ompi_cr_enable 0 -np 1 env
[ $status -eq 0 ] && [ ! -e "$tmp/args" ] && [ ! -s "$tmp/started" ]; ok $? "protection can be switched off"
with --mca ompi_cr_enable 1 -np 1 true
[ -e "$tmp/args" ] && grep -q 'through cr_run' "$tmp/started"; ok $? "and on without a set"
with -am ft-enable-cr --mca ompi_cr_snapshot_dir snaps -np 1 true
grep -q -- "--snapshot-dir $(pwd)/snaps " "$tmp/args"; ok $? "the parameter names the snapshot directory, relative to mpirun"
with -am ft-enable-cr --mca ompi_cr_keep 3 -np 1 true
grep -q -- "--keep 3" "$tmp/args"; ok $? "how many snapshots are kept"
OMPI_CR_SNAPSHOT_DIR=/proc/nowhere/snaps with -am ft-enable-cr -np 1 true
[ $status -eq 0 ] && grep -q "^ompi-cr: snapshot directory /proc/nowhere/snaps: .*will fail" "$tmp/err"; ok $? "a snapshot directory that cannot be written is reported at the start"
OMPI_CR_SNAPSHOT_DIR="$tmp/snaps" with -am ft-enable-cr -np 1 true
grep -q -- "--snapshot-dir $tmp/snaps " "$tmp/args"; ok $? "so does the environment"
with -am ft-enable-cr -np 1 true : -np 1 echo second
[ $status -eq 0 ] && [ "$(grep -c 'through cr_run' "$tmp/started")" -eq 2 ] && [ "$(grep -c ompi-cr: "$tmp/err")" -eq 1 ]; ok $? "two application contexts, one coordinator"
OMPI_CR_RESTARTED_FROM=/x/ref OMPI_CR_RESTARTED_SEQ=3 with -am ft-enable-cr -np 1 env
grep -q -- '--restarted-from /x/ref --seq 3$' "$tmp/args" && ! grep -q OMPI_CR_RESTARTED "$tmp/out" && [ ! -s "$tmp/started" ]; ok $? "a restart: the restorer is started as it is, the coordinator learns the lineage"
printf '#!/bin/sh\necho agent; exec "$@"\n' >"$tmp/agent"; chmod +x "$tmp/agent"
with -am ft-enable-cr --mca orte_fork_agent "$tmp/agent" -np 1 true
grep -q "^through cr_run: $tmp/agent true\$" "$tmp/started" && grep -q '^agent$' "$tmp/out"; ok $? "a fork agent of the user is run through cr_run"

# Ending the job from the coordinator.
FAKE_TERMINATE=1 with -am ft-enable-cr -np 2 sleep 50
[ $status -eq 0 ] && [ "$(grep -c . "$tmp/err")" -eq 1 ]; ok $? "terminate: status 0 and not a word more"
FAKE_DIE=1 with -am ft-enable-cr -np 1 sleep 1
[ $status -eq 0 ] && grep -q 'without protection' "$tmp/err"; ok $? "a coordinator that dies leaves the job running and is reported"

# Refusals.
SNAPCD=$tmp/dead_snapcd with -am ft-enable-cr -np 1 echo hello
[ $status -ne 0 ] && ! grep -q hello "$tmp/out" && grep -q 'ended at once' "$tmp/err"; ok $? "no coordinator, no job"
SNAPCD=$tmp/sorry_snapcd with -am ft-enable-cr -np 1 echo hello
[ $status -ne 0 ] && grep -q 'the moon is full' "$tmp/err"; ok $? "the coordinator's own words are shown"
SNAPCD=$tmp/nonesuch with -am ft-enable-cr -np 1 echo hello
[ $status -ne 0 ] && ! grep -q hello "$tmp/out" && grep -q "$tmp/nonesuch" "$tmp/err"; ok $? "no program of that name"
with -am ft-enable-cr --mca ompi_cr_run "$tmp/nonesuch" -np 1 echo hello
[ $status -ne 0 ] && ! grep -q hello "$tmp/out" && grep -q "$tmp/nonesuch" "$tmp/err"; ok $? "no cr_run, no job"
chmod 755 "$tmp/run/ompi-cr"
with -am ft-enable-cr -np 1 echo hello
[ $status -ne 0 ] && grep -q 'mode 0700' "$tmp/err"; ok $? "a runtime directory that others can enter is refused"
echo "1..$n"
