"""What the commands load before they do anything, and Ctrl-C meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from made_experiments import final, make_experiment

from nni_blockqnn import cli

ROOT = Path(__file__).parents[2]
SLOW = {"torch", "torchvision", "nni", "scipy", "pandas", "sklearn", "matplotlib", "networkx"}


def _loaded_by(*commands: list[str], home: Path | None = None) -> set[str]:
    """The modules in a fresh Python once the commands have ended."""
    finished = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import json, sys\nfrom nni_blockqnn.cli import main\n"
            "for command in json.loads(sys.argv[1]):\n"
            "    try:\n        main(command)\n    except SystemExit:\n        pass\n"
            "print()\nprint(json.dumps([*sys.modules]))",
            json.dumps(commands),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | ({} if home is None else {"HOME": str(home)}),
    )
    assert finished.stderr == ""
    return set(json.loads(finished.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("commands", "needed"),
    [
        (
            (
                *(["--help"], ["create", "--help"], ["resume", "--help"], ["demo", "--help"]),
                *(["report", "--help"], ["export", "--help"], ["search", "--help"]),
                *(["predict", "--help"], ["top", "--help"], ["calibrate", "--help"]),
            ),
            set(),
        ),
        ([["train", "--help"]], {"torch"}),
        ([["draw", "residual"]], {"networkx"}),
    ],
    ids=["help", "train --help", "draw residual"],
)
def test_a_command_loads_nothing_slow_that_it_does_not_use(
    commands: list[list[str]], needed: set[str]
) -> None:
    assert _loaded_by(*commands) & SLOW == needed


def test_top_of_an_experiment_loads_nothing_slow(tmp_path: Path) -> None:
    make_experiment(tmp_path / "nni-experiments", "abcd1234", finals=[("trial0", final())])
    modules = _loaded_by(["top", "abcd1234"], home=tmp_path)
    assert "nni_blockqnn.blocks.block" in modules  # it has read the block
    assert not modules & SLOW


def test_every_function_that_is_imported_late_is_there() -> None:
    for command in cli.COMMANDS:
        module = import_module(f"nni_blockqnn.commands.{command.module}")
        assert callable(getattr(module, command.function))
        assert hasattr(module, "add_arguments") == command.has_late_arguments


def test_ctrl_c_while_a_command_is_loading_ends_it_quietly() -> None:
    interrupted = (
        "import sys\nfrom nni_blockqnn.cli import main\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.exit(main(['train', '--help']))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", interrupted], capture_output=True, text=True, cwd=ROOT
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (130, "", "")
