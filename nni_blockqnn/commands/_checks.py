"""What would make a search hang or fail, found before it starts (``blockqnn check``)."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from nni_blockqnn.bridge.ports import why_not_port
from nni_blockqnn.commands._config_file import (
    ConfigError,
    Finding,
    is_local,
    load_config,
    training_services,
    trial_service,
)
from nni_blockqnn.commands._host_checks import Checked, check_hosts, findings_of
from nni_blockqnn.commands._trial_check import check_trial
from nni_blockqnn.commands._tuner_checks import check_budget, check_tuner

_LOW_DISK_BYTES = 2 * 2**30


class Checks(NamedTuple):
    """What was found about a configuration.

    Attributes:
        hosts: the machines of a remote search; their faults are among the findings.
    """

    findings: list[Finding]
    hosts: Sequence[Checked] = ()


def check_config(path: Path, port: int | None, *, with_time: bool = False) -> Checks:
    """Everything about a configuration, and about the machines that it names.

    Args:
        path: the configuration's file.
        port: the web UI's, None if it is not chosen yet.
        with_time: also estimate how long the search takes, which takes some seconds.
    """
    findings = list(_check_versions())
    try:
        config = load_config(path)
    except ConfigError as error:
        return Checks([*findings, Finding("failure", "configuration", str(error))])
    findings.append(Finding("ok", "configuration", f"{path} is one that NNI accepts"))
    checks: tuple[Callable[[Any], Iterator[Finding]], ...] = (
        check_tuner,
        check_budget,
        _check_training_service,
        partial(check_trial, with_time=with_time),
        _check_disk,
    )
    for check in checks:
        findings.extend(check(config))
    findings.extend(_check_port(config, port))
    findings.extend(_check_secrets(config, path))
    hosts = check_hosts(config, path, port)
    findings.extend(findings_of(hosts, config))
    return Checks(findings, hosts)


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
                "write reuseMode: false. With true, one trial runs on a host at a time and a "
                "killed host is never used again",
            )
        for machine in getattr(service, "machine_list", None) or []:
            if machine.password:
                yield Finding(
                    "warning",
                    "training service",
                    f"the password of {machine.host} shows in NNI's web UI; use sshKeyFile",
                )
    if config.nni_manager_ip is None and trial_service(config).nni_manager_ip is None:
        from nni.experiment.config.utils import get_ipv4_address

        yield Finding(
            "failure",
            "training service",
            "the machines need this one's address, and NNI tells them localhost; write "
            f"nniManagerIp: {get_ipv4_address()}",
        )


def _check_secrets(config: Any, path: Path) -> Iterator[Finding]:
    """A file with a password is its owner's alone, as SSH wants it of keys."""
    services = training_services(config)
    machines = [one for service in services for one in getattr(service, "machine_list", None) or ()]
    is_secret = any(machine.password or machine.ssh_passphrase for machine in machines)
    if is_secret and os.name == "posix" and path.stat().st_mode & 0o077:
        yield Finding(
            "warning",
            "configuration",
            f"{path} holds a password, and other users of this machine can read it: "
            f"chmod 600 {shlex.quote(str(path))}",
        )


def _check_local_gpus(config: Any) -> Iterator[Finding]:
    import torch

    asked, found = trial_service(config).trial_gpu_number, torch.cuda.device_count()
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
    if reason := why_not_port(port, needs_next=not is_local(config)):
        yield Finding("failure", "port", reason)
