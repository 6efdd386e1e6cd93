#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's unmodified Quantum ESPRESSO (Fortran, FFTW, ScaLAPACK): the electrons of a hydrogen molecule, under checkpoints, killed and restarted; and its molecular
# dynamics, which keeps the positions of the last step in a file, ended by checkpoints. The pseudopotential is made by ld1.x first. Energies, forces,
# bands, temperatures and the numbers of iterations must be the same, line by line.
. "$(dirname "$0")/lib.sh"
need pw.x quantum-espresso
N_CKPT=0 N_RESTART=0 RC=''
mkdir "$WORK/pseudo"
if ! (cd "$WORK/pseudo" && ld1.x <"$SRC/espresso_h.in" >out 2>&1 && [ -s H.UPF ]); then
	say_file "$WORK/pseudo/out"
	not_ok "ld1.x makes the pseudopotential"
	done_testing
fi
prepare()
{
	cp "$WORK/pseudo/H.UPF" "$1"
	cp "$SRC/espresso_scf.in" "$1/scf.in"
	sed "s/STEPS/$(n 40)/" "$SRC/espresso_md.in" >"$1/md.in"
}
filter() { grep -E '^!|total energy  |iteration #|^ +(-?[0-9]+\.[0-9]+ *)+$|Ekin|temperature|atom .* force =|Total force|convergence has been achieved|JOB DONE' | grep -v WALL; }

GAP=500 CKPTS=${ESPRESSO_CKPTS:-4}
chain "pw.x, electrons, 2 ranks" 2 pw.x -in scf.in

# until_steps N: until that part of the job has written so many steps
until_steps()
{
	local i
	for ((i = 0; i < 2400; i++)); do
		[ "$(grep -c Ekin "$RUN/out.$SEG")" -ge "$1" ] && return 0
		alive "$JOB" || return 1
		nap 50
	done
	return 1
}
RUN=$WORK/md SEG=0
mkdir "$RUN"
prepare "$RUN"
reference 2 pw.x -in md.in
start_job 2 pw.x -in md.in
for part in 1 2; do
	until_steps 6
	check "pw.x, dynamics: checkpoint $part ends the job" checkpoint --term
	job_end 60
	restart
done
job_end 200
[ "$RC" = 0 ] || explain
check "pw.x, dynamics: it ends as it should" [ "$RC" = 0 ]
check "pw.x, dynamics: every line is as without" covered "$WORK/ref/out" "$RUN/out.1" "$RUN/out.2" "$RUN/out.3"
done_testing
