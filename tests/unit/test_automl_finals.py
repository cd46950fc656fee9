"""The finalists of a search: their configuration, and the winners of their trainings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from found_searches import CONFIG, FOUND, OTHER, REQUEST, experiment, metric, searched

from nni_blockqnn.automl._chosen import by_cost, read_winners, write_winners
from nni_blockqnn.automl._finals import trial_epochs, write_finals
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl._sizing import cost_name
from nni_blockqnn.automl._winners import winner_arguments
from nni_blockqnn.automl.request import Request
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.commands._tuner_checks import check_tuner
from nni_blockqnn.data.outline import outline_of
from nni_blockqnn.results.experiment import find_experiment, read_results
from nni_blockqnn.space.search_space import SearchSpace


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return SearchFolder(tmp_path / "found")


def test_finalists_are_the_best_found_and_the_hand_made(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results = searched(folder)
    outline = outline_of("digits", Path("unused"))
    epochs = write_finals(folder, replace(REQUEST, finalists=1), outline, results)

    space = json.loads(folder.finalists.read_text())
    hand_made = [block.to_json() for block in NAMED_BLOCKS.values()]
    assert [json.loads(one) for one in space["block"]["_value"]] == [
        json.loads(one) for one in (FOUND, *hand_made)
    ]
    config = load_config(folder.finalists.with_suffix(".yml"))
    assert [one.level for one in check_tuner(config)] == ["ok", "ok"]
    assert config.max_trial_number == 3
    written = {"trialCommand": config.trial_command}
    assert trial_epochs(written) == epochs >= 4
    arguments = winner_arguments(written)
    assert (arguments.dataset, arguments.data_dir) == ("digits", Path("/my data"))
    assert (arguments.seed, arguments.limit, arguments.threads) == (3, None, None)
    assert (arguments.validation, arguments.test) == ("test", True)
    assert arguments.chosen_recipe().augment is False


def test_finalists_train_where_the_search_did(folder: SearchFolder) -> None:
    folder.path.mkdir()
    service = {"platform": "remote", "machineList": [{"host": "a: #", "user": "me"}]}
    written = {"nniManagerIp": "10.0.0.1", "trainingService": service}
    folder.config.write_text(yaml.safe_dump(written))
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    write_finals(folder, REQUEST, outline, results)
    finals = yaml.safe_load(folder.finalists.with_suffix(".yml").read_text())
    assert {name: finals[name] for name in written} == written


def test_epochs_follow_from_the_time_that_is_left(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    few, many = (
        write_finals(folder, Request("digits", hours), outline, results) for hours in (0.1, 1.0)
    )
    assert few < many
    assert write_finals(folder, Request("digits", 0.1, final_epochs=7), outline, results) == 7


def test_the_best_finalist_wins_and_hand_made_ones_go_with_it(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    write_finals(folder, REQUEST, outline, results)
    residual = NAMED_BLOCKS["residual"].to_json()
    space = json.loads(folder.finalists.read_text())
    config = {"searchSpace": space, "tuner": {"className": "x.FinalistsTuner"}}
    scores = ((residual, 95.0), (OTHER, 94.0), (FOUND, 97.5))
    metrics = [metric(number, *one) for number, one in enumerate(scores)]
    experiment(folder, "efgh5678", config, *metrics)

    write_winners(folder, read_results(find_experiment("efgh5678")))
    first, second = read_winners(folder)
    assert (first.name, first.block.to_json(), first.validated) == ("winner", FOUND, 97.5)
    assert (second.name, second.block) == ("residual", NAMED_BLOCKS["residual"])
    assert first.task.spec.filters[0] != second.task.spec.filters[0]  # each at the same cost


def test_where_time_allows_finalists_are_chosen_twice(folder: SearchFolder) -> None:
    folder.path.mkdir()
    rng = np.random.default_rng(0)
    space = SearchSpace.from_json(CONFIG["searchSpace"])
    texts = [block.to_json() for block in NAMED_BLOCKS.values()]
    texts += [space.random_block(rng).to_json() for _ in range(30)]
    metrics = [metric(n, text, 90 + float(rng.normal())) for n, text in enumerate(texts)]
    metrics = [{**one, "flops": 330_000, "params": 4_000} for one in metrics]
    experiment(folder, "abcd1234", CONFIG, *metrics)
    results = read_results(find_experiment("abcd1234"))
    write_finals(
        folder, replace(REQUEST, finalists=4), outline_of("digits", Path("unused")), results
    )
    config = load_config(folder.finalists.with_suffix(".yml"))
    assert [one.level for one in check_tuner(config)] == ["ok", "ok"]
    following = {"search": "abcd1234", "more": 1, "again": 2, "seeds": 3}
    assert (config.tuner.class_args, config.max_trial_number) == (following, 3 + 2 + 1 + 4)

    finalists = json.loads(folder.finalists.read_text())
    first, second, third, *_ = finalists["block"]["_value"]
    scores = [(first, 97.0), (second, 95.0), (third, 94.0)]
    scores += [(first, 93.0), (first, 93.5), (second, 96.0), (second, 95.8)]
    long = [metric(number, *one) for number, one in enumerate(scores)]
    tuner = {"className": "nni_blockqnn.finalists_tuner.FinalistsTuner", "classArgs": following}
    experiment(folder, "efgh5678", {"searchSpace": finalists, "tuner": tuner}, *long)
    write_winners(folder, read_results(find_experiment("efgh5678")))
    (winner,) = read_winners(folder)
    assert winner.block.to_json() == second, "the first one was lucky once"
    assert winner.validated == pytest.approx((95.0 + 96.0 + 95.8) / 3)


def test_a_hand_made_winner_is_not_trained_twice(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    write_finals(folder, REQUEST, outline, results)
    residual, inception = (block.to_json() for block in NAMED_BLOCKS.values())
    space = json.loads(folder.finalists.read_text())
    scores = ((residual, 99.0), (inception, 98.0), (FOUND, 97.5))
    metrics = [metric(number, *one) for number, one in enumerate(scores)]
    experiment(folder, "efgh5678", {"searchSpace": space}, *metrics)
    write_winners(folder, read_results(find_experiment("efgh5678")))
    assert [winner.name for winner in read_winners(folder)] == ["winner", "inception"]


def test_a_frontier_has_a_winner_for_each_cost(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    write_finals(folder, replace(REQUEST, frontier=True, finalists=1), outline, results)
    config = load_config(folder.finalists.with_suffix(".yml"))
    assert [one.level for one in check_tuner(config)] == ["ok", "ok"]
    space = json.loads(folder.finalists.read_text())
    costs = [json.loads(match)["flops"] for match in space["match"]["_value"]]
    assert costs[0] == 340_000
    assert costs[1] < costs[0] < costs[2]
    assert config.max_trial_number == 3 * 3

    residual = NAMED_BLOCKS["residual"].to_json()
    scores = [
        *((FOUND, 97.5, costs[0]), (residual, 95.0, costs[0])),
        *((residual, 94.0, costs[1]), (FOUND, 93.0, int(0.9 * costs[1]))),
        (FOUND, 98.5, int(1.04 * costs[2])),
    ]
    metrics = [metric(number, *one) for number, one in enumerate(scores)]
    experiment(folder, "efgh5678", {"searchSpace": space}, *metrics)
    finals = read_results(find_experiment("efgh5678"))
    assert [len(one.results.trials) for one in by_cost(finals)] == [2, 2, 1]
    write_winners(folder, finals)
    small, large = (f"-{cost_name(cost)}" for cost in costs[1:])
    winners = read_winners(folder)
    assert [(one.folder, one.cost) for one in winners] == [
        *(("winner", costs[0]), ("residual", costs[0])),
        *((f"winner{small}", costs[1]), (f"winner{large}", costs[2])),
    ]
    assert [one.exported for one in winners] == [
        *("network", None, f"network{small}", f"network{large}")
    ]
    assert winners[2].block == NAMED_BLOCKS["residual"]
    narrow, own, wide = (winners[at].task.spec.filters[0] for at in (2, 1, 3))
    assert narrow < own < wide


def test_a_frontier_needs_a_cost_of_the_search(folder: SearchFolder) -> None:
    folder.path.mkdir()
    searched(folder)
    without = CONFIG | {"tuner": {"classArgs": {"match": {"params": 9_000}}}}
    results = read_results(find_experiment("abcd1234"))
    other = replace(results, experiment=replace(results.experiment, config=without))
    with pytest.raises(ValueError, match=r"must have a match such as .* got \{'params': 9000\}"):
        write_finals(
            folder, replace(REQUEST, frontier=True), outline_of("digits", Path("unused")), other
        )
