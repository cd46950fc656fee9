"""What is wrong with a host, with the command or the line that puts it right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from nni_blockqnn.common.messages import counted, shown
from nni_blockqnn.hosts.inspection import Data, DataPlace, Facts, Host

COLUMNS = ("login", "Python", "packages", "GPUs", "data", "disk", "clock", "way back")
_LOW_DISK_BYTES = 2 * 2**30
_FULL_DISK_BYTES = 100 * 2**20
_MOST_CLOCK_SECONDS = 5.0
_PYTHONS = range(10, 14)
_FIRST_BAD_SETUPTOOLS = 82


@dataclass(frozen=True)
class Wanted:
    """What every host is compared with.

    Attributes:
        own: the versions and data of this machine.
        data: the data set that trials read; None if they need none.
        may_download: whether a trial would download the data where it is missing.
        gpus_a_trial: ``trialGpuNumber``; 0 if it is not given.
        setup: the command that installs package and data on the hosts.
    """

    own: Facts
    data: DataPlace | None
    may_download: bool
    gpus_a_trial: int
    setup: str


@dataclass(frozen=True)
class Fault:
    """One thing about a host.

    Attributes:
        column: of :data:`COLUMNS`.
        level: a search will not start with a "failure"; with a "warning" it may disappoint.
        short: a word or two for the table.
        message: what is wrong, and after a colon what puts it right.
    """

    column: str
    level: Literal["warning", "failure"]
    short: str
    message: str


def faults_of(host: Host, wanted: Wanted, all_hosts: Sequence[Host] = ()) -> list[Fault]:
    """All that is wrong with a host.

    Args:
        all_hosts: their data is compared, if this machine has none, and whether they have GPUs.
    """
    if host.error is not None:
        return [_login_fault(host)]
    assert host.facts is not None
    facts = host.facts
    return [
        *_shell_faults(facts),
        *_python_faults(host, facts, wanted),
        *_package_faults(facts, wanted),
        *_gpu_faults(host, facts, wanted, all_hosts),
        *_data_faults(facts, wanted, all_hosts),
        *_disk_faults(host, facts),
        *_clock_faults(facts),
        *_way_back_faults(host, facts),
    ]


def cells_of(host: Host, faults: Sequence[Fault]) -> dict[str, str]:
    """A host's row of the table, by column; where something is wrong, the fault's short word."""
    cells = dict.fromkeys(COLUMNS, "")
    if (facts := host.facts) is not None:
        free = f"{facts.free / 2**30:.1f} GiB"
        cells |= {"login": "ok", "Python": facts.python, "packages": "same", "GPUs": _gpus(facts)}
        cells |= {"disk": free, "clock": f"{facts.clock:+.1f} s", "way back": "ok"}
        cells["data"] = "-" if facts.data is None else counted(facts.data.files, "file")
    for fault in reversed(faults):  # the first one of a column stays
        cells[fault.column] = fault.short
    return cells


def _gpus(facts: Facts) -> str:
    if not facts.gpus:
        return "none"
    sizes = Counter(f"{memory / 1024:.0f} GiB" for memory in facts.gpus)
    return " + ".join(f"{count} x {size}" for size, count in sizes.items())


def _login_fault(host: Host) -> Fault:
    machine, error = host.machine, host.error
    assert error is not None
    if error.stage == "reach":
        what = f"is not reached: {error}"
        return Fault("login", "failure", "unreachable", f"{what}; try {machine.ssh_command}")
    if error.stage == "login":
        public = f"{machine.key_file}.pub" if machine.key_file else ""
        key = machine.key_file is not None and "sshPassphrase" not in str(error)
        port = f"-p {machine.port} " if machine.port != 22 else ""
        way = f": ssh-copy-id -i {public} {port}{machine.user}@{machine.host}" if key else ""
        return Fault("login", "failure", "refused", f"refuses the login: {error}{way}")
    return Fault("Python", "failure", "broken", f"{error}: {_python_advice(host)}")


def _shell_faults(facts: Facts) -> Iterator[Fault]:
    """NNI reads what commands print, and copies files by SFTP."""
    silence = "its ~/.bashrc, or the like, must print nothing where nobody types"
    if facts.chatter:
        message = f"its shell prints {shown(facts.chatter)} before all answers to NNI: {silence}"
        yield Fault("login", "failure", "talks", message)
    elif facts.sftp_error is not None:
        message = (
            f"gives no SFTP, by which NNI copies files ({facts.sftp_error}): its sshd_config needs "
            "the line Subsystem sftp internal-sftp"
        )
        yield Fault("login", "failure", "no SFTP", message)


def _python_advice(host: Host) -> str:
    path = host.machine.python_path
    if path is None:
        return "write pythonPath: /home/ME/venv/bin, the directory of a Python 3.10 to 3.13"
    return f"pythonPath {path} must be the directory of a Python 3.10 to 3.13"


def _python_faults(host: Host, facts: Facts, wanted: Wanted) -> Iterator[Fault]:
    major, minor, *_ = map(int, facts.python.split("."))
    path = host.machine.python_path
    if path is not None and not facts.executable.startswith(path.rstrip("/") + "/"):
        yield Fault(
            "Python",
            "failure",
            "not there",
            f"has no Python in pythonPath {path}, so NNI takes {facts.executable}: {wanted.setup}",
        )
    elif major != 3 or minor not in _PYTHONS:
        message = f"has Python {facts.python} ({facts.executable}); {_python_advice(host)}"
        yield Fault("Python", "failure", facts.python, message)
    elif facts.python.split(".")[:2] != wanted.own.python.split(".")[:2]:
        message = f"has Python {facts.python}, this machine {wanted.own.python}"
        yield Fault("Python", "warning", facts.python, message)


def _package_faults(facts: Facts, wanted: Wanted) -> Iterator[Fault]:
    own = wanted.own
    missing = [name for name in own.versions if facts.versions.get(name) is None]
    missing += ["nni-blockqnn"] if facts.code is None else []
    if missing:
        message = f"lacks {', '.join(missing)}: {wanted.setup}"
        yield Fault("packages", "failure", "missing", message)
        return
    if facts.code != own.code:
        message = f"has another nni-blockqnn than this machine: {wanted.setup}"
        yield Fault("packages", "failure", "other code", message)
    if (nni := facts.versions["nni"]) != own.versions["nni"]:
        message = f"has NNI {nni}, this machine {own.versions['nni']}: {wanted.setup}"
        yield Fault("packages", "failure", f"NNI {nni}", message)
    if int(str(facts.versions["setuptools"]).split(".")[0]) >= _FIRST_BAD_SETUPTOOLS:
        message = (
            f"has setuptools {facts.versions['setuptools']}, which lacks NNI's pkg_resources: "
            f"{wanted.setup}"
        )
        yield Fault("packages", "failure", "setuptools", message)
    for name in ("torch", "torchvision"):
        theirs, ours = facts.versions[name], own.versions[name]
        if str(theirs).split("+")[0] != str(ours).split("+")[0]:
            message = f"has {name} {theirs}, this machine {ours}: {wanted.setup}"
            yield Fault("packages", "warning", f"{name} {theirs}", message)
    if facts.pip_error is not None:
        yield Fault(
            "packages",
            "failure",
            "pip",
            "NNI says `pip install nni --upgrade` there at every start, and that fails: "
            f"{facts.pip_error}; make pip work there, or, without a package index, "
            "export PIP_NO_INDEX=1 in its ~/.ssh/environment or the like",
        )


def _gpu_faults(
    host: Host, facts: Facts, wanted: Wanted, all_hosts: Sequence[Host]
) -> Iterator[Fault]:
    """What NNI's scheduler would make of the GPUs (docs/turnover.md)."""
    machine, asked, found = host.machine, wanted.gpus_a_trial, len(facts.gpus)
    if found and facts.cuda == 0:
        message = (
            f"has {counted(found, 'GPU')}, but its PyTorch {facts.versions['torch']} uses none: "
            "install the build for its driver (nvidia-smi shows it)"
        )
        yield Fault("GPUs", "failure", "not used", message)
    if not asked:
        if found > 1:
            message = (
                f"has {found} GPUs, and without trialGpuNumber all trials share the first: write "
                "trialGpuNumber: 1"
            )
            yield Fault("GPUs", "warning", "first only", message)
        elif not found and any(other.facts and other.facts.gpus for other in all_hosts):
            message = "has no GPU, as others have: its trials train on the CPU"
            yield Fault("GPUs", "warning", "none", message)
        return
    chosen = found if machine.gpu_indices is None else len(machine.gpu_indices)
    outside = [index for index in machine.gpu_indices or () if index >= found]
    if found == 0:
        message = "has no GPU, and NNI ends at the start: delete trialGpuNumber, or this machine"
        yield Fault("GPUs", "failure", "none", message)
    elif asked / machine.trials_a_gpu >= found:
        message = (
            f"has {counted(found, 'GPU')}, and with trialGpuNumber: {asked} NNI 3.0 starts a trial "
            "only where there are more GPUs than that: delete trialGpuNumber, or write for it "
            "maxTrialNumberPerGpu: 2 and useActiveGpu: true"
        )
        yield Fault("GPUs", "failure", "too few", message)
    elif outside:
        message = f"has the GPUs 0 to {found - 1}: delete {outside[0]} from its gpuIndices"
        yield Fault("GPUs", "failure", "gpuIndices", message)
    elif asked / machine.trials_a_gpu > chosen:
        message = f"its gpuIndices are {chosen}, and a trial asks for {asked}: name more of them"
        yield Fault("GPUs", "failure", "gpuIndices", message)
    elif machine.trials_a_gpu > 1 and not machine.use_active_gpu:
        message = (
            "NNI gives a second trial no GPU that a first one uses: beside maxTrialNumberPerGpu, "
            "write useActiveGpu: true"
        )
        yield Fault("GPUs", "failure", "useActiveGpu", message)
    elif facts.busy and not machine.use_active_gpu:
        message = (
            f"other programs, a screen perhaps, use GPU {', '.join(map(str, facts.busy))}, which "
            "NNI then leaves alone: end them, or write useActiveGpu: true"
        )
        yield Fault("GPUs", "warning", "in use", message)


def _data_faults(facts: Facts, wanted: Wanted, all_hosts: Sequence[Host]) -> Iterator[Fault]:
    if wanted.data is None or facts.data is None:
        return
    own = _reference(wanted, all_hosts)
    folder = wanted.data.folder
    if facts.data.files == 0 and (own is None or own.files):
        if wanted.may_download:
            message = f"has no data in {folder} and would download it: {wanted.setup}"
            yield Fault("data", "warning", "missing", message)
        else:
            yield Fault("data", "failure", "missing", f"has no data in {folder}: {wanted.setup}")
    elif own is not None and facts.data.hash != own.hash:
        message = (
            f"has other data in {folder}, {_size(facts.data)} instead of {_size(own)}: "
            f"{wanted.setup}"
        )
        yield Fault("data", "failure", "differs", message)


def _reference(wanted: Wanted, all_hosts: Sequence[Host]) -> Data | None:
    """This machine's data, or else what most hosts have; None if nobody has any."""
    if wanted.own.data is not None and wanted.own.data.files:
        return wanted.own.data
    found = [host.facts.data for host in all_hosts if host.facts and host.facts.data]
    hashes = Counter(data.hash for data in found if data.files)
    if not hashes:
        return None
    usual = hashes.most_common(1)[0][0]
    return next(data for data in found if data.hash == usual)


def _size(data: Data) -> str:
    return f"{counted(data.files, 'file')} of {data.bytes:,} bytes"


def _disk_faults(host: Host, facts: Facts) -> Iterator[Fault]:
    look = f"{host.machine.ssh_command} du -sh {facts.home}/nni-experiments"
    left = f"{facts.free / 2**20:,.0f} MiB"
    if facts.disk_error is not None:
        message = f"NNI cannot write into {facts.home}/nni-experiments: {facts.disk_error}"
        yield Fault("disk", "failure", "not writable", f"{message} ({left} are free); see {look}")
    elif facts.free < _FULL_DISK_BYTES:
        yield Fault("disk", "failure", left, f"has only {left} left in {facts.home}: {look}")
    elif facts.free < _LOW_DISK_BYTES:
        yield Fault("disk", "warning", left, f"has only {left} left in {facts.home}: {look}")


def _clock_faults(facts: Facts) -> Iterator[Fault]:
    if abs(facts.clock) > _MOST_CLOCK_SECONDS:
        message = (
            f"its clock is {facts.clock:+.0f} s off, and NNI takes trials' times from it: "
            "sudo timedatectl set-ntp true"
        )
        yield Fault("clock", "warning", f"{facts.clock:+.0f} s", message)


def _way_back_faults(host: Host, facts: Facts) -> Iterator[Fault]:
    if facts.way_back is None:
        return
    message = (
        f"does not reach NNI's manager: {facts.way_back}. Open that port in this machine's "
        f"firewall, or write nniManagerIp: {host.own_address}, which is its address on the way "
        "to the host"
    )
    yield Fault("way back", "failure", "none", message)
