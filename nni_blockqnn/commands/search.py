"""``blockqnn check``, ``create``, ``resume`` and ``register``."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Sequence

from rich.console import Console

from nni_blockqnn.bridge import launch, resuming
from nni_blockqnn.bridge.experiments import Experiment, find_experiment
from nni_blockqnn.commands._checks import check_config
from nni_blockqnn.commands._config_file import Finding, is_local, load_config
from nni_blockqnn.commands._templates import template
from nni_blockqnn.commands._tuner_checks import REGISTERED_NAME

_COLOURS = {"ok": "green", "warning": "yellow", "failure": "red"}


def check(arguments: argparse.Namespace) -> int:
    findings = check_config(arguments.config, arguments.port, with_time=arguments.estimate)
    if arguments.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=1))
        return _code(findings)
    return _show_findings(findings)


def create(arguments: argparse.Namespace) -> int:
    findings = check_config(arguments.config, arguments.port, with_time=arguments.estimate)
    if _show_findings(findings) != 0:
        return 1
    local = is_local(load_config(arguments.config))
    _show_launched(launch.start(arguments.config, arguments.port, loopback=local))
    return 0


def resume(arguments: argparse.Namespace) -> int:
    resume_experiment(find_experiment(arguments.experiment), arguments.port)
    return 0


def resume_experiment(experiment: Experiment, port: int | None) -> launch.Launched:
    """Resume an experiment and print where it runs.

    Args:
        port: the web UI's; None for the first free one.
    """
    service = experiment.config.get("trainingService", {})
    services = service if isinstance(service, list) else [service]
    local = all(one.get("platform") == "local" for one in services)
    launched = resuming.resume(experiment, port, loopback=local)
    _show_launched(launched)
    return launched


def register(arguments: argparse.Namespace) -> int:
    meta = template("blockqnn_algo.yml")
    registered = subprocess.run(
        [str(launch.nnictl()), "algo", "register", "--meta", str(meta)],
        env=launch.environment(loopback=False),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if registered.returncode != 0:
        raise launch.LaunchError(f"nnictl algo register failed: {registered.stderr.strip()}")
    print(f"registered; a configuration may now say\n  tuner:\n    name: {REGISTERED_NAME}")
    return 0


def _show_launched(launched: launch.Launched) -> None:
    print(
        f"experiment {launched.id} runs: {launched.url}\n"
        f"  its best blocks   blockqnn top {launched.id}\n"
        f"  a report          blockqnn report {launched.id}\n"
        f"  stop it           blockqnn stop {launched.id}\n"
        f"  go on later       blockqnn resume {launched.id}"
    )


def _show_findings(findings: Sequence[Finding]) -> int:
    console = Console(highlight=False, soft_wrap=True)
    for level, subject, message in findings:
        colour = _COLOURS[level]
        console.print(f"[{colour}]{level:>8}[/]  {subject}: ", end="")
        console.print(message, markup=False)
    return _code(findings)


def _code(findings: Sequence[Finding]) -> int:
    return 1 if any(finding.level == "failure" for finding in findings) else 0
