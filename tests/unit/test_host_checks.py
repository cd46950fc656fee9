"""``blockqnn check`` and ``setup-hosts`` of a remote search, with hosts that are made up."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nni_blockqnn import cli
from nni_blockqnn.commands import _host_checks
from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.commands._host_checks import data_place
from nni_blockqnn.hosts._connection import HostError
from nni_blockqnn.hosts.inspection import DataPlace, Facts, Host, own_facts
from nni_blockqnn.hosts.machine import Machine
from nni_blockqnn.hosts.way_back import WayBack

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the configuration of a search on two hosts, with changes."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").touch()

    def written(**changes: Any) -> Path:
        machines = [
            {"host": host, "user": "me", "sshKeyFile": str(tmp_path / "key")}
            for host in ("10.0.0.2", "10.0.0.3")
        ]
        config = {
            "searchSpace": {
                "block": {"_type": "nsc", "_value": {"max_layers": 5}},
                "network": {"_type": "choice", "_value": ["digits"]},
                "repeats": {"_type": "choice", "_value": [1]},
            },
            "trialCommand": "python -m nni_blockqnn.trial --dataset digits",
            "trialConcurrency": 2,
            "maxTrialNumber": 2,
            "tuner": {
                "className": "nni_blockqnn.tuner.BlockQNNTuner",
                "codeDirectory": ".",
                "classArgs": {"budget": 2},
            },
            "nniManagerIp": "10.0.0.1",
            "trainingService": {
                "platform": "remote",
                "reuseMode": False,
                "machineList": machines,
            },
        }
        path = tmp_path / "search.yml"
        path.write_text(yaml.safe_dump(config | changes))
        return path

    return written


def hosts_are(monkeypatch: pytest.MonkeyPatch, *found: Facts | HostError) -> list[WayBack]:
    """Let the hosts say this; returns the ways back that they are asked for."""
    asked: list[WayBack] = []

    def inspect_all(
        machines: Sequence[Machine], data: DataPlace | None, way_back: WayBack
    ) -> list[Host]:
        asked.append(way_back)
        return [
            Host(machine, error=one) if isinstance(one, HostError) else Host(machine, one)
            for machine, one in zip(machines, found, strict=True)
        ]

    monkeypatch.setattr(_host_checks, "inspect_all", inspect_all)
    return asked


def test_hosts_that_are_ready(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = replace(own_facts(None), free=2**40)
    asked = hosts_are(monkeypatch, facts, facts)
    assert cli.main(["check", "--no-estimate", str(write())]) == 0
    output = capsys.readouterr().out
    assert "10.0.0.3" in output
    assert "hosts: 2 machines ready" in output
    assert [way.address for way in asked] == ["10.0.0.1"]


@pytest.mark.filterwarnings("ignore:SSH password will be exposed")
def test_a_password_in_a_file_that_others_can_read(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts_are(monkeypatch, *[replace(own_facts(None), free=2**40)] * 2)
    said = "holds a password, and other users of this machine can read it: chmod 600"
    machine = {"host": "10.0.0.2", "user": "me", "password": "secret"}
    machines = [machine, machine | {"host": "10.0.0.3"}]
    service = {"platform": "remote", "reuseMode": False, "machineList": machines}
    path = write(trainingService=service)
    path.chmod(0o640)
    assert cli.main(["check", "--no-estimate", str(path)]) == 0
    assert f"{path} {said} {path}" in capsys.readouterr().out
    path.chmod(0o600)
    assert cli.main(["check", "--no-estimate", str(path)]) == 0
    assert said not in capsys.readouterr().out


def test_a_fault_is_said_in_the_table_in_words_and_to_programs(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = replace(own_facts(None), free=2**40)
    hosts_are(monkeypatch, HostError("reach", "no answer"), replace(facts, code=None))
    path = write()
    assert cli.main(["check", "--no-estimate", str(path)]) == 1
    output = capsys.readouterr().out
    assert "unreachable" in output
    assert f"10.0.0.3: packages: lacks nni-blockqnn: blockqnn setup-hosts {path}" in output

    assert cli.main(["check", "--no-estimate", "--json", str(path)]) == 1
    told = json.loads(capsys.readouterr().out)
    first, second = told["hosts"]
    assert (first["login"], first["way_back"]) == ("unreachable", "")
    assert (second["login"], second["packages"], second["way_back"]) == ("ok", "missing", "ok")
    subjects = [one["subject"] for one in told["findings"] if one["level"] == "failure"]
    assert subjects == ["10.0.0.2", "10.0.0.3"]


def test_the_managers_address_is_asked_for(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one NNI tells the hosts to look for it on themselves."""
    facts = replace(own_facts(None), free=2**40)
    asked = hosts_are(monkeypatch, facts, facts)
    assert cli.main(["check", "--no-estimate", str(write(nniManagerIp=None))]) == 1
    assert "write nniManagerIp: " in capsys.readouterr().out
    assert [way.address for way in asked] == ["localhost"]


@pytest.mark.parametrize(("gpus", "slots"), [((80, 80), None), ((80, 80, 80), 6)])
def test_the_concurrency_is_compared_with_the_gpus(
    gpus: tuple[int, ...],
    slots: int | None,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = replace(own_facts(None), free=2**40, gpus=gpus, cuda=len(gpus))
    hosts_are(monkeypatch, facts, facts)
    path = write(trialGpuNumber=1, trialConcurrency=4)
    assert cli.main(["check", "--no-estimate", str(path)]) == 0
    assert (f"trialConcurrency: {slots}" in capsys.readouterr().out) is (slots is not None)


@pytest.mark.parametrize(
    ("arguments", "files", "place"),
    [
        ("--dataset digits", (), None),
        (
            "--dataset=cifar10 --data-dir /d",
            (),
            DataPlace("/d", ("cifar-10-batches-py/", "cifar-10-python.tar.gz")),
        ),
        ("--dataset image-folder --data-dir ~/d", (), DataPlace("~/d")),
        ("--dataset image-folder --data-dir here", (), None),
        ("--dataset own:data", (), None),
        ("--dataset own:data --data-dir '~/d'", (), DataPlace("~/d")),
        (
            "--dataset cifar100 --data-dir ~/d",
            ("cifar-100-python/train", "cifar-100-python.tar.gz"),
            DataPlace("~/d", ("cifar-100-python/",)),
        ),
        (
            "--dataset cifar100 --data-dir ~/d",
            ("cifar-100-python.tar.gz",),
            DataPlace("~/d", ("cifar-100-python.tar.gz",)),
        ),
    ],
)
def test_which_files_the_trials_read(
    arguments: str, files: tuple[str, ...], place: DataPlace | None, write: Write, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).touch()
    config = load_config(write(trialCommand=f"python -m nni_blockqnn.trial {arguments}"))
    assert data_place(config) == place


def test_setup_hosts_wants_hosts(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(trainingService={"platform": "local"})
    assert cli.main(["setup-hosts", str(path)]) == 1
    assert "names no machines" in capsys.readouterr().err
