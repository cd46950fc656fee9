"""A search at equal cost, and its start blocks: from the argument to finalists and trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playing import Experiment, metric, space, tuner

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.exchange.finalists import (
    check_grid,
    finalist_in,
    finalist_tasks,
    finalists_space,
)
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.equal_cost import equal_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.q_learning.search import BlockSearch, OtherCostError, Suggestion
from nni_blockqnn.space.match import Match
from nni_blockqnn.space.search_space import SearchSpace

NETWORK = '{"input_shape": [3, 16, 16], "classes": 10, "filters": [8, 16], "stem_pools": 1}'
SPEC = NetworkSpec.from_parameter(NETWORK, 1)
TARGET = 400_000
MATCH = {"flops": TARGET}
CONV = Block.parse([[1, 1, 3, 0, 0]])
POOL = Block.parse([[1, 2, 3, 0, 0]])


def _space(*repeats: int, **block: Any) -> SearchSpace:
    return SearchSpace.from_json(space(repeats=list(repeats or (1,)), network=NETWORK, **block))


def _suggestions(search: BlockSearch, count: int) -> list[Suggestion]:
    rng = np.random.default_rng(0)
    suggested = []
    for _ in range(count):
        suggestion = search.ask()
        assert suggestion is not None
        search.tell(suggestion.episode, float(rng.normal(50)))
        suggested.append(suggestion)
    return suggested


# --- equal cost


@pytest.mark.parametrize(
    ("agent", "predictor", "match"),
    [
        ("q", None, MATCH),
        ("q", "wl", {"params": 20_000}),
        ("random", None, {"params": 20_000}),
        ("evolution", None, MATCH),
    ],
)
def test_every_network_that_is_sent_has_the_cost(
    agent: str, predictor: str | None, match: dict[str, int]
) -> None:
    search = BlockSearch(
        _space(1, 2),
        agent=agent,
        predictor=predictor,
        match=match,
        repeats_rule="agent",
        candidates={"first_results": 8, "pool": 10},
    )
    [(measure, target)] = match.items()
    suggested = _suggestions(search, 12)
    for suggestion in suggested:
        assert suggestion.width is not None
        spec = SPEC.with_repeats(suggestion.repeats).with_width(suggestion.width)
        assert 0.85 * target <= getattr(estimate_cost(suggestion.block, spec), measure)
        assert getattr(estimate_cost(suggestion.block, spec), measure) <= 1.05 * target
        assert spec == equal_cost(
            suggestion.block, SPEC.with_repeats(suggestion.repeats), Match.of(match).target(SPEC)
        )
    assert {suggestion.repeats for suggestion in suggested} == {1, 2}
    assert [result.width for result in search.history] == [s.width for s in suggested]


def test_without_a_match_there_are_no_widths() -> None:
    assert {s.width for s in _suggestions(BlockSearch(_space()), 5)} == {None}


def test_limits_hold_beside_it() -> None:
    limits = {"max_activations": 12_000}
    for suggestion in _suggestions(BlockSearch(_space(), match=MATCH, limits=limits), 8):
        assert suggestion.width is not None
        cost = estimate_cost(suggestion.block, SPEC.with_width(suggestion.width))
        assert cost.activations <= 12_000


def test_the_largest_number_of_repeats_that_has_the_cost_is_taken() -> None:
    target = Match.of(MATCH).target(SPEC)
    suggested = _suggestions(BlockSearch(_space(1, 3, 40), match=MATCH), 10)
    for suggestion in suggested:
        fitting = [
            repeats
            for repeats in (1, 3, 40)
            if equal_cost(suggestion.block, SPEC.with_repeats(repeats), target)
        ]
        assert suggestion.repeats == fitting[-1]
    assert len({suggestion.repeats for suggestion in suggested}) > 1


@pytest.mark.parametrize("measure", ["flops", "params"])
def test_the_cost_of_a_named_block_is_that_of_its_unscaled_network(measure: str) -> None:
    search = BlockSearch(_space(1, 2), match={measure: "residual"}, start_blocks=["residual"])
    cost = getattr(estimate_cost(NAMED_BLOCKS["residual"], SPEC.with_repeats(2)), measure)
    (first,) = _suggestions(search, 1)
    assert (first.repeats, first.width) == (2, 8)
    matched = equal_cost(CONV, SPEC, Match(measure, cost).target(SPEC))
    assert matched is None or matched.filters[0] > 8


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ({"match": {"flops": 10}}, ["{'flops': 10} admits no block", "1 to 32 filters", "85 to"]),
        ({"match": {"params": 10**15}}, ["{'params': 1000000000000000} admits no block"]),
        (
            {"match": MATCH, "limits": {"max_flops": 100_000}},
            ["'max_flops': 100000", "{'flops': 400000} together admit no block"],
        ),
    ],
)
def test_a_match_that_no_block_meets_is_refused(
    arguments: dict[str, Any], fragments: list[str]
) -> None:
    with pytest.raises(ValueError, match="admit") as caught:
        BlockSearch(_space(), **arguments)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_results_of_another_width_are_not_imported() -> None:
    search = BlockSearch(_space(), match=MATCH)
    matched = equal_cost(CONV, SPEC, Match.of(MATCH).target(SPEC))
    assert matched is not None
    width = matched.filters[0]
    with pytest.raises(OtherCostError, match=rf"width {width + 1} .*width {width}"):
        search.import_result(0, CONV, 1, 60.0, {"width": width + 1})
    assert search.import_result(0, CONV, 1, 60.0, {"width": width}).width == width


# --- tuner


def test_trials_are_told_the_width_and_a_resumed_search_goes_on_with_it(checkpoint: Path) -> None:
    arguments: dict[str, Any] = {"match": MATCH, "start_blocks": ["residual", CONV.codes]}
    search_space = space(repeats=[1], network=NETWORK)
    first = Experiment(tuner(search_space, **arguments), 2).run(6)
    again = tuner(search_space, **arguments)
    assert again.history == first.tuner.history
    assert [one.width for one in again.history] == [one.width for one in first.tuner.history]
    sent = first.sent + Experiment(again, 1, first_id=6).run(2).sent
    assert [one["block"] for one in sent[:2]] == [
        NAMED_BLOCKS["residual"].to_json(),
        CONV.to_json(),
    ]
    for parameters in sent:
        task = read_task(json.loads(json.dumps(parameters)))
        assert task.width == parameters["width"] == task.spec.filters[0]
        assert 0.85 * TARGET <= estimate_cost(task.block, task.spec).flops <= 1.05 * TARGET
    assert len({one["block"] for one in sent}) == 8


def test_a_search_without_either_sends_and_keeps_what_it_did_before(checkpoint: Path) -> None:
    sent = Experiment(tuner(space(network=NETWORK))).run(1).sent
    assert set(sent[0]) == {"block", "repeats", "network", "episode"}
    (journal,) = checkpoint.glob("*.jsonl")
    assert not {"width", "start"} & set(json.loads(journal.read_text().splitlines()[1]))


def test_the_journal_marks_the_start_blocks(checkpoint: Path) -> None:
    Experiment(tuner(space(network=NETWORK), start_blocks=["residual"])).run(2)
    (journal,) = checkpoint.glob("*.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    suggestions = [event for event in events if event["event"] == "suggestion"]
    assert [event.get("start") for event in suggestions] == [True, None]


def test_an_import_of_another_cost_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made = tuner(space(repeats=[1], network=NETWORK), match=MATCH)
    given = {"episode": 5, "block": CONV.to_json(), "repeats": 1}
    made.import_data([{"parameter": {}, "value": metric(given, 60.0, width=3, repeats=1)}])
    assert made.history == []
    assert "at width 3 is of another cost" in caplog.text


# --- start blocks


def test_start_blocks_come_first_once_and_are_counted() -> None:
    codes = [[1, 1, 1, 0, 0], [2, 1, 3, 1, 0]]
    search = BlockSearch(
        _space(),
        start_blocks=["inception", codes, json.dumps(POOL.codes), NAMED_BLOCKS["residual"]],
    )
    suggested = _suggestions(search, 6)
    expected = [NAMED_BLOCKS["inception"], Block.parse(codes), POOL, NAMED_BLOCKS["residual"]]
    assert [suggestion.block for suggestion in suggested[:4]] == expected
    assert [suggestion.is_start for suggestion in suggested] == [True] * 4 + [False] * 2
    assert [suggestion.episode for suggestion in suggested] == [*range(6)]
    assert len(search.history) == 6


def test_a_start_block_that_is_known_is_not_trained_again() -> None:
    search = BlockSearch(_space(), start_blocks=["residual", "inception"])
    search.import_result(7, NAMED_BLOCKS["residual"], 1, 60.0, {})
    assert _suggestions(search, 1)[0].block == NAMED_BLOCKS["inception"]


def test_start_blocks_come_once_where_known_blocks_are_trained_again() -> None:
    search = BlockSearch(_space(), start_blocks=["residual"], known_blocks="train")
    assert [suggestion.is_start for suggestion in _suggestions(search, 3)] == [True, False, False]


def test_a_start_block_that_failed_is_tried_again_and_still_marked() -> None:
    search = BlockSearch(_space(), start_blocks=["residual", "inception"])
    first = search.ask()
    assert first is not None
    search.tell_failure(first.episode, "the disk is full")
    second, third = _suggestions(search, 2)
    assert (second.block, second.is_start) == (first.block, True)
    assert third.block == NAMED_BLOCKS["inception"]


def test_side_by_side_no_start_block_is_sent_twice() -> None:
    search = BlockSearch(_space(), start_blocks=["residual", "inception", "residual"])
    asked = [search.ask() for _ in range(3)]
    assert [one.is_start for one in asked if one] == [True, True, False]


@pytest.mark.parametrize(
    ("start_blocks", "changes", "fragments"),
    [
        (["inception", "residul"], {}, ["start block 2", "'residul'", "did you mean residual?"]),
        (["Residual"], {}, ["start block 1", "'Residual'", "did you mean residual?"]),
        (["vgg"], {}, ["start block 1", "'vgg'", "residual or inception"]),
        ([[[1, 1, 7, 0, 0]]], {}, ["start block 1, [[1, 1, 7, 0, 0]], is not in the", "kernel=7"]),
        (
            ["inception"],
            {"max_layers": 9},
            ["start block 1, 'inception', is not in", "max_layers=9"],
        ),
        (["residual"], {"encoding": "separate"}, ["residual", "'separate'"]),
        ([5], {}, ["start block 1", "got 5"]),
        (["[[1,1,3"], {}, ["start block 1", "[[1,1,3"]),
    ],
)
def test_what_is_no_start_block_is_refused_by_name(
    start_blocks: list[Any], changes: dict[str, Any], fragments: list[str]
) -> None:
    with pytest.raises(ValueError, match="block") as caught:
        BlockSearch(_space(**changes), start_blocks=start_blocks)
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ({"limits": {"max_params": 2_000}}, ["residual", "exceeds the limits"]),
        ({"match": MATCH, "start_blocks": [POOL.codes]}, ["[[1, 2, 3", "400,000 flops (match)"]),
    ],
)
def test_a_start_block_over_the_limits_or_of_another_cost_is_refused(
    arguments: dict[str, Any], fragments: list[str]
) -> None:
    with pytest.raises(ValueError, match="start block 1") as caught:
        BlockSearch(_space(), **({"start_blocks": ["residual"]} | arguments))
    for fragment in fragments:
        assert fragment in str(caught.value)


# --- finalists


def test_finalists_have_the_widths_of_the_search() -> None:
    suggested = _suggestions(BlockSearch(_space(), match=MATCH), 5)
    blocks = [suggestion.block for suggestion in suggested]
    written = json.dumps(finalists_space(blocks, 1, NETWORK, Match.of(MATCH)))
    tasks = finalist_tasks(json.loads(written))
    assert [(task.block, task.width) for task in tasks] == [(s.block, s.width) for s in suggested]
    assert read_task(finalist_in(written, "a file", 2)).width == suggested[1].width
    assert "match" not in finalists_space(blocks, 1, NETWORK)


def test_a_finalist_that_cannot_have_the_cost_is_named() -> None:
    written = finalists_space([CONV, POOL], 1, NETWORK, Match.of(MATCH))
    with pytest.raises(ValueError, match=r"trial 2 of the grid: match flops 400,000: .*\[1,2,3"):
        finalist_tasks(written)


def test_of_several_costs_a_finalist_has_those_to_which_it_comes() -> None:
    costs = [Match("flops", TARGET), Match("flops", 2 * TARGET)]
    written = finalists_space([CONV, POOL], 1, NETWORK, *costs)
    tasks = finalist_tasks(written)
    assert [task.block for task in tasks] == [CONV, CONV]
    flops = [estimate_cost(task.block, task.spec).flops for task in tasks]
    assert [round(cost / TARGET) for cost in flops] == [1, 2]
    assert check_grid(written, 2) == ("ok", "all 2 can be built")
    written["match"]["_value"][1] = '{"flops": -3}'
    with pytest.raises(ValueError, match="match flops must be"):
        finalist_tasks(written)
