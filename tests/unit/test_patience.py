"""NNI's manager and tuner get more time to start than NNI gives them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nni_node
import pytest

from nni_blockqnn.bridge import launch, patient_nnictl

SHOW = (
    "const timer = setTimeout(() => {}, %s); console.log(timer._idleTimeout); clearTimeout(timer);"
)


@pytest.mark.parametrize(
    ("script", "asked", "given"),
    [
        ("tuner_command_channel.js", 10_000, 40_000),
        ("tuner_command_channel.js", 5_000, 5_000),
        ("rest_server.js", 10_000, 10_000),
    ],
)
def test_only_the_wait_for_the_tuner_is_longer(
    script: str, asked: int, given: int, tmp_path: Path
) -> None:
    """In NNI's own Node.js."""
    node = Path(nni_node.__file__).with_name("node")
    (tmp_path / script).write_text(SHOW % asked)
    patience = Path(launch.__file__).with_name("patience.js")
    ran = subprocess.run(
        [str(node), f"--require={patience}", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert (ran.stdout.strip(), ran.stderr) == (str(given), "")


def test_the_wait_is_still_where_it_is_patched() -> None:
    source = Path(nni_node.__file__).parent / "core" / "tuner_command_channel.js"
    assert "}, 10000);" in source.read_text(encoding="utf-8")


def test_nnictl_asks_its_manager_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    from nni.experiment import launcher
    from nni.tools.nnictl import nnictl

    asked: list[str] = []

    def refuse(port: int, path: str, prefix: str | None) -> None:
        asked.append(path)
        raise ConnectionError("not yet")

    monkeypatch.setattr(launcher, "_check_rest_server", launcher._check_rest_server)
    monkeypatch.setattr(launcher.rest, "get", refuse)
    monkeypatch.setattr(launcher.time, "sleep", lambda seconds: None)

    def create() -> None:
        launcher._check_rest_server(8080, url_prefix=None)

    monkeypatch.setattr(nnictl, "parse_args", create)
    monkeypatch.setattr(sys, "argv", ["nnictl"])
    with pytest.raises(ConnectionError):
        patient_nnictl.main()
    assert len(asked) == 31


def test_every_start_is_patient() -> None:
    for loopback in (True, False):
        options = launch.environment(loopback=loopback)["NODE_OPTIONS"]
        assert "patience.js" in options
        assert ("loopback.js" in options) is loopback
