"""What ``blockqnn check`` makes of what hosts say, and what is sent to them and fetched."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nni_blockqnn.hosts import _probe, results
from nni_blockqnn.hosts._connection import HostError
from nni_blockqnn.hosts._wheel import build_wheel
from nni_blockqnn.hosts.inspection import Data, DataPlace, Facts, Host
from nni_blockqnn.hosts.judging import Fault, Wanted, cells_of, faults_of
from nni_blockqnn.hosts.machine import Machine, machines_of_record
from nni_blockqnn.hosts.setting_up import _packed
from nni_blockqnn.hosts.way_back import listening

SETUP = "blockqnn setup-hosts search.yml"
MACHINE = Machine("10.0.0.2", "me", key_file=Path("/home/me/.ssh/id_rsa"), python_path="/venv/bin")
VERSIONS = {"nni": "3.0", "torch": "2.14.1+cu130", "torchvision": "0.29.1", "setuptools": "81.0"}
DATA = Data(2, 300, "hash")
FINE = Facts("3.11.7", "/venv/bin/python", VERSIONS, "code", data=DATA, home="/home/me", free=2**40)
WANTED = Wanted(FINE, DataPlace("/data"), may_download=False, gpus_a_trial=0, setup=SETUP)


def faults(facts: Facts, machine: Machine = MACHINE, wanted: Wanted = WANTED) -> list[Fault]:
    return faults_of(Host(machine, facts, own_address="10.0.0.1"), wanted)


def test_nothing_is_wrong_with_a_host_like_this_one() -> None:
    assert faults(FINE) == []
    cells = cells_of(Host(MACHINE, FINE), [])
    assert [*cells.values()] == [
        *("ok", "3.11.7", "same", "none", "2 files", "1024.0 GiB", "+0.0 s", "ok")
    ]


@pytest.mark.parametrize(
    ("changes", "column", "level", "said"),
    [
        ({"chatter": "hi", "sftp_error": "x"}, "login", "failure", "its shell prints 'hi' before"),
        ({"sftp_error": "EOF"}, "login", "failure", "gives no SFTP, by which NNI copies"),
        ({"executable": "/usr/bin/python3"}, "Python", "failure", "so NNI takes /usr/bin/python3"),
        ({"python": "3.9.2"}, "Python", "failure", "must be the directory of a Python 3.10 to"),
        ({"python": "3.12.1"}, "Python", "warning", "has Python 3.12.1, this machine 3.11.7"),
        ({"code": None}, "packages", "failure", f"lacks nni-blockqnn: {SETUP}"),
        ({"code": "else"}, "packages", "failure", "another nni-blockqnn than this machine"),
        ({"versions": VERSIONS | {"nni": None}}, "packages", "failure", "lacks nni"),
        ({"versions": VERSIONS | {"nni": "2.10"}}, "packages", "failure", "has NNI 2.10"),
        ({"versions": VERSIONS | {"torch": "2.9"}}, "packages", "warning", "has torch 2.9"),
        ({"versions": VERSIONS | {"setuptools": "82.0.1"}}, "packages", "failure", "pkg_resources"),
        ({"pip_error": "No module named pip"}, "packages", "failure", "that fails: No module"),
        ({"data": Data(0, 0, "none")}, "data", "failure", f"has no data in /data: {SETUP}"),
        ({"data": Data(3, 310, "more")}, "data", "failure", "3 files of 310 bytes instead of 2"),
        ({"disk_error": "Read-only file system"}, "disk", "failure", "NNI cannot write into"),
        ({"free": 2**20}, "disk", "failure", "has only 1 MiB left in /home/me"),
        ({"free": 2**30}, "disk", "warning", "has only 1,024 MiB left"),
        ({"clock": -60.0}, "clock", "warning", "its clock is -60 s off"),
        ({"way_back": "Connection refused"}, "way back", "failure", "nniManagerIp: 10.0.0.1"),
    ],
)
def test_a_fault_names_what_puts_it_right(
    changes: dict, column: str, level: str, said: str
) -> None:
    (fault,) = faults(replace(FINE, **changes))
    assert (fault.column, fault.level) == (column, level)
    assert said in fault.message
    assert cells_of(Host(MACHINE, FINE), [fault])[column] == fault.short


@pytest.mark.parametrize(
    ("gpus", "asked", "changes", "level", "said"),
    [
        ((), 0, {}, None, ""),
        ((), 1, {}, "failure", "has no GPU, and NNI ends at the start"),
        ((80,), 1, {}, "failure", "only where there are more GPUs than that"),
        ((80, 80), 1, {}, None, ""),
        ((80, 80), 2, {}, "failure", "has 2 GPUs"),
        ((80,), 1, {"trials_a_gpu": 2, "use_active_gpu": True}, None, ""),
        ((80, 80), 1, {"trials_a_gpu": 2}, "failure", "write useActiveGpu: true"),
        ((80, 80), 1, {"gpu_indices": (1, 2)}, "failure", "delete 2 from its gpuIndices"),
        ((80, 80, 80), 2, {"gpu_indices": (1,)}, "failure", "its gpuIndices are 1"),
        ((80, 80), 0, {}, "warning", "all trials share the first"),
        ((80,), 0, {}, None, ""),
    ],
)
def test_gpus_that_nnis_scheduler_would_leave_idle(
    gpus: tuple[int, ...], asked: int, changes: dict, level: str | None, said: str
) -> None:
    """Its rules are those of NNI's task_scheduler (docs/turnover.md)."""
    found = faults(
        replace(FINE, gpus=gpus, cuda=len(gpus)),
        replace(MACHINE, **changes),
        replace(WANTED, gpus_a_trial=asked),
    )
    assert [fault.level for fault in found] == ([level] if level else [])
    assert all(said in fault.message for fault in found)


def test_gpus_in_use_and_gpus_that_pytorch_does_not_see() -> None:
    wanted = replace(WANTED, gpus_a_trial=1)
    (fault,) = faults(replace(FINE, gpus=(80, 80), busy=(0,), cuda=2), wanted=wanted)
    assert "use GPU 0, which NNI then leaves alone" in fault.message
    (fault,) = faults(replace(FINE, gpus=(80,), cuda=0))
    assert "its PyTorch 2.14.1+cu130 uses none" in fault.message


def test_data_is_compared_between_hosts_where_this_machine_has_none() -> None:
    wanted = replace(WANTED, own=replace(FINE, data=Data(0, 0, "")), may_download=True)
    hosts = [Host(MACHINE, replace(FINE, data=data)) for data in (DATA, DATA, Data(1, 9, "odd"))]
    assert [faults_of(host, wanted, hosts)[0:1] == [] for host in hosts] == [True, True, False]
    empty = Host(MACHINE, replace(FINE, data=Data(0, 0, "")))
    (fault,) = faults_of(empty, wanted, [*hosts, empty])
    assert (fault.level, "would download it" in fault.message) == ("warning", True)


@pytest.mark.parametrize(
    ("stage", "short", "said"),
    [
        ("reach", "unreachable", "try ssh -i /home/me/.ssh/id_rsa me@10.0.0.2"),
        ("login", "refused", "ssh-copy-id -i /home/me/.ssh/id_rsa.pub me@10.0.0.2"),
        ("command", "broken", "pythonPath /venv/bin must be the directory"),
    ],
)
def test_a_host_that_cannot_be_asked(stage: str, short: str, said: str) -> None:
    host = Host(MACHINE, error=HostError(stage, "no answer"))  # type: ignore[arg-type]
    (fault,) = faults_of(host, WANTED)
    assert (fault.level, fault.short, said in fault.message) == ("failure", short, True)


def test_machines_of_an_experiments_record() -> None:
    entry = {"host": "a", "user": "me", "port": 2222, "sshKeyFile": "~/key", "pythonPath": "/p"}
    record = {"trainingService": {"platform": "remote", "machineList": [entry]}}
    (machine,) = machines_of_record(record)
    assert (machine.name, machine.python_path) == ("a:2222", "/p")
    assert machine.key_file == Path("~/key").expanduser()
    assert machines_of_record({"trainingService": {"platform": "local"}}) == []
    assert machines_of_record({}) == []


def test_the_listing_of_a_data_set(tmp_path: Path) -> None:
    for name in ("cifar-100-python/train", "cifar-100-python/.part", "other/file", "x.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    listing = _probe.listing_of(str(tmp_path), ["cifar-100-python/"])
    assert listing == {"cifar-100-python/train": 5}
    assert set(_probe.listing_of(str(tmp_path), [])) == {"cifar-100-python/train", "other/file"}
    assert _probe.hash_of(listing) != _probe.hash_of(listing | {"cifar-100-python/train": 6})
    assert _probe.listing_of(str(tmp_path / "none"), []) == {}


def test_a_wheel_of_the_installed_package_is_one_that_pip_installs(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile"]
    ran = subprocess.run(
        [*command, "--quiet", "--target", target, wheel], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert (target / "nni_blockqnn/config_templates/blockqnn_quickstart.yml").is_file()
    assert (target / "nni_blockqnn/bridge/loopback.js").is_file()
    with zipfile.ZipFile(wheel) as archive:
        assert "blockqnn = nni_blockqnn.cli:main" in "".join(
            archive.read(name).decode() for name in archive.namelist() if "entry_points" in name
        )


def test_files_are_packed_as_tar_reads_them(tmp_path: Path) -> None:
    contents = {"a": b"", "b/long": bytes(range(256)) * 1025, "b/c": b"c" * 512}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    packed = b"".join(_packed(tmp_path, list(contents)))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        read = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    assert read == contents


def test_the_way_back_is_believed_only_with_our_answer() -> None:
    with listening("127.0.0.1", 0) as way:
        assert way.port > 0
        assert _probe._way_back(way.address, way.port, way.token) is None
        wrong = _probe._way_back(way.address, way.port, "guessed")
        assert wrong == "another program answers there"
    assert _probe._way_back(way.address, way.port, way.token) == "Connection refused"


class Told:
    """A host's shell, with the files of one trial and one that nobody asked for."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def read(self, command: str, data: object = (), *, seconds: float = 0) -> tuple:
        if "tar -cf" not in command:
            return 0, "\n".join(self.names).encode(), ""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name in self.names:
                member = tarfile.TarInfo(name)
                member.size, member.mtime = 2, 1_000
                archive.addfile(member, io.BytesIO(b"{}"))
        return 0, packed.getvalue(), ""


def test_only_what_is_a_trials_result_is_fetched_and_only_once(tmp_path: Path) -> None:
    name = "blockqnn-result.json"
    good = f"remote-worker1/trials/abcde/{name}"
    host = Told([good, f"../../trials/abcde/{name}", f"x/trials/../{name}", "/etc/passwd"])
    experiment = tmp_path / "experiment"
    assert results._fetch(host, experiment, name) == 1  # type: ignore[arg-type]
    (fetched,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert fetched == experiment / "environments" / good
    assert fetched.stat().st_mtime == 1_000
    assert results._fetch(host, experiment, name) == 0  # type: ignore[arg-type]
