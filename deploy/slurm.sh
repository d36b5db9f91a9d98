#!/usr/bin/env bash
# One pre-training by a task on each of two nodes:  sbatch deploy/slurm.sh
# texts/, vocab.txt and run/ lie in $SHARED, a folder that all nodes see; kbert is on the PATH of all of them.
#SBATCH --job-name=kbert
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append
# One GPU each:  #SBATCH --gpus-per-task=1
# TERM comes 120 seconds before the time is up, and at once where the job is preempted: a checkpoint is saved.
set -euo pipefail
SHARED=${SHARED:-$PWD}
MOST_STARTS=${MOST_STARTS:-100}

# kbert reads the step's tasks and nodes from Slurm; worker i listens on port 8888 + its place on the node.
code=0
srun --kill-on-bad-exit=0 kbert pretrain --strategy=multiworker --input="$SHARED/texts/*.txt" \
  --vocab="$SHARED/vocab.txt" --size=base --batch-size=256 --dtype=mixed_bfloat16 --steps=100000 \
  --out="$SHARED/run" || code=$?

# srun ends with the highest code of its tasks. 138: a worker was lost; 137: one was killed; 143: a notice came.
case $code in
  137 | 138 | 143)
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$MOST_STARTS" ]; then
      exec scontrol requeue "$SLURM_JOB_ID"
    fi
    ;;
esac
exit "$code"
