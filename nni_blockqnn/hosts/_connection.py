"""Logging in to a host as NNI does: with the configuration's key or password and nothing else.

NNI's own client neither asks an SSH agent nor reads ``~/.ssh/config`` or ``known_hosts``; nor do
these logins, so that what works here works there.
"""

from __future__ import annotations

import logging
import shlex
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from nni_blockqnn.common.messages import UserError
from nni_blockqnn.hosts.machine import Machine

if TYPE_CHECKING:
    import paramiko

_MOST_AT_ONCE = 64
_LOGIN_SECONDS = 15.0
_T = TypeVar("_T")


class HostError(UserError, RuntimeError):
    """A host that does not do what it should; the message says what, without its name.

    Attributes:
        stage: how far it got: it was not reached, refused the login, or failed at a command.
    """

    def __init__(self, stage: Literal["reach", "login", "command"], message: str) -> None:
        super().__init__(message)
        self.stage = stage


class Ran(NamedTuple):
    """What became of a command on a host."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """Of what it said, stderr first; a text in any case."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1] if lines else f"exit code {self.code}"


class Connection:
    """A host that we are logged in to."""

    def __init__(self, machine: Machine, client: paramiko.SSHClient) -> None:
        self.machine = machine
        self._client = client

    @property
    def own_address(self) -> str:
        """This machine's address, as the host sees it unless a router translates it."""
        transport = self._client.get_transport()
        assert transport is not None
        return str(transport.sock.getsockname()[0])

    def run(self, command: str, data: Iterable[bytes] = (), *, seconds: float = 60.0) -> Ran:
        """Run a command of the host's shell.

        Args:
            data: for its standard input.
            seconds: the longest silence.

        Raises:
            HostError: if it is silent for longer, or the connection breaks.
        """
        output = self.read(command, data, seconds=seconds)
        return Ran(output[0], output[1].decode(errors="replace"), output[2])

    def read(
        self, command: str, data: Iterable[bytes] = (), *, seconds: float = 60.0
    ) -> tuple[int, bytes, str]:
        """As :meth:`run`, for commands whose output is no text."""
        import paramiko

        try:
            stdin, stdout, stderr = self._client.exec_command(command, timeout=seconds)
            try:
                for part in data:
                    stdin.write(part)
                stdin.channel.shutdown_write()
            except OSError:  # it has ended without reading all; its exit code says why
                pass
            output = stdout.read()
            errors = stderr.read().decode(errors="replace")
            return stdout.channel.recv_exit_status(), output, errors
        except TimeoutError:
            raise HostError("command", f"no answer in {seconds:.0f} s to: {command}") from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise HostError("command", f"the connection broke: {_said(error)}") from None

    @contextmanager
    def sftp(self, seconds: float = 60.0) -> Iterator[paramiko.SFTPClient]:
        """A way to copy files.

        Args:
            seconds: the longest silence.

        Raises:
            HostError: if the host offers none, is silent for longer, or the connection breaks.
        """
        import paramiko

        try:
            with self._client.open_sftp() as opened:
                channel = opened.get_channel()
                assert channel is not None
                channel.settimeout(seconds)
                yield opened
        except (paramiko.SSHException, paramiko.SFTPError, EOFError, TimeoutError) as error:
            raise HostError("command", f"SFTP broke off: {_said(error)}") from None

    def python(self, arguments: str) -> str:
        """The command that runs the host's Python as NNI does, pythonPath first on PATH."""
        path = self.machine.python_path
        first = f'PATH={shlex.quote(path)}":$PATH"; ' if path else ""
        script = (
            f"{first}if python -c 0 2>/dev/null; then exec python {arguments}; "
            f"else exec python3 {arguments}; fi"
        )
        return f"sh -c {shlex.quote(script)}"  # whatever shell the user has


@contextmanager
def connect(machine: Machine, seconds: float = _LOGIN_SECONDS) -> Iterator[Connection]:
    """A login, which ends with the ``with``.

    Args:
        seconds: the time for each of its steps.

    Raises:
        HostError: if the host is not reached or refuses the login.
    """
    import paramiko

    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it is all in the errors
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())  # NNI checks no host keys
    try:
        _log_in(client, machine, seconds)
        yield Connection(machine, client)
    finally:
        client.close()


def _log_in(client: paramiko.SSHClient, machine: Machine, seconds: float) -> None:
    import paramiko

    try:
        client.connect(
            machine.host,
            machine.port,
            machine.user,
            password=machine.password,
            key_filename=None if machine.key_file is None else str(machine.key_file),
            passphrase=machine.passphrase,
            look_for_keys=False,
            allow_agent=False,
            timeout=seconds,
            banner_timeout=seconds,
            auth_timeout=seconds,
        )
    except paramiko.PasswordRequiredException:
        raise HostError("login", f"{machine.key_file} needs its sshPassphrase") from None
    except paramiko.AuthenticationException:
        given = "the password" if machine.key_file is None else f"the key {machine.key_file}"
        raise HostError("login", f"{given} is not accepted for the user {machine.user}") from None
    except socket.gaierror as error:
        raise HostError("reach", f"no such name: {_said(error)}") from None
    except (paramiko.ssh_exception.NoValidConnectionsError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise HostError("login", f"there is no key {machine.key_file}") from None
        raise HostError("reach", f"port {machine.port}: {_said(error)}") from None
    except (paramiko.SSHException, ValueError, EOFError) as error:
        raise HostError("login", _said(error)) from None


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not error.args[1:]:
        return "no answer"
    causes = getattr(error, "errors", None)  # of NoValidConnectionsError, one an address
    if isinstance(causes, dict) and causes:
        error = next(iter(causes.values()))
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def on_each(machines: Sequence[Machine], do: Callable[[Machine], _T]) -> list[_T]:
    """Do something for all machines at once; the results in their order."""
    with ThreadPoolExecutor(max(1, min(len(machines), _MOST_AT_ONCE))) as pool:
        return list(pool.map(do, machines))
