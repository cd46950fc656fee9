"""``blockqnn setup-hosts``: bring this package and the data to the machines of a remote search."""

from __future__ import annotations

import argparse
import shlex

from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.commands._host_checks import data_place, machines_of
from nni_blockqnn.hosts.setting_up import set_up_all


def setup_hosts(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    machines = machines_of(config)
    if not machines:
        raise ValueError(
            f"{arguments.config} names no machines: it needs trainingService: {{platform: remote, "
            "machineList: [...]}, as config_templates/blockqnn_cifar100_remote.yml has it"
        )
    failed = False
    for done in set_up_all(machines, data_place(config)):
        for step in done.steps:
            print(f"{done.machine.name}: {step}")
        if done.error is not None:
            failed = True
            print(f"{done.machine.name}: failed: {done.error}")
    print(f"to see how they stand: blockqnn check {shlex.quote(str(arguments.config))}")
    return 1 if failed else 0
