"""A machine of a configuration's ``machineList``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SSH_PORT = 22


@dataclass(frozen=True)
class Machine:
    """What NNI knows of one host.

    Attributes:
        key_file: the private key, of which NNI takes no other; None with a password.
        python_path: the directory that NNI puts first on the host's PATH.
        gpu_indices: the GPUs that trials may use; None for all.
    """

    host: str
    user: str
    port: int = _SSH_PORT
    password: str | None = None
    key_file: Path | None = None
    passphrase: str | None = None
    python_path: str | None = None
    use_active_gpu: bool = False
    trials_a_gpu: int = 1
    gpu_indices: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """'10.0.0.2', or '10.0.0.2:2222' where the port is not SSH's own."""
        return self.host if self.port == _SSH_PORT else f"{self.host}:{self.port}"

    @property
    def ssh_options(self) -> str:
        """The options of ``ssh`` that lead to it, ready for a shell: '-p 2222 -i key '."""
        port = "" if self.port == _SSH_PORT else f"-p {self.port} "
        key = f"-i {shlex.quote(str(self.key_file))} " if self.key_file else ""
        return port + key

    @property
    def ssh_command(self) -> str:
        """What to type to log in: 'ssh -i key me@10.0.0.2'."""
        return f"ssh {self.ssh_options}{self.user}@{self.host}"


def machine_of_config(machine: Any) -> Machine:
    """Of NNI's own RemoteMachineConfig, canonical."""
    indices = machine.gpu_indices
    return Machine(
        host=machine.host,
        user=machine.user,
        port=machine.port,
        password=machine.password,
        key_file=None if machine.ssh_key_file is None else Path(machine.ssh_key_file),
        passphrase=machine.ssh_passphrase,
        python_path=machine.python_path,
        use_active_gpu=machine.use_active_gpu,
        trials_a_gpu=machine.max_trial_number_per_gpu,
        gpu_indices=None if indices is None else tuple(indices),
    )


def machines_of_record(config: Mapping[str, Any]) -> list[Machine]:
    """Those of an experiment's configuration as NNI's database has it; none of a local one."""
    services = config.get("trainingService")
    found = []
    for service in services if isinstance(services, list) else [services]:
        if not isinstance(service, Mapping) or service.get("platform") != "remote":
            continue
        for machine in service.get("machineList") or ():
            key = machine.get("sshKeyFile")
            found.append(
                Machine(
                    host=machine["host"],
                    user=machine["user"],
                    port=machine.get("port", _SSH_PORT),
                    password=machine.get("password"),
                    key_file=Path(key).expanduser() if key else None,
                    passphrase=machine.get("sshPassphrase"),
                    python_path=machine.get("pythonPath"),
                )
            )
    return found
