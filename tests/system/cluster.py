"""Hosts of our own on this machine: network namespaces, each with its address, sshd and home."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from components import require
from local_sshd import SshServer, sshd
from nni_shell import SCRIPTS, kill, of_home


@dataclass(frozen=True)
class Host:
    """A host; its link to this machine can be cut.

    Attributes:
        gateway: this machine's address on the link.
    """

    namespace: str
    link: str
    gateway: str
    server: SshServer

    @property
    def address(self) -> str:
        return self.server.address

    def cut(self) -> None:
        """Lose every packet from now on, silently."""
        _ip("-n", self.namespace, "link", "set", self.link, "down")

    def mend(self) -> None:
        _ip("-n", self.namespace, "link", "set", self.link, "up")
        _ip("-n", self.namespace, "route", "replace", "default", "via", self.gateway)

    def slow_down(self, rate: str) -> None:
        """Let no more through to the host than this: '256kbit'."""
        limit = ["tbf", "rate", rate, "burst", "16kb", "latency", "2s"]
        _run("tc", "qdisc", "replace", "dev", self.namespace, "root", *limit)

    def hide(self, address: str) -> None:
        """Leave no way from the host to an address."""
        _ip("-n", self.namespace, "route", "add", "unreachable", address)

    def show(self, address: str) -> None:
        """Undo :meth:`hide`."""
        _ip("-n", self.namespace, "route", "del", "unreachable", address)

    def entry(self, **others: Any) -> dict[str, Any]:
        """Its entry of a configuration's machineList."""
        return {
            "host": self.address,
            "port": self.server.port,
            "user": self.server.user,
            "sshKeyFile": str(self.server.key),
            "pythonPath": str(SCRIPTS),
        } | others

    def kill_all(self) -> None:
        """End what runs there, as a crash would; its sshd stays."""
        while kill(list(of_home(self.server.home))):
            pass


@dataclass(frozen=True)
class Cluster:
    """
    Attributes:
        manager: this machine's address, which all hosts reach.
    """

    manager: str
    hosts: tuple[Host, ...]


@contextmanager
def cluster(directory: Path, count: int) -> Iterator[Cluster]:
    """Some hosts; the test is skipped where no namespaces can be made."""
    require("ip")
    _skip_without_namespaces()
    net = f"10.213.{os.getpid() % 250}"
    manager = f"{net}.250"
    with ExitStack() as stack:
        _ip("address", "add", f"{manager}/32", "dev", "lo")
        stack.callback(_ip, "address", "del", f"{manager}/32", "dev", "lo")
        hosts = []
        for number in range(count):
            hosts.append(stack.enter_context(_host(directory / f"host{number}", net, number)))
        yield Cluster(manager, tuple(hosts))


@contextmanager
def _host(directory: Path, net: str, number: int) -> Iterator[Host]:
    name = f"bq{os.getpid()}h{number}"
    here, there = f"{net}.{4 * number + 1}", f"{net}.{4 * number + 2}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "up0", "netns", name)
        _ip("address", "add", f"{here}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "address", "add", f"{there}/30", "dev", "up0")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "link", "set", "up0", "up")
        _ip("-n", name, "route", "add", "default", "via", here)
        # not `ip netns exec`, which also hides later mounts from what it runs
        within = [str(require("nsenter")), f"--net=/run/netns/{name}", "--"]
        with sshd(directory, there, within) as server:
            host = Host(name, "up0", here, server)
            try:
                yield host
            finally:
                host.kill_all()
    finally:
        # the namespace takes the link with it, but not before its last process is gone
        subprocess.run([str(require("ip")), "link", "del", name], capture_output=True)
        _ip("netns", "del", name)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(program: str, *arguments: str) -> None:
    ran = subprocess.run([str(require(program)), *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, f"{program} {' '.join(arguments)}: {ran.stderr}"


def _skip_without_namespaces() -> None:
    name = f"bq{os.getpid()}try"
    made = subprocess.run(
        [str(require("ip")), "netns", "add", name], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"no network namespaces can be made here: {made.stderr.strip()}")
    _ip("netns", "del", name)
