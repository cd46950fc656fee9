"""Examples of a reward and a recipe of one's own: the commands in their headers are run."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nni_blockqnn.trials.run import run

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE_MODULES = {"small_models", "recipes"}
RunHeader = Callable[..., dict[str, Any]]


@pytest.fixture
def run_header(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunHeader]:
    """Runs the command that an example's header gives, in its folder; returns the final metric."""

    def run_it(example: Path, *more: str) -> dict[str, Any]:
        monkeypatch.chdir(example.parent)
        assert run(None, [*arguments_of(example), "--threads", "1", *more]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    loaded = set(sys.modules)
    yield run_it
    for name in EXAMPLE_MODULES.difference(loaded):
        sys.modules.pop(name, None)  # other tests' own modules have these names


def arguments_of(example: Path) -> list[str]:
    text = example.read_text(encoding="utf-8")
    assert text.count("\n") < 60
    found = re.search(r"^    python -m nni_blockqnn\.trial ((.*\\\n)*.*)$", text, re.MULTILINE)
    assert found is not None
    return shlex.split(found[1].replace("\\\n", " "))


@pytest.mark.parametrize(
    ("network", "excess"),
    [('{"preset": "digits", "filters": [4, 8]}', False), ("digits", True)],
)
def test_a_reward_of_ones_own(run_header: RunHeader, network: str, excess: bool) -> None:
    metric = run_header(EXAMPLES / "own_reward" / "small_models.py", "--network", network)
    assert metric["reward"] == "small_models:within_budget"
    assert not metric.keys() & {"mu", "rho"}
    assert (metric["params"] > 20_000) == excess
    price = 10 * (metric["params"] - 20_000) / 20_000 if excess else 0
    assert metric["default"] == pytest.approx(metric["accuracy"] - price)


def test_a_recipe_of_ones_own(run_header: RunHeader, tmp_path: Path) -> None:
    folder = tmp_path / "network"
    example = EXAMPLES / "own_recipe" / "recipes.py"
    metric = run_header(example, "--save-dir", str(folder), "--weight-decay", "0")
    assert metric["mu"] == 1.0
    recipe = json.loads((folder / "network.json").read_text())["recipe"]
    assert (recipe["optimizer"], recipe["learning_rate"]) == ("sgd", 0.05)
    assert (recipe["epochs"], recipe["batch_size"], recipe["milestones"]) == (1, 128, [])
    assert (recipe["weight_decay"], recipe["augment"]) == (0.0, True)
