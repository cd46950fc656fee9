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
from typing import Any, NamedTuple

import yaml

from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge.nni_import import import_nni
from nni_blockqnn.commands._finalists_checks import FINALISTS_TUNER, check_finalists
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.finalists import is_finalists, network_of_grid
from nni_blockqnn.space.limits import Limits, check_limits
from nni_blockqnn.space.search_space import SearchSpace

OUR_TUNERS = ("nni_blockqnn.tuner.BlockQNNTuner", "nni_blockqnn.BlockQNNTuner")
REGISTERED_NAME = "BlockQNN"
TRIAL_MODULE = re.compile(r"-m nni_blockqnn\.trial\b")
_LOW_DISK_BYTES = 2 * 2**30


class Finding(NamedTuple):
    """One thing that was checked: "ok", "warning" or "failure", and what to do about it."""

    level: str
    subject: str
    message: str


class ConfigError(ValueError):
    """A configuration file that cannot be used; the message names the file and the fault."""


def load_config(path: Path) -> Any:
    """The file as NNI's own ExperimentConfig, validated by NNI.

    Raises:
        ConfigError: naming the file and what is wrong with it.
    """
    import_nni()
    from nni.experiment.config import ExperimentConfig

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    try:
        if not isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict):
            raise ConfigError(f"{path}: a configuration must be a YAML mapping")
        return ExperimentConfig.load(path).canonical_copy()
    except ConfigError:
        raise
    # NNI and PyYAML raise whatever they please: ValueError, AttributeError, AssertionError, ...
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{path}: NNI does not accept it: {reason}") from error


def check_config(path: Path, port: int | None) -> list[Finding]:
    """All findings; the search will not work if one of them is a failure."""
    findings = list(_check_versions())
    try:
        config = load_config(path)
    except ConfigError as error:
        return [*findings, Finding("failure", "configuration", str(error))]
    findings.append(Finding("ok", "configuration", f"{path} is one that NNI accepts"))
    checks: tuple[Callable[[Any], Iterator[Finding]], ...] = (
        _check_tuner,
        _check_budget,
        _check_training_service,
        _check_trial,
        _check_disk,
    )
    for check in checks:
        findings.extend(check(config))
    findings.extend(_check_port(config, port))
    return findings


def is_local(config: Any) -> bool:
    """Whether all trials run on this machine."""
    services = config.training_service
    services = services if isinstance(services, list) else [services]
    return all(service.platform == "local" for service in services)


def _check_versions() -> Iterator[Finding]:
    version = sys.version_info
    if not (3, 10) <= version < (3, 14):
        yield Finding("failure", "Python", f"3.10 to 3.13 work, this is {version[0]}.{version[1]}")
    setuptools = metadata.version("setuptools")
    if int(setuptools.split(".")[0]) >= 82:
        yield Finding(
            "failure",
            "setuptools",
            f"NNI needs pkg_resources, which {setuptools} has not: pip install 'setuptools<82'",
        )
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError) as error:
        yield Finding("failure", "PyTorch", f"torch and torchvision do not work together: {error}")
    else:
        versions = f"NNI {metadata.version('nni')}, torch {torch.__version__}"
        yield Finding("ok", "packages", f"{versions}, torchvision {torchvision.__version__}")


def _check_tuner(config: Any) -> Iterator[Finding]:
    tuner = config.tuner
    searches = tuner is not None and (
        tuner.class_name in OUR_TUNERS or tuner.name == REGISTERED_NAME
    )
    trains_finalists = tuner is not None and tuner.class_name == FINALISTS_TUNER
    if trains_finalists or (is_finalists(config.search_space) and not searches):
        yield from (Finding(*finding) for finding in check_finalists(config))
        return
    if not searches:
        yield Finding("warning", "tuner", "it is not BlockQNN's, so it is not checked")
        return
    from nni_blockqnn.exchange.class_args import (
        check_class_args,  # NNI, which `resume` does without
    )

    try:
        given = check_class_args(tuner.class_args or {})
        space = SearchSpace.from_json(config.search_space)
        check_limits(space, Limits(**given.get("limits", {})))
    except ValueError as error:
        yield Finding("failure", "tuner", str(error))
        return
    if tuner.name == REGISTERED_NAME and not _is_registered():
        yield Finding("failure", "tuner", "BlockQNN is not registered; run: blockqnn register")
        return
    yield Finding("ok", "tuner", f"its arguments and the search space fit: {given or 'defaults'}")


def _is_registered() -> bool:
    from nni.tools.package_utils import get_algo_meta

    return get_algo_meta(REGISTERED_NAME) is not None


def _check_budget(config: Any) -> Iterator[Finding]:
    budget = (config.tuner.class_args or {}).get("budget") if config.tuner else None
    most = config.max_trial_number
    if most is None:
        yield Finding("warning", "budget", "without maxTrialNumber the search never ends by itself")
    elif budget is not None and budget != most:
        yield Finding(
            "warning",
            "budget",
            f"the tuner's budget is {budget} but maxTrialNumber is {most}: epsilon falls over the "
            "budget, so they should be equal",
        )


def _check_training_service(config: Any) -> Iterator[Finding]:
    if is_local(config):
        yield from _check_local_gpus(config)
        return
    services = config.training_service
    for service in services if isinstance(services, list) else [services]:
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
    if not TRIAL_MODULE.search(command):
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
            f"{concurrency} trials on one CPU fight for its cores; add --threads {share} to the "
            "trial command",
        )


def _run_trial_check(config: Any, network: str) -> tuple[int, str]:
    """Exit code and last line of :mod:`nni_blockqnn.trials.check` with the trial's arguments.

    It runs as NNI runs a trial, so it is the trial's own Python that reads the data.
    """
    command = TRIAL_MODULE.sub("-m nni_blockqnn.trials.check", config.trial_command)
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
            "failure", "port", f"{shown(taken[0])} is in use; give another one with --port"
        )
