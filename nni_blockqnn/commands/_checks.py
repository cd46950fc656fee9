"""What would make a search hang or fail, found before it starts (``blockqnn check``)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from nni_blockqnn.bridge import launch
from nni_blockqnn.commands._config_file import (
    ConfigError,
    Finding,
    is_local,
    load_config,
    training_services,
)
from nni_blockqnn.commands._tuner_checks import check_budget, check_tuner
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.finalists import is_finalists, network_of_grid
from nni_blockqnn.space.search_space import SearchSpace

_TRIAL_MODULE = re.compile(r"-m nni_blockqnn\.trial\b")
_LOW_DISK_BYTES = 2 * 2**30


def check_config(path: Path, port: int | None) -> list[Finding]:
    """All findings about a configuration.

    Args:
        path: the configuration's file.
        port: the web UI's, None if it is not chosen yet.
    """
    findings = list(_check_versions())
    try:
        config = load_config(path)
    except ConfigError as error:
        return [*findings, Finding("failure", "configuration", str(error))]
    findings.append(Finding("ok", "configuration", f"{path} is one that NNI accepts"))
    checks: tuple[Callable[[Any], Iterator[Finding]], ...] = (
        check_tuner,
        check_budget,
        _check_training_service,
        _check_trial,
        _check_disk,
    )
    for check in checks:
        findings.extend(check(config))
    findings.extend(_check_port(config, port))
    return findings


def _check_versions() -> Iterator[Finding]:
    version = sys.version_info
    if not (3, 10) <= version < (3, 14):
        yield Finding("failure", "Python", f"3.10 to 3.13 work, this is {version[0]}.{version[1]}")
    setuptools = metadata.version("setuptools")
    if int(setuptools.split(".")[0]) >= 82:
        yield Finding(
            "failure",
            "setuptools",
            f"NNI needs pkg_resources, which {setuptools} lacks: pip install 'setuptools<82'",
        )
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError) as error:
        yield Finding("failure", "PyTorch", f"torch and torchvision do not work together: {error}")
    else:
        versions = f"NNI {metadata.version('nni')}, torch {torch.__version__}"
        yield Finding("ok", "packages", f"{versions}, torchvision {torchvision.__version__}")


def _check_training_service(config: Any) -> Iterator[Finding]:
    if is_local(config):
        yield from _check_local_gpus(config)
        return
    for service in training_services(config):
        if getattr(service, "reuse_mode", False):
            yield Finding(
                "failure",
                "training service",
                "reuseMode must be false: with true, one trial runs on a host at a time and a "
                "killed host is never used again",
            )
        for machine in getattr(service, "machine_list", None) or []:
            if machine.password:
                yield Finding(
                    "warning",
                    "training service",
                    f"the password of {machine.host} shows in NNI's web UI; use sshKeyFile",
                )
    if config.nni_manager_ip is None:
        yield Finding(
            "warning", "training service", "set nniManagerIp to this machine's address for workers"
        )


def _check_local_gpus(config: Any) -> Iterator[Finding]:
    import torch

    asked, found = config.trial_gpu_number, torch.cuda.device_count()
    if asked and asked > found:
        yield Finding(
            "failure",
            "GPU",
            f"trialGpuNumber is {asked}, but PyTorch sees {found} GPUs here: lower it, or delete "
            "the line to train on the CPU (nvidia-smi shows what the driver sees)",
        )
    elif asked and asked / _trials_a_gpu(config) >= found:
        yield Finding(
            "failure",
            "GPU",
            f"trialGpuNumber is {asked} and there are {found} GPUs: NNI 3.0 starts a trial only if "
            "there are more GPUs than it asks for. Delete the line: the trials then share the "
            "first GPU",
        )
    elif asked:
        yield Finding("ok", "GPU", f"{found} found, {asked} a trial")
    elif found:
        yield Finding("ok", "GPU", f"{found} found; the trials share the first one")
    else:
        yield Finding("warning", "GPU", "none found: the trials train on the CPU")


def _trials_a_gpu(config: Any) -> int:
    return getattr(config.training_service, "max_trial_number_per_gpu", None) or 1


def _check_trial(config: Any) -> Iterator[Finding]:
    command = config.trial_command or ""
    if not _TRIAL_MODULE.search(command):
        yield Finding("warning", "trial", "the command is not BlockQNN's, so it is not checked")
        return
    if not is_local(config):
        yield Finding("warning", "trial", "data and Python of remote machines are not checked")
        return
    try:
        network = _network(config.search_space)
    except ValueError as error:
        yield Finding("failure", "trial", f"its network is not known: {error}")
        return
    code, answer = _run_trial_check(config, network)
    yield Finding("failure" if code else "ok", "trial", answer)
    concurrency = config.trial_concurrency or 1
    if "--threads" not in command and concurrency > 1 and answer.endswith("; cpu"):
        share = max(1, (os.cpu_count() or 1) // concurrency)
        yield Finding(
            "warning",
            "trial",
            f"{concurrency} trials on one CPU compete for its cores; add --threads {share} to the "
            "trial command",
        )


def _run_trial_check(config: Any, network: str) -> tuple[int, str]:
    """Exit code and last line of :mod:`nni_blockqnn.trials.check` with the trial's arguments.

    It is run as NNI runs a trial, so that the trial's own Python reads the data.
    """
    command = _TRIAL_MODULE.sub("-m nni_blockqnn.trials.check", config.trial_command)
    checked = subprocess.run(
        f"{command} --network {shlex.quote(network)}",
        shell=True,
        executable="/bin/bash",
        env=launch.environment(loopback=False),
        cwd=config.trial_code_directory,
        capture_output=True,
        text=True,
    )
    lines = (checked.stdout + checked.stderr).strip().splitlines()
    return checked.returncode, lines[-1] if lines else f"exit code {checked.returncode}"


def _network(search_space: Any) -> str:
    if is_finalists(search_space):
        return network_of_grid(search_space)
    return SearchSpace.from_json(search_space).network


def _check_disk(config: Any) -> Iterator[Finding]:
    directory = Path(config.experiment_working_directory)
    existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        yield Finding("failure", "disk", f"{existing} is not writable, and NNI's files go there")
        return
    free = shutil.disk_usage(existing).free
    if free < _LOW_DISK_BYTES:
        yield Finding("warning", "disk", f"{existing} has only {free / 2**30:.1f} GiB left")


def _check_port(config: Any, port: int | None) -> Iterator[Finding]:
    if port is None:
        return
    ports = [port] if is_local(config) else [port, port + 1]
    taken = [some for some in ports if not launch.is_free(some)]
    if taken:
        yield Finding(
            "failure", "port", f"{shown(taken[0])} is in use; choose another one with --port"
        )
