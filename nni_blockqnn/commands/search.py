"""``blockqnn check``, ``create``, ``resume`` and ``register``."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Collection

from rich.console import Console

from nni_blockqnn.bridge import launch, resuming
from nni_blockqnn.bridge.database import read_trials
from nni_blockqnn.bridge.experiments import Experiment, find_experiment
from nni_blockqnn.bridge.statuses import UNDER_WAY
from nni_blockqnn.commands._checks import Checks, check_config
from nni_blockqnn.commands._config_file import is_local, load_config
from nni_blockqnn.commands._host_checks import as_json, show_hosts
from nni_blockqnn.commands._templates import template
from nni_blockqnn.commands._tuner_checks import REGISTERED_NAME
from nni_blockqnn.common.messages import counted
from nni_blockqnn.exchange.kept_results import CHECKPOINT_NAME, RESULT_NAME
from nni_blockqnn.hosts.checkpoints import spread_checkpoints
from nni_blockqnn.hosts.machine import machines_of_record
from nni_blockqnn.hosts.results import fetch_files
from nni_blockqnn.results.experiment import is_blockqnn_search

_COLOURS = {"ok": "green", "warning": "yellow", "failure": "red"}


def check(arguments: argparse.Namespace) -> int:
    checks = check_config(arguments.config, arguments.port, with_time=arguments.estimate)
    if not arguments.json:
        return _show_checks(checks)
    found = [finding._asdict() for finding in checks.findings]
    print(json.dumps({"findings": found, "hosts": as_json(checks.hosts)}, indent=2))
    return _exit_code(checks)


def create(arguments: argparse.Namespace) -> int:
    checks = check_config(arguments.config, arguments.port, with_time=arguments.estimate)
    if _show_checks(checks) != 0:
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
    _fetch_results(experiment)
    if not is_blockqnn_search(experiment):
        bring_checkpoints(experiment, _under_way(experiment))
    launched = resuming.resume(experiment, port, loopback=local)
    _show_launched(launched)
    return launched


def _fetch_results(experiment: Experiment) -> None:
    """Copy what the trials of a remote search kept on their hosts, before its tuner looks here."""
    machines = machines_of_record(experiment.config)
    if not machines:
        return
    fetched = fetch_files(machines, experiment.directory, RESULT_NAME)
    if fetched.files:
        print(f"fetched {counted(fetched.files, 'result')} from the hosts")
    for host, reason in fetched.failed.items():
        print(f"warning: no results can be fetched from {host}: {reason}")


def bring_checkpoints(experiment: Experiment, trials: Collection[str]) -> None:
    """Let all hosts have the newest checkpoints of these trials: NNI sends them to any.

    Args:
        trials: their IDs.
    """
    machines = machines_of_record(experiment.config)
    if not machines or not trials:
        return
    spread = spread_checkpoints(machines, experiment.directory, CHECKPOINT_NAME, trials)
    if spread.fetched or spread.sent:
        print(
            f"fetched {counted(spread.fetched, 'checkpoint')} of {spread.size:,} bytes, and made "
            f"{spread.sent:,} {'copy' if spread.sent == 1 else 'copies'} on hosts"
        )
    for host, reason in spread.failed.items():
        print(f"warning: checkpoints could not all be copied from and to {host}: {reason}")


def _under_way(experiment: Experiment) -> list[str]:
    """The trials that NNI runs again at a resume."""
    trials = read_trials(experiment.directory, with_parameters=False)
    return [trial.id for trial in trials if trial.status in UNDER_WAY]


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


def _show_checks(checks: Checks) -> int:
    console = Console(highlight=False, soft_wrap=True)
    if checks.hosts:
        show_hosts(checks.hosts)
    for level, subject, message in checks.findings:
        colour = _COLOURS[level]
        console.print(f"[{colour}]{level:>8}[/]  {subject}: ", end="")
        console.print(message, markup=False)
    return _exit_code(checks)


def _exit_code(checks: Checks) -> int:
    return 1 if any(finding.level == "failure" for finding in checks.findings) else 0
