"""What a training is told: checks of its fields, and which of them identify it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import field, fields, make_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nni_blockqnn.tasks.classification import Classification
from nni_blockqnn.training import EARLY_STOP, FINAL, Recipe, TrainingArguments
from nni_blockqnn.training.recipe import RECIPES
from nni_blockqnn.trials._files import TrialFiles
from nni_blockqnn.trials._reward import find_reward
from nni_blockqnn.trials.arguments import (
    ArgumentsError,
    TrialArguments,
    default_network,
    trial_arguments,
    trial_parser,
)
from nni_blockqnn.trials.training_folder import TrainingFolder

DIGITS = TrainingArguments("digits")
OTHERS: dict[str, Any] = {
    "task": f"{__name__}:OwnTask",
    "dataset": "cifar10",
    "validation": "test",
    "validation_images": 50,
    "limit": 100,
    "recipe": "final",
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 0.5,
    "optimizer": "sgd",
    "milestones": (1, 2),
    "factor": 0.5,
    "weight_decay": 0.1,
    "momentum": 0.5,
    "seed": 1,
    "precision": "bf16",
    "deterministic": True,
    "cuda_graphs": True,
}
"""Another value for each field that identifies a training."""


class OwnTask(Classification):
    pass


OF_THE_RUN: dict[str, Any] = {
    "data_dir": Path("elsewhere"),
    "workers": 3,
    "test": True,
    "device": "cpu",
    "threads": 2,
}
"""Likewise for the other fields."""


def read(*words: str) -> TrialArguments:
    return trial_arguments(trial_parser(under_nni=True).parse_args(words))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Writes the module `own`, which is forgotten in between and afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text: str) -> None:
        sys.modules.pop("own", None)
        (tmp_path / "own.py").write_text(text)

    yield write
    sys.modules.pop("own", None)


def test_every_field_is_of_the_training_or_of_the_run() -> None:
    """A new field must be put into one of the two lists, and that is a decision."""
    assert tuple(OTHERS) == TrainingArguments.IDENTIFYING
    assert {one.name for one in fields(TrainingArguments)} == OTHERS.keys() | OF_THE_RUN.keys()


def test_what_is_at_its_default_stays_out_of_the_identity() -> None:
    assert DIGITS.identity == {"dataset": "digits"}
    written_out = read("--dataset", "digits", "--seed", "0", "--precision", "fp32", "--mu", "1")
    assert written_out == read("--dataset", "digits")
    assert written_out.identity == DIGITS.identity


@pytest.mark.parametrize("name", OTHERS)
def test_what_matters_to_the_weights_is_in_the_identity(name: str) -> None:
    changed = replace(DIGITS, **{name: OTHERS[name]}).identity
    assert changed != DIGITS.identity
    assert json.loads(json.dumps(changed)) == changed


@pytest.mark.parametrize("name", OF_THE_RUN)
def test_what_is_of_the_run_is_not(name: str) -> None:
    assert replace(DIGITS, **{name: OF_THE_RUN[name]}).identity == DIGITS.identity


def test_a_new_field_at_its_default_changes_no_fingerprint(tmp_path: Path) -> None:
    """A later version, whose trainings can be told something more."""
    Later = make_dataclass(  # noqa: N806, it is a class
        "Later",
        [("label_smoothing", float, field(default=0.0))],
        bases=(TrainingArguments,),
        frozen=True,
        namespace={
            "IDENTIFYING": (*TrainingArguments.IDENTIFYING, "label_smoothing"),
            "DEFAULTS": TrainingArguments.DEFAULTS | {"label_smoothing": 0.0},
        },
    )
    now, later = replace(DIGITS, seed=3).identity, Later("digits", seed=3).identity
    assert later == now
    assert Later("digits", seed=3, label_smoothing=0.1).identity == now | {"label_smoothing": 0.1}
    files = [TrialFiles(tmp_path, {"block": "a"}, identity) for identity in (now, later)]
    folders = [TrainingFolder(tmp_path / "new", identity) for identity in (now, later)]
    for one, other in (files, folders):
        assert one.checkpoint.fingerprint == other.checkpoint.fingerprint


def test_the_fingerprint_of_a_trial(tmp_path: Path) -> None:
    def fingerprint(*words: str) -> str:
        return TrialFiles(tmp_path, {"block": "a"}, read(*words).identity).checkpoint.fingerprint

    base = fingerprint("--dataset", "digits", "--seed", "3", "--limit", "50")
    assert base == fingerprint("--limit", "50", "--seed", "3", "--dataset", "digits")
    moved = ("--threads", "2", "--device", "cpu", "--workers", "0", "--data-dir", "elsewhere")
    assert base == fingerprint("--dataset", "digits", "--seed", "3", "--limit", "50", *moved)
    others = [
        fingerprint("--dataset", "digits", "--seed", "4", "--limit", "50"),
        *(
            fingerprint("--dataset", "digits", "--seed", "3", "--limit", "50", *more)
            for more in (
                ("--mu", "2"),
                ("--rho", "2"),
                ("--reward", "a:b"),
                ("--test",),
                ("--save-dir", "kept"),
                ("--milestones",),
                ("--milestones", "2"),
            )
        ),
    ]
    assert len({base, *others}) == 1 + len(others)


def test_a_folder_of_an_earlier_version_wrote_its_defaults_out(tmp_path: Path) -> None:
    earlier = {
        "batch_size": None,
        "block": "[[1,1,3,0,0]]",
        "dataset": "digits",
        "encoding": "pcc",
        "epochs": 3,
        "init_from": None,
        "limit": None,
        "precision": "fp32",
        "recipe": "final",
        "seed": 0,
        "validation": "holdout",
    }
    (tmp_path / "training.json").write_text(json.dumps(earlier, indent=1, sort_keys=True))
    block = {"block": "[[1,1,3,0,0]]", "encoding": "pcc"}
    arguments = TrainingArguments("digits", recipe="final", epochs=3)
    TrainingFolder(tmp_path, arguments.identity | block)
    for change, message in (
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"learning_rate": 0.5}, r"its learning_rate is None, not 0\.5"),
        ({"epochs": None}, "its epochs is 3, not None"),
    ):
        with pytest.raises(ValueError, match=message):
            TrainingFolder(tmp_path, replace(arguments, **change).identity | block)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "mnist"}, "dataset must be digits, .* or module:function, got 'mnist'"),
        ({"recipe": "quick"}, "recipe must be early-stop, .* or module:function, got 'quick'"),
        ({"validation": "none"}, "validation must be holdout or test, got 'none'"),
        ({"precision": "fp16"}, "precision must be fp32, tf32 or bf16, got 'fp16'"),
        ({"seed": -1}, "seed must be an integer from 0 to 4294967295, got -1"),
        ({"seed": True}, "seed must be an integer from 0 .*, got True"),
        ({"limit": 0}, "limit must be an integer from 1, got 0"),
        ({"validation_images": 2.5}, r"validation_images must be an integer from 1, got 2\.5"),
        (
            {"validation_images": 9, "validation": "test"},
            "validation_images are held out, and validation is 'test'",
        ),
        ({"workers": -1}, "workers must be an integer from 0 to 1024, got -1"),
        ({"threads": 0}, "threads must be an integer from 1 to 1024, got 0"),
    ],
)
def test_a_field_that_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(DIGITS, **change)


def test_the_recipe_is_changed_by_what_is_given() -> None:
    assert DIGITS.chosen_recipe() == EARLY_STOP
    # milestones are of the shortened training: 150 and 225 of 300 would become 2 and 3 of 4
    changed = replace(DIGITS, recipe="final", epochs=4, milestones=(1, 3), factor=0.5)
    assert changed.chosen_recipe() == replace(FINAL, epochs=4, milestones=(1, 3), factor=0.5)
    optimizer = replace(DIGITS, optimizer="sgd", learning_rate=0.2, momentum=0.5, weight_decay=0.1)
    expected = replace(
        EARLY_STOP, optimizer="sgd", learning_rate=0.2, momentum=0.5, weight_decay=0.1
    )
    assert optimizer.chosen_recipe() == expected
    assert replace(DIGITS, milestones=()).chosen_recipe().milestones == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, got nan"),
        ({"optimizer": "lion"}, "optimizer must be adam or sgd, got 'lion'"),
        ({"milestones": (3, 2)}, r"milestones must be .* ascending order, got \(3, 2\)"),
        ({"milestones": (0,)}, r"milestones must be epochs from 1 .*, got \(0,\)"),
        ({"milestones": (12,)}, "milestones must lie before the last of 12 epochs, got 12"),
        ({"factor": 0}, "factor must be positive, got 0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
        ({"momentum": 0.5}, "momentum is of the optimizer sgd, and this one is adam"),
        ({"optimizer": "sgd", "momentum": 1}, "momentum must be from 0 to below 1, got 1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_what_makes_no_recipe_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(DIGITS, **change).chosen_recipe()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--learning-rate", "0"), "--learning-rate: must be a number above 0, got '0'"),
        (("--learning-rate", "nan"), "--learning-rate: must be a number above 0, got 'nan'"),
        (("--factor", "inf"), "--factor: must be a number above 0, got 'inf'"),
        (("--weight-decay", "-1"), "--weight-decay: must be a number from 0, got '-1'"),
        (("--momentum", "1"), "--momentum: must be a number from 0 to below 1, got '1'"),
        (("--milestones", "5", "0"), "--milestones: must be an integer from 1, got '0'"),
        (("--optimizer", "lion"), "invalid choice: 'lion'"),
        (
            ("--recipe", "quick"),
            "must be early-stop, final, final-plain, imagenet-final, keypoints-final or module:",
        ),
        (("--dataset", "mnist"), "coco or module:function, got 'mnist'"),
        (("--reward", "latency"), "--reward: must be module:function, got 'latency'"),
        (("--dataset", "cifra10"), "got 'cifra10'; did you mean cifar10?"),
        (("--epochs", "0"), "--epochs: must be an integer from 1, got '0'"),
        (("--batch-size", "0"), "--batch-size: must be an integer from 1, got '0'"),
        (("--limit", "1e3"), "--limit: must be an integer from 1, got '1e3'"),
        (("--bach-size", "9"), "unrecognized arguments: --bach-size 9; did you mean --batch-size?"),
        (("--mu", "nan"), "--mu: must be a number from -1000000 to 1000000, got 'nan'"),
    ],
)
def test_the_command_line_names_what_cannot_be(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArgumentsError, match=re.escape(message)):
        read("--dataset", "digits", *words)
    with pytest.raises(SystemExit, match="2"):
        trial_parser(under_nni=False).parse_args(["--dataset", "digits", "--block", "x", *words])
    assert message in capsys.readouterr().err


def test_a_recipe_of_ones_own(module: Callable[[str], None]) -> None:
    text = "from nni_blockqnn.training import Recipe\ndef make(): return Recipe(9, 8, 'sgd', {})"
    module(text.format(0.5))
    arguments = replace(DIGITS, recipe="own:make")
    assert arguments.chosen_recipe() == Recipe(9, 8, "sgd", 0.5)
    assert replace(arguments, epochs=2).chosen_recipe().epochs == 2
    before = arguments.identity
    assert before["recipe"] == "own:make"
    assert arguments.identity == before
    module(text.format(0.25))  # the code was edited, so it is another training
    assert arguments.identity != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make(): return 3", "recipe own:make must return a Recipe, got 3"),
        ("def make(epochs): return epochs", "recipe own:make failed: TypeError: "),
        ("make = 3", "must be a function or a class, got 3"),
        ("", "has no make"),
    ],
)
def test_what_is_no_recipe_is_named(module: Callable[[str], None], text: str, message: str) -> None:
    module(text)
    with pytest.raises(ValueError, match=message):
        replace(DIGITS, recipe="own:make").chosen_recipe()


@pytest.mark.parametrize("value", ["None", "'1'", "float('nan')", "True", "-1e101"])
def test_a_reward_must_be_a_number(module: Callable[[str], None], value: str) -> None:
    module(f"def reward(accuracy, flops, density, metric): return {value}")
    reward = find_reward(TrialArguments(DIGITS, reward="own:reward"))
    with pytest.raises(ValueError, match="own:reward must return a finite number, at most 1e"):
        reward(50.0, 10, 1.0, {})


def test_a_reward_of_ones_own_is_a_plain_float(module: Callable[[str], None]) -> None:
    module("import numpy\ndef reward(a, f, d, m): return numpy.float32(a - f * d + m['params'])")
    value = find_reward(TrialArguments(DIGITS, reward="own:reward"))(50.0, 3, 2.0, {"params": 1})
    assert (value, type(value)) == (45.0, float)


def test_mu_and_rho_are_not_given_beside_another_reward() -> None:
    with pytest.raises(ValueError, match="mu and rho belong to the paper's reward"):
        TrialArguments(DIGITS, mu=2.0, reward="own:reward")
    assert find_reward(TrialArguments(DIGITS, mu=0.0, rho=0.0))(50.0, 10, 1.0, {}) == 50.0


def test_a_data_set_of_ones_own_needs_a_network() -> None:
    assert read("--dataset", "own:images").training.dataset == "own:images"
    with pytest.raises(ValueError, match="network is missing: the dataset own:images"):
        default_network("own:images")


def test_a_recipes_identity_says_what_it_is() -> None:
    assert {name: recipe.identity for name, recipe in RECIPES.items()}["early-stop"] == {
        "epochs": 12,
        "batch_size": 256,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "milestones": [5, 10],
        "factor": 0.2,
        "restarts": 3,
    }
