"""What follows the finalists: further networks, and the best from more seeds."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import nni
import numpy as np
import pytest
from made_experiments import final, make_experiment
from test_expected import _finals

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.cli import main
from nni_blockqnn.exchange.finalists import Further, check_grid, finalists_space
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.finalists_tuner import FinalistsTuner
from nni_blockqnn.results.experiment import find_experiment, read_results
from nni_blockqnn.results.long_trainings import with_final_expected

SEARCH_ID, FINALS_ID = "abcd1234", "wxyz5678"
EARLY = _finals(40)
BLOCKS = [Block.parse(metric["block"]) for _, metric in EARLY]
CONVS, POOLS = BLOCKS[:20], BLOCKS[20:]
FINALISTS = [POOLS[0], CONVS[0], POOLS[1], CONVS[1]]
SPACE = finalists_space(FINALISTS, 1, "digits")
ARGUMENTS = {"search": SEARCH_ID, "more": 3, "again": 2, "seeds": 3}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a search whose convolutions reach about 60, and its poolings 40."""
    monkeypatch.setenv("HOME", str(tmp_path))
    space = {
        "block": {"_type": "nsc", "_value": {}},
        "network": {"_type": "choice", "_value": ["digits"]},
    }
    config = {
        "searchSpace": space,
        "tuner": {"name": "BlockQNN", "classArgs": {"predictor": "wl"}},
    }
    make_experiment(tmp_path / "nni-experiments", config=config, finals=EARLY)
    return tmp_path / "nni-experiments"


def started(**arguments: Any) -> FinalistsTuner:
    tuner = FinalistsTuner(**{**ARGUMENTS, **arguments})
    tuner.update_search_space(SPACE)
    return tuner


def long_accuracy(block: Block, repetition: int = 0) -> float:
    """Poolings end higher, whatever their early results said; noise by the block and seed."""
    rng = np.random.default_rng([repetition, *block.key.encode()])
    has_pools = any(row[1] == 2 for row in block.codes)
    return (80 if has_pools else 70) + float(rng.normal() * 0.2)


def metric_of(parameters: dict[str, Any]) -> dict[str, Any]:
    task = read_task(parameters)
    value = long_accuracy(task.block, task.repetition)
    return {"default": value, "accuracy": value, "block": task.block.to_json(), "repeats": 1}


def play(tuner: FinalistsTuner, under_way: int) -> list[dict[str, Any]]:
    """Every training that the tuner sends, so many at a time."""
    sent: list[dict[str, Any]] = []
    ended = 0
    while True:
        try:
            while len(sent) - ended < under_way:
                sent.append(tuner.generate_parameters(len(sent)))
        except nni.NoMoreTrialError:
            return sent
        tuner.receive_trial_result(ended, None, metric_of(sent[ended]))
        ended += 1


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("under_way", [1, 3])
def test_what_long_trainings_show_decides_what_follows(under_way: int) -> None:
    sent = play(started(), under_way)
    assert len(sent) == len(FINALISTS) + Further.of(ARGUMENTS).trainings == 11  # type: ignore[union-attr]
    assert [one["block"] for one in sent[:4]] == [block.to_json() for block in FINALISTS]
    further = [Block.parse(one["block"]) for one in sent[4:7]]
    assert len({block.key for block in [*FINALISTS, *further]}) == 7
    assert {block.key for block in further} <= {block.key for block in POOLS}, (
        "the search ranks convolutions first, and long trainings poolings"
    )
    again = Counter(one["block"] for one in sent[7:])
    assert sorted(again.values()) == [2, 2]
    assert {Block.parse(text).key for text in again} <= {block.key for block in POOLS}
    assert sorted(one["repetition"] for one in sent[7:]) == [1, 1, 2, 2]
    assert not any("repetition" in one for one in sent[:7])


@pytest.mark.usefixtures("home")
def test_a_network_that_failed_is_not_trained_again() -> None:
    tuner = started(more=0, again=1, seeds=2)
    sent = [tuner.generate_parameters(number) for number in range(4)]
    for parameters in sent[:3]:
        tuner.receive_trial_result(0, None, metric_of(parameters))
    failure = {"default": math.nan, "failure": "diverged", "block": sent[3]["block"]}
    tuner.receive_trial_result(3, None, failure)
    again = tuner.generate_parameters(4)
    assert again == {**sent[2], "repetition": 1}
    tuner.receive_trial_result(4, None, {**failure, "block": again["block"]})
    with pytest.raises(nni.NoMoreTrialError):
        tuner.generate_parameters(5)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("unreadable", [None, {"default": 1.0}, 3.0, {"block": "[[1]]"}])
def test_a_result_of_no_block_is_not_counted(unreadable: Any) -> None:
    tuner = started()
    tuner.import_data([{"parameter": None, "value": None}, {"parameter": {"x": 1}, "value": 1.0}])
    tuner.receive_trial_result(0, None, unreadable)
    assert len(play(tuner, 1)) == 11


@pytest.mark.parametrize("ended", [2, 5, 8, 10])
def test_a_resume_goes_on_with_what_is_known(
    home: Path, monkeypatch: pytest.MonkeyPatch, ended: int
) -> None:
    sent = play(started(), 1)
    write_finals(home, sent[:ended])
    (home / FINALS_ID / "checkpoint").mkdir()
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(home / FINALS_ID / "checkpoint"))
    assert play(started(), 1) == sent[ended:]


def test_the_winner_is_expected_and_not_lucky(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = play(started(), 1)
    lucky = {**metric_of(sent[3]), "default": 80.9, "accuracy": 80.9}
    write_finals(home, sent, {sent[3]["block"]: lucky})
    finals = with_final_expected(read_results(find_experiment(FINALS_ID)))
    expected = {one.block.to_json(): one.expected for one in finals.trials}
    assert None not in expected.values()
    best = max(expected, key=lambda text: expected[text] or 0.0)
    assert main(["top", FINALS_ID, "--k", "1", "--format", "json"]) == 0
    (first,) = json.loads(capsys.readouterr().out)
    assert first["block"] == best
    assert first["expected"] == pytest.approx(expected[best])
    assert 79 < first["expected"] < 80.9


def write_finals(
    home: Path, sent: list[dict[str, Any]], instead: dict[str, dict[str, Any]] | None = None
) -> None:
    """An experiment that sent this and got its results."""
    finals = []
    for number, parameters in enumerate(sent):
        metric = (instead or {}).get(parameters["block"], metric_of(parameters))
        finals.append((f"long{number}", final(**{**metric, "episode": number})))
    config = {
        "searchSpace": SPACE,
        "tuner": {
            "className": "nni_blockqnn.finalists_tuner.FinalistsTuner",
            "classArgs": ARGUMENTS,
        },
    }
    make_experiment(
        home,
        FINALS_ID,
        config=config,
        finals=finals,
        parameters={f"long{number}": one for number, one in enumerate(sent)},
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"more": 3}, "search must be the ID of the experiment"),
        ({"search": 7}, "search must be the ID of the experiment whose blocks are trained, got 7"),
        ({"search": "a", "more": -1}, "more must be an integer from 0 to 1000, got -1"),
        ({"search": "a", "again": True}, "again must be an integer from 0 to 1000, got True"),
        ({"search": "a", "seeds": 1}, "seeds must be an integer from 2 to 1000, got 1"),
        ({"search": "a", "seed": 3}, "seed is none of its arguments: search, more, again, seeds"),
        ([3], "classArgs must be an object, got"),
    ],
)
def test_refused_arguments(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Further.of(given)


@pytest.mark.usefixtures("home")
def test_a_search_that_is_not_here_is_named() -> None:
    with pytest.raises(LookupError, match="nowhere1"):
        FinalistsTuner(search="nowhere1")


def test_the_check_counts_what_follows() -> None:
    further = Further("abcd1234", more=3, again=2, seeds=3)
    assert check_grid(SPACE, 11, further) == ("ok", "all 4 can be built, and 7 trainings follow")
    assert check_grid(SPACE, 4, further)[0] == "warning"
    two = SPACE | {"repeats": {"_type": "choice", "_value": [1, 2]}}
    level, message = check_grid(two, 8, further)
    assert level == "failure"
    assert message.startswith("repeats has 2 values, [1, 2]; with classArgs.search it must have")
