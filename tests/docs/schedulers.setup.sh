# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What docs/schedulers.md takes for granted: a Slurm whose partition "high" preempts "low", as an administrator has set it up, and ompi-cr in PATH.
[ "$(id -u)" = 0 ] || skip_all "Slurm's daemons are started by root"
need slurmctld slurmctld
need slurmd slurmd
# shellcheck source=/dev/null
. "$TOP/tests/lib/slurm.sh"
trap 'slurm_stop; cleanup' EXIT
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_mca_base_param_file_path=$PREFIX/share/openmpi/amca-param-sets:/usr/share/openmpi/amca-param-sets
export OMPI_MCA_mca_base_component_path=$PREFIX/lib/openmpi:SYSTEM_DEFAULT:USER_DEFAULT
PATH=$PREFIX/bin:$PATH
mkdir -p "$SLURM_DIR"
if [ -e "$PREFIX/lib/ompi-cr/spank_ompicr.so" ]; then echo "required $PREFIX/lib/ompi-cr/spank_ompicr.so" >"$SLURM_DIR/plugstack.conf"; fi
touch "$SLURM_DIR/plugstack.conf"
slurm_start "PlugStackConfig=$SLURM_DIR/plugstack.conf" || { not_ok "a Slurm of our own comes up"; done_testing; }
cp "$PROGS/mpi_inflight" "$home/program"
