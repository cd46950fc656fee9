"""What we cannot run for want of a cluster is at least what NNI and the package accept."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nni_blockqnn import BlockQNNTuner
from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.exchange.class_args import check_class_args
from nni_blockqnn.hosts._wheel import build_wheel
from nni_blockqnn.trials.arguments import trial_parser

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "config_templates" / "clusters"
CONFIGS = sorted(CLUSTERS.glob("*.yml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_configuration_is_one_that_nni_and_the_tuner_accept(path: Path) -> None:
    config = load_config(path)
    assert config.training_service.platform == path.stem
    class_args = check_class_args(config.tuner.class_args)
    assert class_args["budget"] == config.max_trial_number
    tuner = BlockQNNTuner(**class_args)
    tuner.update_search_space(config.search_space)
    assert "block" in tuner.generate_parameters(0)
    *_, arguments = config.trial_command.split(" -m nni_blockqnn.trial ")
    parsed = trial_parser(under_nni=True).parse_args(shlex.split(arguments))
    assert str(parsed.data_dir) == "/tmp/mount/data"  # where NNI mounts the storage
    for command in commands_of(config.training_service):
        assert command == config.trial_command


def commands_of(service: Any) -> list[str]:
    """Of its roles, for NNI before its reuse mode."""
    return [role.command for role in getattr(service, "task_roles", None) or [service.master]]


@pytest.mark.parametrize("path", sorted(CLUSTERS.iterdir()), ids=lambda path: path.name)
def test_each_says_that_nobody_has_run_it(path: Path) -> None:
    assert re.search(r"NOT (RUN|BUILT) BY US", path.read_text(encoding="utf-8"))


def test_the_image_takes_the_wheel_and_a_python_that_the_package_allows(tmp_path: Path) -> None:
    text = (CLUSTERS / "Dockerfile").read_text(encoding="utf-8")
    (python,) = re.findall(r"^FROM python:3\.(\d+)-slim$", text, re.MULTILINE)
    assert 'python_requires=">=3.10,<3.14"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert 10 <= int(python) < 14
    (pattern,) = re.findall(r"^COPY (\S+) /tmp/$", text, re.MULTILINE)
    wheel = build_wheel(tmp_path)
    assert wheel.match(pattern)
    assert f"pip install --no-cache-dir /tmp/{pattern}" in text


def test_the_slurm_script_puts_the_allocations_nodes_into_a_configuration(tmp_path: Path) -> None:
    """With commands of ours in the place of Slurm's and blockqnn's."""
    commands = {
        "scontrol": "echo node1; echo node2",
        "hostname": "echo 10.0.0.7 fe80::1",
        "blockqnn": 'echo "$@" >> calls',
    }
    for name, line in commands.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    template = ROOT / "config_templates" / "blockqnn_cifar100_remote.yml"
    (tmp_path / "search.yml").write_bytes(template.read_bytes())
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        ["bash", CLUSTERS / "slurm.sh", "search.yml"],
        cwd=tmp_path,
        env={"PATH": path, "SLURM_JOB_ID": "5", "SLURM_JOB_NODELIST": "node[1-2]"},
        check=True,
    )
    written = yaml.safe_load((tmp_path / "search.5.yml").read_text())
    machines = written["trainingService"]["machineList"]
    assert [machine["host"] for machine in machines] == ["node1", "node2"]
    assert {machine["pythonPath"] for machine in machines} == {"/home/me/blockqnn/bin"}
    assert written["nniManagerIp"] == "10.0.0.7"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["create search.5.yml", "top --watch"]
