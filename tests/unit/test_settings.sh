#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ompi-cr-info: where a setting comes from, and that mistakes are told; --check.
set -u
build=${top_builddir:-.}
info=$build/orte-tools/ompi-cr-info
dir=$(mktemp -d "${TMPDIR:-/tmp}/ompi-cr-settings.XXXXXX")
trap 'rm -rf "$dir"' EXIT
n=0 bad=0
check()
{
	local what=$1
	shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $what"; else echo "not ok $n - $what"; bad=1; fi
}
for v in $(env | sed -n 's/^\(OMPI_CR_[A-Z_]*\|OMPI_MCA_ompi_cr_[a-z_]*\)=.*/\1/p'); do unset "$v"; done
export HOME=$dir XDG_CONFIG_HOME=$dir/config OMPI_CR_SYSTEM_CONFIG=$dir/system.conf
user=$dir/config/ompi-cr/ompi-cr.conf
mkdir -p "$dir/config/ompi-cr"

# is NAME VALUE ORIGIN
is() { "$info" >"$dir/out" 2>"$dir/err" && grep -qE "^$1 +\\= +$2 +\\($3" "$dir/out"; }
# wrong WORDS: it fails, and says them
wrong() { ! "$info" >"$dir/out" 2>"$dir/err" && grep -qF -- "$1" "$dir/err"; }

check "a default" is keep 0 default
printf '# of the site\nkeep = 3\n\n  interval=600\n' >"$OMPI_CR_SYSTEM_CONFIG"
check "the system file" is keep 3 "system file: $OMPI_CR_SYSTEM_CONFIG:2"
echo "keep = 4" >"$user"
check "the user file goes before it" is keep 4 "user file: $user:1"
check "... for what it has" is interval 600 "system file"
export OMPI_CR_KEEP=5
check "the environment goes before both" is keep 5 "environment: OMPI_CR_KEEP"
export OMPI_MCA_ompi_cr_keep=6
check "mpirun's parameter goes before that" is keep 6 "environment: OMPI_MCA_ompi_cr_keep"
unset OMPI_MCA_ompi_cr_keep OMPI_CR_KEEP
echo "keeep = 4" >"$user"
check "a name that is not known" wrong "$user:1: there is no setting \"keeep\""
echo "keep = many" >"$user"
check "a value that is no number" wrong "$user:1: keep = many"
echo "port = 65536" >"$user"
check "a value out of bounds" wrong "$user:1: port = 65536"
echo "keep" >"$user"
check "a line of another form" wrong "$user:1: not of the form"
rm -f "$user"
check "a parameter that is not known" env OMPI_MCA_ompi_cr_keeep=1 bash -c '! "$1" 2>"$2/err" >"$2/out" && grep -q ompi_cr_keeep "$2/err"' - "$info" "$dir"
check "JSON" bash -c '"$1" --json | python3 -c "
import json, sys
d = json.load(sys.stdin)
assert any(s[\"name\"] == \"interval\" and s[\"value\"] == \"600\" and s[\"origin\"] == \"system file\" for s in d[\"settings\"])
assert d[\"build\"][\"version\"] and d[\"probes\"]"' - "$info"
nowhere() { ! OMPI_CR_SNAPSHOT_DIR=$dir/not/there "$info" --check >"$dir/out" && grep -qE "^NO +snapshot directory" "$dir/out" && grep -q "set snapshot_dir" "$dir/out"; }
check "--check names what is missing, and what to do" nowhere
# Everything that a job needs of a machine has its line, and every line that is not a yes says what to do
asks() { # JSON-FILE
	python3 -c '
import json, sys
p = {q["name"]: q for q in json.load(open(sys.argv[1]))["probes"]}
wanted = """kernel|fsgsbase|seccomp|memory map|memory scan|kernel module|open files|address space|locked memory|processes|file size|core files|Open MPI|component|parameter set|munge|cr_run|cr_restart|coordinator|snapshot directory|snapshot space""".split("|")
missing = [n for n in wanted if n not in p] + [n for n, q in p.items() if not q["found"] or (not q["good"] and not q["remedy"])]
sys.exit("# " + ", ".join(missing) if missing else 0)' "$1"
}
"$info" --json >"$dir/probes"
check "--check asks about kernel, Open MPI, component, munge, module, directory, room and limits, and has a remedy for each no" asks "$dir/probes"
limited() { # ULIMIT-OPTION VALUE NO|no NAME
	(ulimit -S "$1" "$2"; exec "$info" --check) >"$dir/out"
	grep -A1 -E "^$3 +$4 " "$dir/out" | grep -qE '^ {24}[^ ]'
}
check "a limit of the address space is a NO, with what to do" limited -v 8000000 NO "address space"
check "a limit of the size of files is a no, with what to do" limited -f 100 no "file size"
check "an unknown option is a usage error" bash -c '"$1" --nonsense 2>/dev/null; test $? = 2' - "$info"
echo "1..$n"
exit $bad
