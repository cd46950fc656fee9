"""Which port an experiment gets, with several starts at once, and which are refused."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from nni_blockqnn import cli
from nni_blockqnn.bridge import launch, ports


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[int]:
    """The ports that stand-ins for experiments listen on."""
    listened: set[int] = set()
    monkeypatch.setattr(launch.Path, "home", lambda: tmp_path)
    monkeypatch.setattr(ports, "is_free", lambda port: port not in listened)
    monkeypatch.setattr(launch, "_wait_for_tuner", lambda launched: None)
    return listened


def test_two_starts_at_once_get_two_ports(taken: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def nnictl(command: list[str], loopback: bool) -> tuple[int, str]:
        port = int(command[-1])
        time.sleep(0.1)  # until its manager listens
        if port in taken:
            return 1, f"Port {port} is not idle"
        taken.add(port)
        return 0, f"Experiment ID: id{port}"

    monkeypatch.setattr(launch, "_run_to_its_end", nnictl)
    started: list[launch.Launched] = []

    def start() -> None:
        started.append(launch.start(Path("a.yml"), None, loopback=True))

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.port for one in started) == [8080, 8081, 8082]
    assert {one.id for one in started} == {"id8080", "id8081", "id8082"}


def test_a_port_that_something_else_takes_meanwhile(
    taken: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def nnictl(command: list[str], loopback: bool) -> tuple[int, str]:
        tried.append(command[-1])
        taken.add(int(command[-1]))
        return (1, "Port 8080 is not idle") if len(tried) == 1 else (0, "Experiment ID: a")

    monkeypatch.setattr(launch, "_run_to_its_end", nnictl)
    assert launch.start(Path("a.yml"), None, loopback=True).port == 8081
    assert tried == ["8080", "8081"]
    with pytest.raises(launch.LaunchError, match="port 8080 is in use; leave --port out"):
        launch.start(Path("a.yml"), 8080, loopback=True)


@pytest.mark.parametrize(
    ("port", "needs_next", "said"),
    [
        (0, False, "port 0 is none: ports are from 1 to 65535"),
        (65_536, False, "port 65536 is none"),
        (-1, False, "port -1 is none"),
        (65_535, True, "port 65536, which a remote search needs beside 65535, is none"),
        (65_535, False, None),
    ],
)
def test_ports_that_there_are_not(port: int, needs_next: bool, said: str | None) -> None:
    reason = ports.why_not_port(port, needs_next)
    assert reason is None if said is None else (reason or "").startswith(said)


def test_ports_of_the_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError

    monkeypatch.setattr(ports, "is_free", lambda port: True)
    monkeypatch.setattr(ports.socket, "socket", Refused)
    assert "port 80 is the administrator's" in (ports.why_not_port(80) or "")


@pytest.mark.parametrize("text", ["0", "65536", "70000", "-1", "8o80", "1e3", "٣"])
@pytest.mark.parametrize("command", ["create x.yml", "check x.yml", "demo", "resume", "retry"])
def test_the_command_line_refuses_such_ports(
    command: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command.split(), f"--port={text}"])
    assert f"must be a port from 1 to 65535, got '{text}'" in capsys.readouterr().err
