"""The machines of a remote search, asked before it starts (``blockqnn check``)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from nni_blockqnn.bridge.ports import free_port, why_not_port
from nni_blockqnn.commands._config_file import Finding, training_services, trial_service
from nni_blockqnn.commands._console import TableConsole, width_of
from nni_blockqnn.common.messages import counted
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.hosts.inspection import DataPlace, Host, files_of, inspect_all, own_facts
from nni_blockqnn.hosts.judging import COLUMNS, Fault, Wanted, cells_of, faults_of
from nni_blockqnn.hosts.machine import Machine, machine_of_config
from nni_blockqnn.hosts.way_back import listening
from nni_blockqnn.results.trial_command import trial_arguments, trial_option
from nni_blockqnn.training.arguments import DEFAULT_DATA_DIR

_DOWNLOADED = {
    "cifar10": (("cifar-10-batches-py/",), ("cifar-10-python.tar.gz",)),
    "cifar100": (("cifar-100-python/",), ("cifar-100-python.tar.gz",)),
    "fashion_mnist": (("FashionMNIST/raw/",), ("train-", "t10k-")),
}
"""Where the files of a data set may lie, as the beginnings of their paths."""
_COLOURS = {"warning": "yellow", "failure": "red"}


class Checked(NamedTuple):
    """A host and what is wrong with it."""

    host: Host
    faults: Sequence[Fault]

    @property
    def cells(self) -> dict[str, str]:
        return cells_of(self.host, self.faults)


def machines_of(config: Any) -> list[Machine]:
    """The machines of NNI's ExperimentConfig; none if it does not train over SSH."""
    return [
        machine_of_config(machine)
        for service in training_services(config)
        if service.platform == "remote"
        for machine in service.machine_list
    ]


def check_hosts(config: Any, path: Path, port: int | None) -> list[Checked]:
    """All machines of the configuration, asked at once.

    Args:
        path: the configuration's file, for the commands that are proposed.
        port: the one that NNI's manager is to have; None for the next free one.
    """
    machines = machines_of(config)
    if not machines:
        return []
    place = data_place(config)
    setup = f"blockqnn setup-hosts {shlex.quote(str(path))}"
    own = own_facts(place)
    if port is None or why_not_port(port, needs_next=True):  # which is a finding of its own
        port = free_port(needs_next=True)
    # without an address NNI tells hosts to look for its manager on themselves
    address = trial_service(config).nni_manager_ip or config.nni_manager_ip or "localhost"
    with listening(address, port) as way_back:
        hosts = inspect_all(machines, place, way_back)
    wanted = Wanted(
        own,
        place,
        may_download=_dataset(config) in _DOWNLOADED,
        gpus_a_trial=trial_service(config).trial_gpu_number or 0,
        setup=setup,
    )
    return [Checked(host, faults_of(host, wanted, hosts)) for host in hosts]


def data_place(config: Any) -> DataPlace | None:
    """The files that this package's trial reads; None if it reads none, or they are not known."""
    dataset = _dataset(config)
    if dataset is None or dataset == "digits":
        return None
    folder = trial_option(_arguments(config), "--data-dir", "")
    if not folder:
        if is_reference(dataset):
            return None
        folder = str(DEFAULT_DATA_DIR)
    if not folder.startswith(("/", "~/")):  # in the code's directory, which NNI copies
        return None
    choices = _DOWNLOADED.get(dataset, ())
    for beginnings in choices:
        if files_of(place := DataPlace(folder, beginnings)):
            return place
    return DataPlace(folder, tuple(name for choice in choices for name in choice))


def findings_of(checked: Sequence[Checked], config: Any) -> Iterator[Finding]:
    """What is wrong, a finding each, and a last one if nothing is."""
    for host, faults in checked:
        for fault in faults:
            yield Finding(fault.level, host.machine.name, f"{fault.column}: {fault.message}")
    if checked and not any(one.faults for one in checked):
        yield Finding("ok", "hosts", f"{counted(len(checked), 'machine')} ready")
    yield from _check_concurrency(checked, config)


def show_hosts(checked: Sequence[Checked]) -> None:
    """Print the table of the hosts."""
    console = TableConsole()
    table = Table()
    for heading in ("host", *COLUMNS):
        table.add_column(heading, no_wrap=True)
    for one in checked:
        # the worst of a column last, so that it gives the colour
        by_level = sorted(one.faults, key=lambda fault: fault.level, reverse=True)
        colours = {fault.column: _COLOURS[fault.level] for fault in by_level}
        cells = one.cells
        row = [Text(cells[column], style=colours.get(column, "")) for column in COLUMNS]
        table.add_row(one.host.machine.name, *row)
    console.width = max(console.width, width_of(table, console))
    console.print(table)


def as_json(checked: Sequence[Checked]) -> list[dict[str, Any]]:
    """The table and the faults, for programs."""
    return [
        {
            "host": one.host.machine.name,
            **{column.replace(" ", "_").lower(): cell for column, cell in one.cells.items()},
            "faults": [vars(fault) for fault in one.faults],
        }
        for one in checked
    ]


def _check_concurrency(checked: Sequence[Checked], config: Any) -> Iterator[Finding]:
    asked = trial_service(config).trial_gpu_number
    gpus = [one.host.facts.gpus for one in checked if one.host.facts is not None]
    if not asked or len(gpus) < len(checked):
        return
    slots = sum(
        len(found) * one.host.machine.trials_a_gpu // asked
        for found, one in zip(gpus, checked, strict=True)
    )
    if config.trial_concurrency != slots > 0:
        yield Finding(
            "warning",
            "trialConcurrency",
            f"it is {config.trial_concurrency}, and the machines' GPUs take {slots} trials at a "
            f"time: trialConcurrency: {slots}",
        )


def _dataset(config: Any) -> str | None:
    return trial_option(_arguments(config), "--dataset", "") or None


def _arguments(config: Any) -> list[str]:
    """Of this package's trial; none of another one."""
    return trial_arguments({"trialCommand": trial_service(config).trial_command}) or []
