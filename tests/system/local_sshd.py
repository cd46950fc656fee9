"""An SSH server of our own, for whoever holds the key that is made with it."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from components import require
from nni_shell import free_port

_PATIENCE_SECONDS = 60
_PRIVILEGE_SEPARATION = Path("/run/sshd")


@dataclass(frozen=True)
class SshServer:
    """A server that gives its users another home than the machine does."""

    port: int
    key: Path
    home: Path
    address: str = "127.0.0.1"

    @property
    def user(self) -> str:
        return getpass.getuser()

    def processes(self) -> list[psutil.Process]:
        """Those of NNI's worker that run in this home."""
        running = psutil.process_iter(["cmdline"])
        return [one for one in running if str(self.home) in " ".join(one.info["cmdline"] or ())]


@contextmanager
def sshd(
    directory: Path,
    address: str = "127.0.0.1",
    within: Sequence[str] = (),
    sftp: str = "Subsystem sftp internal-sftp",
) -> Iterator[SshServer]:
    """
    Args:
        sftp: the line of sshd_config that offers it.
        within: what starts the server where the address is, such as `nsenter --net=FILE --`.
    """
    program = require("sshd")
    home = directory / "home"
    home.mkdir(parents=True, exist_ok=True)
    host_key, user_key = directory / "host_key", directory / "id_ed25519"
    _make_key(host_key)
    _make_key(user_key)
    server = SshServer(free_port(), user_key, home, address)
    # of a checkout that is not the installed one
    path = f" PYTHONPATH={os.environ['PYTHONPATH']}" if "PYTHONPATH" in os.environ else ""
    config = directory / "sshd_config"
    config.write_text(
        f"ListenAddress {address}:{server.port}\n"
        f"HostKey {host_key}\n"
        f"AuthorizedKeysFile {user_key.with_suffix('.pub')}\n"
        "PidFile none\n"
        "StrictModes no\n"
        "UsePAM no\n"
        "PasswordAuthentication no\n"
        f"{sftp}\n"
        # NNI's worker says pip install --upgrade nni first; here nothing is to be downloaded.
        f"SetEnv HOME={home} PIP_NO_INDEX=1 OMP_NUM_THREADS=1{path}\n"
    )
    with _privilege_separation_directory(), (directory / "sshd.log").open("w") as log:
        process = subprocess.Popen([*within, program, "-D", "-e", "-f", config], stderr=log)
        try:
            _wait_until_it_listens(process, server, directory / "sshd.log")
            yield server
        finally:
            for left in server.processes():
                left.kill()
            process.terminate()
            process.wait(_PATIENCE_SECONDS)


def _make_key(path: Path) -> None:
    command = [str(require("ssh-keygen")), "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)


def _wait_until_it_listens(process: subprocess.Popen, server: SshServer, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _listens(server):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _listens(server: SshServer) -> bool:
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex((server.address, server.port)) == 0


@contextmanager
def _privilege_separation_directory() -> Iterator[None]:
    """What sshd wants when root starts it, and a machine that never ran one lacks."""
    missing = os.geteuid() == 0 and not _PRIVILEGE_SEPARATION.exists()
    if missing:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    yield
    if missing:
        with suppress(OSError):
            _PRIVILEGE_SEPARATION.rmdir()
