"""The arena of final accuracies: searches see short trainings, choices see noisy long ones."""

from __future__ import annotations

from pathlib import Path

import final_arena
import numpy as np
import pytest
from arena import final_choices, final_searches
from arena.final_choices import BEST_TRIED, Choice, choices_of, read_choices
from arena.final_report import Arm, Finals, draw, markdown
from arena.final_searches import ARENA, Task, play
from arena.full_space import load_full
from json_lines import read_lines
from nsc_bench.surrogate import Surrogate

from nni_blockqnn import SearchSpace

WANTED = ((12, "no finals"), (12, "finals"), (12, BEST_TRIED), (8, "no finals"))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few candidates, few choices, and files of their own."""
    small = {"predictor": "wl", "candidates": {"pool": 10}}
    monkeypatch.setitem(final_searches.SEARCHES, "predictor", small)
    monkeypatch.setattr(final_choices, "wanted", lambda trials: iter(WANTED))
    monkeypatch.setattr(final_arena, "PLAYED", tmp_path / "partial" / "played.jsonl")
    monkeypatch.setattr(final_arena, "CHOSEN", tmp_path / "chosen.jsonl")


def test_a_search_goes_on_where_it_was_stopped_and_is_the_same_again(tmp_path: Path) -> None:
    arguments = ["--searches", "random", "predictor", "--trials", "12", "--seeds", "2"]
    final_arena.main(arguments)
    whole = read_lines(final_arena.PLAYED)
    assert len(whole) == 4
    lines = final_arena.PLAYED.read_bytes().splitlines(keepends=True)
    final_arena.PLAYED.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    final_arena.main(arguments)
    assert read_lines(final_arena.PLAYED) == whole
    chosen = read_choices(final_arena.CHOSEN)
    assert len(chosen) == 4 * len(WANTED)
    final_arena.main(arguments)
    assert read_choices(final_arena.CHOSEN) == chosen, "nothing is chosen twice"


def test_a_pick_is_one_of_the_blocks_and_never_better_than_the_best_tried() -> None:
    task = Task("random", 12, 0)
    trials = list(play(task))
    surrogate = load_full(ARENA).surrogate
    texts = [trial.block.to_json() for trial in trials]
    chosen = {(c.trials, c.rule): c.final for c in choices_of(task, texts, set())}
    worth = [round(surrogate.expected(trial.block), 4) for trial in trials]
    luckiest = int(np.argmax([trial.accuracy for trial in trials]))
    assert chosen[12, BEST_TRIED] == max(worth)
    assert chosen[12, "no finals"] == worth[luckiest]
    assert chosen[12, "finals"] in worth
    known = {(task, 12, "finals")}
    assert {c.rule for c in choices_of(task, texts, known)} == {"no finals", BEST_TRIED}


def test_each_search_has_noise_of_its_own() -> None:
    arena = load_full(ARENA)
    block = SearchSpace().random_block(np.random.default_rng(0), 9)
    seen = [final_searches.early(arena, block, seed) for seed in range(40)]
    assert 0.2 < np.std(seen) < 2
    trainings = final_choices.PredictedTrainings(arena, 0)
    other = final_choices.PredictedTrainings(arena, 1)
    assert trainings.line(block, 5) == trainings.line(block, 5)
    assert trainings.line(block, 5)["valid"] != trainings.line(block, 6)["valid"]
    assert trainings.line(block, 5)["valid"] != other.line(block, 5)["valid"]
    assert trainings.line(block, 5)["accuracy"] == arena.surrogate.expected(block)


@pytest.mark.parametrize("name", [n for n in final_searches.SEARCHES if "predictor" in n])
def test_every_changed_predictor_searches_otherwise(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = final_searches.SEARCHES[name]
    fewer = arguments | {"candidates": {**arguments["candidates"], "pool": 20}}
    monkeypatch.setitem(final_searches.SEARCHES, name, fewer)
    plain = {"predictor": "wl", "candidates": {"pool": 20}}
    monkeypatch.setitem(final_searches.SEARCHES, "plain", plain)
    blocks, others = (
        [trial.block for trial in play(Task(each, 16, 0))] for each in (name, "plain")
    )
    assert len(set(blocks)) == 16
    assert (blocks == others) == (name == "predictor")


def _choice(
    search: str, seed: int, trials: int, rule: str, final: float, budget: int = 100
) -> Choice:
    return Choice(search, budget, seed, trials, rule, final)


def test_the_report_compares_searches_of_the_same_seeds(tmp_path: Path) -> None:
    choices = [
        _choice("random", 0, 100, "finals", 53.0, 500),
        _choice("random", 1, 100, "finals", 54.0, 500),
        _choice("predictor", 0, 100, "finals", 53.5),
        _choice("predictor", 1, 100, "finals", 54.5),
        _choice("predictor", 2, 100, "finals", 10.0),
        _choice("predictor", 0, 50, "finals", 53.0),
        _choice("Q, tuned", 0, 50, "finals", 53.0),
    ]
    finals = Finals(choices)
    assert finals.at(Arm("random", "finals"), 100) == {0: 53.0, 1: 54.0}
    assert finals.at(Arm("predictor", "finals"), 50) == {0: 53.0}
    assert finals.at(Arm("Q, tuned", "finals"), 50) == {}, "it explores by its length"
    text = "\n".join(markdown(choices, reference=55.0))
    assert "| random, finals | 0.67 [0.50, 0.75] |" in text
    assert "| predictor against random |  | +0.50 [+0.50, +0.50] |  |" in text
    draw(choices, 55.0, tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 1_000


def test_the_surrogates_sum_is_the_forests() -> None:
    early: Surrogate = load_full(ARENA).surrogate.early
    rng = np.random.default_rng(0)
    blocks = [SearchSpace().random_block(rng) for _ in range(20)]
    forest = early._forest.predict(early.vectors(blocks))
    assert np.array_equal(early.predict(blocks), forest)


def test_a_blocks_own_error_is_found_again_after_the_long_training() -> None:
    surrogate = load_full(ARENA).surrogate
    assert 0 < surrogate.carried < 1.5
    rng = np.random.default_rng(0)
    blocks = [SearchSpace().random_block(rng, int(rng.integers(2, 20))) for _ in range(200)]
    own = np.array([surrogate.expected(b) for b in blocks]) - surrogate.predict(blocks)
    errors = np.array([surrogate.early.error(block) for block in blocks])
    assert np.polyfit(errors, own, 1)[0] == pytest.approx(surrogate.carried, abs=0.25)
    assert np.std(own - surrogate.carried * errors) == pytest.approx(surrogate.own_error, rel=0.2)
