"""Hosts that let one in, and on which NNI fails all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_sshd import SshServer, sshd

from nni_blockqnn.hosts._connection import connect
from nni_blockqnn.hosts.inspection import Facts, inspect_all
from nni_blockqnn.hosts.machine import Machine


def machine_of(server: SshServer) -> Machine:
    return Machine(server.address, server.user, server.port, key_file=server.key)


def facts_of(server: SshServer) -> Facts:
    (host,) = inspect_all([machine_of(server)], None, None)
    assert host.facts is not None, host.error
    return host.facts


def test_a_shell_that_talks_is_told_from_answers(tmp_path: Path) -> None:
    with sshd(tmp_path) as server:
        silent = facts_of(server)
        assert (silent.chatter, silent.sftp_error) == ("", None)
        for name in (".bashrc", ".zshenv"):
            (server.home / name).write_text("echo; echo welcome to this host; echo 42\n")
        with connect(machine_of(server)) as connection:
            if not connection.run("true").stdout:
                pytest.skip("this user's shell reads neither .bashrc nor .zshenv")
        talking = facts_of(server)
        assert talking.chatter == "welcome to this host"
        assert (talking.python, talking.code) == (silent.python, silent.code)
        assert abs(talking.clock) < 60


@pytest.mark.parametrize("line", ["", "Subsystem sftp /bin/false"], ids=["none", "ends at once"])
def test_a_server_without_sftp_is_found_out(tmp_path: Path, line: str) -> None:
    with sshd(tmp_path, sftp=line) as server:
        assert facts_of(server).sftp_error
