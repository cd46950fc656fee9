"""The browser, the SSH server and the hosts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, chromium
from cluster import Cluster, cluster
from local_sshd import SshServer, sshd


@pytest.fixture
def browser(screenshots: Path) -> Iterator[Browser]:
    with chromium(screenshots) as opened:
        yield opened


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for pictures, which are copied to SCREENSHOT_DIR if that is set."""
    directory = tmp_path_factory.mktemp("screenshots")
    yield directory
    if "SCREENSHOT_DIR" in os.environ:
        shutil.copytree(directory, os.environ["SCREENSHOT_DIR"], dirs_exist_ok=True)


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    with sshd(tmp_path / "remote") as server:
        yield server


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("hosts"), 3) as running:
        yield running
