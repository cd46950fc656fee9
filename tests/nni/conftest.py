"""Whatever a test does, its experiments are stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nni_shell import Nni


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: a search of a minute or more")


@pytest.fixture
def nni(tmp_path: Path) -> Iterator[Nni]:
    shell = Nni(tmp_path / "home")
    yield shell
    shell.stop_all()
