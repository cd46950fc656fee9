"""Examples of a reward and a recipe of one's own: the commands in their headers are run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_header(example: Path, *more: str) -> dict[str, Any]:
    """The final metric of the command that the example's header gives."""
    text = example.read_text(encoding="utf-8")
    assert text.count("\n") < 60
    found = re.search(r"^    python (-m nni_blockqnn\.trial (.*\\\n)*.*)$", text, re.MULTILINE)
    assert found is not None
    words = shlex.split(found[1].replace("\\\n", " "))
    finished = subprocess.run(
        [sys.executable, *words, "--threads", "1", *more],
        cwd=example.parent,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("network", "excess"),
    [('{"preset": "digits", "filters": [4, 8]}', False), ("digits", True)],
)
def test_a_reward_of_ones_own(network: str, excess: bool) -> None:
    metric = run_header(EXAMPLES / "own_reward" / "small_models.py", "--network", network)
    assert metric["reward"] == "small_models:within_budget"
    assert not metric.keys() & {"mu", "rho"}
    assert (metric["params"] > 20_000) == excess
    price = 10 * (metric["params"] - 20_000) / 20_000 if excess else 0
    assert metric["default"] == pytest.approx(metric["accuracy"] - price)


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "network"
    example = EXAMPLES / "own_recipe" / "recipes.py"
    metric = run_header(example, "--save-dir", str(folder), "--weight-decay", "0")
    assert metric["mu"] == 1.0
    recipe = json.loads((folder / "network.json").read_text())["recipe"]
    assert (recipe["optimizer"], recipe["learning_rate"]) == ("sgd", 0.05)
    assert (recipe["epochs"], recipe["batch_size"], recipe["milestones"]) == (1, 128, [])
    assert (recipe["weight_decay"], recipe["augment"]) == (0.0, True)
