"""The real components that the tests share. Whatever a test does, its experiments are stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from browser import Browser, chromium
from local_sshd import SshServer, sshd
from nni_shell import TEMPLATES, Nni, write_config
from searches import SEARCH_TRIALS, Search


@pytest.fixture
def nni(tmp_path: Path) -> Iterator[Nni]:
    with _shell(tmp_path / "home") as shell:
        yield shell


@pytest.fixture(scope="session")
def search_config() -> dict[str, Any]:
    """The quick start with few trials of one epoch."""
    config = yaml.safe_load((TEMPLATES / "blockqnn_quickstart.yml").read_text(encoding="utf-8"))
    config["searchSpace"]["block"]["_value"]["max_layers"] = 6
    config["trialCommand"] += " --epochs 1"
    config["maxTrialNumber"] = SEARCH_TRIALS
    config["tuner"]["classArgs"] |= {"budget": SEARCH_TRIALS, "seed": 0}
    return config


@pytest.fixture(scope="session")
def search(
    search_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Search]:
    """One for all tests that only look at it, started with ``blockqnn create``."""
    directory = tmp_path_factory.mktemp("search")
    with _shell(directory / "home") as shell:
        running = shell.create(write_config(directory, search_config), with_blockqnn=True)
        running.wait_for_end()
        yield Search(shell, running)


@pytest.fixture
def browser(screenshots: Path) -> Iterator[Browser]:
    with chromium(screenshots) as opened:
        yield opened


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for pictures; SCREENSHOT_DIR gets copies of them."""
    directory = tmp_path_factory.mktemp("screenshots")
    yield directory
    if "SCREENSHOT_DIR" in os.environ:
        shutil.copytree(directory, os.environ["SCREENSHOT_DIR"], dirs_exist_ok=True)


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    with sshd(tmp_path / "remote") as server:
        yield server


@contextmanager
def _shell(home: Path) -> Iterator[Nni]:
    shell = Nni(home)
    try:
        yield shell
    finally:
        shell.stop_all()
