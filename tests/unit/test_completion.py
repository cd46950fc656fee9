"""The scripts of ``blockqnn completion`` are of the commands that there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from components import require

pytestmark = pytest.mark.slow  # it loads all commands


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "blockqnn.bash"
    command = [sys.executable, "-m", "nni_blockqnn", "completion", "bash"]
    path.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    return path


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["rep"], {"report"}),
        (["top", "--max-"], {"--max-params", "--max-flops"}),  # arguments that are added late
        (["top", "Ab"], {"AbCdEfGh"}),
        (["top", "--format", ""], {"table", "json", "csv"}),
        (["completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(
    script: Path, tmp_path: Path, words: list[str], completed: set[str]
) -> None:
    bash = require("bash")
    (tmp_path / "nni-experiments" / "AbCdEfGh").mkdir(parents=True)
    (tmp_path / "nni-experiments" / "_latest").mkdir()
    line = f'source {script}; COMP_WORDS=(blockqnn "$@"); COMP_CWORD=$#; _shtab_blockqnn'
    ran = subprocess.run(
        [bash, "--norc", "-c", f"{line}; printf '%s\\n' \"${{COMPREPLY[@]}}\"", "bash", *words],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert set(ran.stdout.split()) == completed
