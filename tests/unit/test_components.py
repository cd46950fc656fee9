"""A missing component must not pass unnoticed where everything is meant to be tested."""

from __future__ import annotations

from pathlib import Path

import pytest
from components import require, require_module


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_what_is_missing_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium-driver"):
        require("chromedriver")
    with pytest.raises(pytest.skip.Exception, match=r"no_such_module.*pip install"):
        require_module("no_such_module")


def test_what_is_missing_fails_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium-driver"):
        require("chromedriver")
    with pytest.raises(pytest.fail.Exception, match=r"no_such_module.*pip install"):
        require_module("no_such_module")
