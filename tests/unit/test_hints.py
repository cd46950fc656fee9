"""What a misspelt name was meant to be, wherever a name is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nni_blockqnn import NetworkSpec, SearchSpace
from nni_blockqnn.cli import main
from nni_blockqnn.common.messages import did_you_mean
from nni_blockqnn.exchange.class_args import check_class_args

BLOCK = {"_type": "nsc", "_value": {"max_layers": 5}}


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("buget", "; did you mean budget?"),
        ("BUDGET", "; did you mean budget?"),
        ("Seed", "; did you mean seed?"),
        ("colour", ""),
        ("", ""),
        (None, ""),
        (7, ""),
        ("x" * 10_000, ""),
    ],
)
def test_only_near_names_are_guessed(given: Any, hint: str) -> None:
    assert did_you_mean(given, ("budget", "seed", "limits")) == hint


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        (lambda: check_class_args({"buget": 5}), "budget"),
        (lambda: check_class_args({"optimise_mode": "maximize"}), "optimize_mode"),
        (lambda: check_class_args({"limits": {"max_param": 5}}), "max_params"),
        (lambda: check_class_args({"candidates": {"pools": 5}}), "pool"),
        (lambda: SearchSpace.from_json({"block": BLOCK, "repeat": {}}), "repeats"),
        (
            lambda: SearchSpace.from_json({"block": {"_type": "nsc", "_value": {"maxlayers": 5}}}),
            "max_layers",
        ),
        (lambda: NetworkSpec("cifra10"), "cifar10"),
        (lambda: NetworkSpec("CIFAR100"), "cifar100"),
        (lambda: NetworkSpec.from_parameter('{"filter": [1]}'), "filters"),
    ],
)
def test_what_was_meant_is_said_beside_what_is_allowed(read: Callable[[], Any], meant: str) -> None:
    with pytest.raises(ValueError, match=rf"did you mean {meant}\?$") as caught:
        read()
    text = str(caught.value)
    assert "allowed are " in text or "must be one of " in text


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("check a.yml --prot=80", "--port"),
        ("create a.yml --no-estimte", "--no-estimate"),
        ("demo --trails 3", "--trials"),
        ("top --formt csv", "--format"),
        ("train residual --dataset digits --epoch-s 3", "--epochs"),
    ],
)
def test_options_of_commands(command: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    assert f"did you mean {meant}?" in capsys.readouterr().err
