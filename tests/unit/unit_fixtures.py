"""Fixtures of all unit tests; ``conftest.py`` hands them on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those of an experiment nor those of a terminal, whose width pytest-xdist sets."""
    for name in ("NNI_CHECKPOINT_DIRECTORY", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which tuners keep their journal, as NNI tells them."""
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path))
    return tmp_path
