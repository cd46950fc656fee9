"""A training that was cut off on one host goes on from its checkpoint on another one.

Hosts are folders here: their shell runs on this machine with another HOME, and their SFTP copies
files between folders.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from nni_blockqnn.exchange.kept_results import CHECKPOINT_NAME, checkpoint_time
from nni_blockqnn.hosts import checkpoints
from nni_blockqnn.hosts._connection import HostError, Ran
from nni_blockqnn.hosts.checkpoints import Spread, spread_checkpoints
from nni_blockqnn.hosts.machine import Machine
from nni_blockqnn.training import Checkpoint
from nni_blockqnn.trials._files import TrialFiles

ID = "abcd1234"
TASK = {"block": "a", "repeats": 4, "network": "cifar100"}
TRIAL = "trial"


class Sftp:
    """Copies between this machine and a host, which is a folder of it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.stat = os.stat
        self.utime = os.utime
        self.posix_rename = os.replace

    def getfo(self, path: str, file: IO[bytes]) -> int:
        assert path.startswith(str(self._home))
        return file.write(Path(path).read_bytes())

    def put(self, path: str, target: str) -> None:
        assert target.startswith(str(self._home))
        shutil.copyfile(path, target)


class Shell:
    """What a connection to a host offers."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def run(self, command: str) -> Ran:
        variables = os.environ | {"HOME": str(self._home)}
        ran = subprocess.run(
            ["sh", "-c", command], env=variables, cwd=self._home, capture_output=True, text=True
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    @contextmanager
    def sftp(self) -> Iterator[Sftp]:
        yield Sftp(self._home)


class Hosts:
    """Some hosts, and this machine with the experiment.

    Attributes:
        silent: the addresses of those that do not answer.
    """

    def __init__(self, folder: Path, addresses: str) -> None:
        self.machines = [Machine(address, "me") for address in addresses]
        self.homes = {address: folder / address for address in addresses}
        for home in self.homes.values():
            home.mkdir()
        self.experiment = folder / "here" / ID
        self.experiment.mkdir(parents=True)
        self.silent: set[str] = set()

    @contextmanager
    def connect(self, machine: Machine) -> Iterator[Shell]:
        if machine.host in self.silent:
            raise HostError("reach", "no answer")
        yield Shell(self.homes[machine.host])

    def files(self, address: str, worker: int, trial: str = TRIAL) -> TrialFiles:
        """Those of a trial on a host, as NNI lays them out there."""
        environments = self.homes[address] / "nni-experiments" / ID / "environments"
        folder = environments / f"remote-worker{worker}" / "trials" / trial
        folder.mkdir(parents=True, exist_ok=True)
        return TrialFiles(folder, TASK, {"dataset": "cifar100"})

    def train(self, address: str, worker: int, epoch: int, trial: str = TRIAL) -> Path:
        """Leave a checkpoint; that of a later epoch is younger."""
        own = self.files(address, worker, trial).checkpoint
        Checkpoint(own.path, own.fingerprint, seconds_between=0).save({"epoch": epoch})
        os.utime(own.path, (1000 + epoch, 1000 + epoch))
        return own.path

    def spread(self, *trials: str) -> Spread:
        return spread_checkpoints(
            self.machines, self.experiment, CHECKPOINT_NAME, trials or (TRIAL,)
        )

    def goes_on_from(self, address: str, worker: int) -> int | None:
        """The epoch from which a copy of the trial goes on there."""
        copy = self.files(address, worker, "copy")
        copy.inherit_checkpoint()
        state = copy.checkpoint.load()
        return None if state is None else state["epoch"]


@pytest.fixture
def make_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Hosts]:
    def made(addresses: str) -> Hosts:
        hosts = Hosts(tmp_path, addresses)
        monkeypatch.setattr(checkpoints, "connect", hosts.connect)
        return hosts

    return made


def test_every_other_host_gets_the_checkpoint_once(make_hosts: Callable[[str], Hosts]) -> None:
    hosts = make_hosts("abc")
    written = hosts.train("a", 1, epoch=7)
    assert hosts.goes_on_from("b", 2) is None
    spread = hosts.spread()
    assert (spread.fetched, spread.sent, spread.failed) == (1, 2, {})
    assert spread.size == written.stat().st_size
    assert [hosts.goes_on_from(address, 9) for address in "abc"] == [7, 7, 7]
    assert checkpoint_time(hosts.experiment, TRIAL) == 1007  # what `blockqnn retry` says
    again = hosts.spread()
    assert (again.fetched, again.sent, again.failed) == (0, 0, {})


def test_the_newest_one_goes_everywhere(make_hosts: Callable[[str], Hosts]) -> None:
    """The trial was run again on b, and was cut off there too."""
    hosts = make_hosts("abc")
    hosts.train("a", 1, epoch=3)
    hosts.spread()
    hosts.train("b", 2, epoch=5)
    hosts.spread()
    assert [hosts.goes_on_from(address, 9) for address in "abc"] == [5, 5, 5]


def test_a_host_that_does_not_answer_gets_nothing_and_the_others_go_on(
    make_hosts: Callable[[str], Hosts],
) -> None:
    """What was fetched before it went silent is here."""
    hosts = make_hosts("abc")
    hosts.train("a", 1, epoch=3)
    hosts.silent = {"b", "c"}
    assert set(hosts.spread().failed) == {"b", "c"}
    hosts.silent = {"a", "b"}
    spread = hosts.spread()
    assert (spread.fetched, spread.sent) == (0, 1)
    assert spread.failed == {"a": "no answer", "b": "no answer"}
    assert hosts.goes_on_from("c", 3) == 3


def test_hosts_that_share_their_home_copy_nothing(
    make_hosts: Callable[[str], Hosts],
) -> None:
    """A copy finds the checkpoint below another environment, as it does on a host that NNI lost
    and found again."""
    hosts = make_hosts("ab")
    hosts.homes["b"] = hosts.homes["a"]
    hosts.train("a", 1, epoch=4)
    assert hosts.goes_on_from("b", 2) == 4
    spread = hosts.spread()
    assert (spread.fetched, spread.sent) == (1, 0)


def test_only_the_trials_that_are_asked_for_are_copied(
    make_hosts: Callable[[str], Hosts],
) -> None:
    hosts = make_hosts("ab")
    hosts.train("a", 1, epoch=4, trial="other")
    hosts.train("a", 1, epoch=4, trial="asked")
    hosts.spread("asked", "unknown")
    found = sorted(path.parent.name for path in hosts.homes["b"].rglob(CHECKPOINT_NAME))
    assert found == ["asked"]


def test_a_trial_that_got_anothers_parameters_does_not_go_on_from_its_own_folder(
    make_hosts: Callable[[str], Hosts],
) -> None:
    """NNI runs trials again under their own IDs, on hosts with each other's parameters."""
    hosts = make_hosts("ab")
    hosts.train("a", 1, epoch=4)
    foreign = hosts.files("a", 1, "copy").checkpoint
    Checkpoint(foreign.path, "another task", seconds_between=0).save({"epoch": 99})
    assert hosts.goes_on_from("a", 1) == 4


def test_a_host_without_room_is_named(make_hosts: Callable[[str], Hosts]) -> None:
    hosts = make_hosts("ab")
    hosts.train("a", 1, epoch=4)
    blocked = hosts.homes["b"] / "nni-experiments"
    blocked.write_text("no folder")
    spread = hosts.spread()
    assert (spread.fetched, spread.sent) == (1, 0)
    assert "nni-experiments" in spread.failed["b"]
