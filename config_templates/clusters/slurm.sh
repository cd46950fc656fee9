#!/bin/bash
# One search on the nodes of a Slurm allocation: NNI's manager runs on the first node, and reaches
# all of them over SSH, as any remote machines. NOT RUN BY US: we have no cluster.
#
#   sbatch config_templates/clusters/slurm.sh search.yml
#
# search.yml is a copy of blockqnn_cifar100_remote.yml, whose nniManagerIp and hosts are replaced by
# those of the allocation. It needs a home that the nodes share, SSH from node to node with the key
# of its first machine, and this package in the Python of its pythonPath.
#SBATCH --nodes=4
#SBATCH --gpus-per-node=4
#SBATCH --time=3-00:00:00
set -euo pipefail

config=$1
allocated=${config%.yml}.$SLURM_JOB_ID.yml
address=$(hostname --ip-address | cut -d' ' -f1)
# shellcheck disable=SC2046
python - "$config" "$address" $(scontrol show hostnames "$SLURM_JOB_NODELIST") > "$allocated" << 'END'
import sys, yaml
path, address, *nodes = sys.argv[1:]
config = yaml.safe_load(open(path, encoding="utf-8"))
service = config["trainingService"]
service["machineList"] = [{**service["machineList"][0], "host": node} for node in nodes]
config["nniManagerIp"] = address
yaml.safe_dump(config, sys.stdout, sort_keys=False)
END
blockqnn create "$allocated"
blockqnn top --watch    # ends with the search; cut off before, it goes on by `blockqnn resume ID`
