"""What a search's journal, configuration and database say beyond its results."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_blocks import ONE_LAYER
from made_experiments import ONE_CONV, final, make_experiment, write_list
from made_results import search, trial

from nni_blockqnn.bridge.experiments import Experiment
from nni_blockqnn.predictor.predictor import Network, Predictor
from nni_blockqnn.record.journal import JOURNAL_NAME
from nni_blockqnn.results.experiment import find_experiment, read_results
from nni_blockqnn.results.predictions import foretold
from nni_blockqnn.results.repetition import repeatable_config, trial_versions
from nni_blockqnn.results.search_settings import batch_size, random_episodes, search_seed
from nni_blockqnn.results.slots import trial_spans
from nni_blockqnn.space.search_space import SearchSpace

TUNER = {"className": "nni_blockqnn.tuner.BlockQNNTuner", "codeDirectory": "/home/a/b"}


def experiment(folder: Path, events: Sequence[dict[str, Any]] = (), **config: Any) -> Experiment:
    journal = folder / "checkpoint" / JOURNAL_NAME
    journal.parent.mkdir(parents=True)
    lines = []
    for event in events:
        line = json.dumps(event, separators=(",", ":")).encode()
        lines.append(b'%b,"crc32":%d}\n' % (line[:-1], zlib.crc32(line)))
    journal.write_bytes(b"".join(lines))
    return Experiment("abcd1234", "x", folder, None, "DONE", {"tuner": TUNER} | config)


def suggestion(episode: int, epsilon: float, **more: Any) -> dict[str, Any]:
    return {"event": "suggestion", "episode": episode, "block": ONE_CONV, "epsilon": epsilon} | more


EVENTS = [
    {"event": "start", "seed": 77},
    suggestion(0, 1.0, start=True),
    suggestion(1, 1.0),
    {"event": "result", "episode": 1},
    suggestion(2, 1.0),
    suggestion(3, 0.5),
]


@pytest.mark.parametrize(
    ("class_args", "episodes"),
    [
        ({}, {1, 2}),
        # one result is enough for this predictor, which chose the later blocks
        ({"predictor": "wl", "candidates": {"first_results": 1}}, {1}),
        ({"agent": "random"}, {1, 2, 3}),
        ({"agent": "evolution"}, set()),
        ({"budgett": 3}, set()),  # of another version
    ],
)
def test_which_blocks_were_drawn_at_random(
    tmp_path: Path, class_args: dict[str, Any], episodes: set[int]
) -> None:
    tuner = TUNER | {"classArgs": class_args}
    assert random_episodes(experiment(tmp_path, EVENTS, tuner=tuner)) == episodes


def test_seed_and_batch_are_those_given_or_else_the_journals(tmp_path: Path) -> None:
    drawn = experiment(tmp_path / "a", EVENTS)
    assert (search_seed(drawn), batch_size(drawn)) == (77, 8)
    tuner = TUNER | {"classArgs": {"seed": 5, "preset": "paper"}}
    given = experiment(tmp_path / "b", EVENTS, tuner=tuner)
    assert (search_seed(given), batch_size(given)) == (5, 64)
    other = experiment(tmp_path / "c", tuner={"name": "TPE"})
    assert (search_seed(other), batch_size(other)) == (None, None)


def test_the_configuration_to_repeat_a_search(tmp_path: Path) -> None:
    config = repeatable_config(
        experiment(
            tmp_path,
            EVENTS,
            experimentName="mine",
            experimentType="hpo",
            experimentWorkingDirectory="/home/a/nni-experiments",
            trialCommand="python -m nni_blockqnn.trial",
            trialCodeDirectory="/home/a/code",
            maxTrialNumber=None,
            trainingService={
                "platform": "remote",
                "trialCommand": "python -m nni_blockqnn.trial",
                "machineList": [{"host": "gpu1", "password": "hunter2", "sshPassphrase": "x"}],
            },
        )
    )
    assert "/home" not in json.dumps(config)
    assert config["tuner"]["classArgs"] == {"seed": 77}
    assert config["trialCommand"] == "python -m nni_blockqnn.trial"
    assert config["trainingService"] == {
        "platform": "remote",
        "machineList": [{"host": "gpu1", "password": "***", "sshPassphrase": "***"}],
    }
    assert "maxTrialNumber" not in config


def test_the_versions_are_what_most_trials_said() -> None:
    said = ["torch 2", "torch 2", "torch 1", None]
    trials = [trial(n, ONE_LAYER, 0.0, 0.0, metric={"versions": v}) for n, v in enumerate(said)]
    assert trial_versions(search(*trials)) == "torch 2; 1 trials with others"
    assert trial_versions(search(*trials[:2])) == "torch 2"
    assert trial_versions(search(trials[3])) is None


def test_trials_take_the_first_free_slot_and_pauses_are_left_out(tmp_path: Path) -> None:
    events = [
        (1_000, "a", "RUNNING"),
        (2_000, "b", "RUNNING"),
        (5_000, "a", "SUCCEEDED"),
        (6_000, "c", "RUNNING"),
        (9_000, "b", "FAILED"),
        (10_000, "c", "USER_CANCELED"),
        (1_010_000, "d", "RUNNING"),  # resumed 1,000 s later
        (1_011_000, "d", "SUCCEEDED"),
        (1_012_000, "e", "RUNNING"),
    ]
    finals = [("a", final(episode=1)), ("d", final(episode=2))]
    make_experiment(tmp_path, finals=finals, events=events)
    write_list(tmp_path)
    spans = trial_spans(read_results(find_experiment(str(tmp_path / "abcd1234"))))
    assert [tuple(span) for span in spans] == [
        ("a", 0, 0.0, 4.0, "result"),
        ("b", 1, 1.0, 7.0, "failed"),
        ("c", 0, 5.0, 4.0, "ended without a result"),
        ("d", 0, 9.0, 1.0, "result"),
    ]


class CountingPredictor(Predictor):
    """Expects of every network the number of results so far."""

    results = 0

    def observe(self, network: Network, result: float) -> None:
        self.results += 1

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network]) -> list[Network]:
        return list(candidates)

    def mean(self, networks: Sequence[Network]) -> np.ndarray:
        return np.full(len(networks), float(self.results))


@pytest.mark.parametrize("sign", [1, -1])
def test_each_result_is_foretold_from_earlier_ones_alone(sign: int) -> None:
    trials = [trial(n, ONE_LAYER, float(n), 0.0) for n in range(60)]
    class_args = {
        "predictor": "test_search_record:CountingPredictor",
        "optimize_mode": "maximize" if sign > 0 else "minimize",
    }
    results = search(*trials)
    config = results.experiment.config | {"tuner": TUNER | {"classArgs": class_args}}
    found = foretold(replace(results, experiment=replace(results.experiment, config=config)))
    assert found is not None
    assert found.was_used
    assert [one.result.finished for one in found.predictions] == list(range(20, 60))
    known = [sign * one.expected for one in found.predictions]
    for before, one in zip(known, found.predictions, strict=True):
        assert before <= one.result.finished
    assert len(set(known)) == 12
    few = replace(results, trials=results.trials[:39])
    assert foretold(few) is None


def test_the_built_in_predictor_stands_in_for_one_that_is_not_here() -> None:
    space, rng = SearchSpace(max_layers=4), np.random.default_rng(0)
    blocks = [space.random_block(rng) for _ in range(60)]
    trials = [trial(n, block, float(len(block.layers)), 0.0) for n, block in enumerate(blocks)]
    results = search(*trials)
    config = results.experiment.config | {
        "tuner": TUNER | {"classArgs": {"predictor": "gone_module:Predictor"}}
    }
    found = foretold(replace(results, experiment=replace(results.experiment, config=config)))
    assert found is not None
    assert (found.predictor, found.was_used) == ("wl", False)
    errors = [abs(one.expected - one.result.reward) for one in found.predictions]
    assert np.mean(errors) < 0.5  # the number of layers is easily learnt
