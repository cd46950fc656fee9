"""NSC-Bench at equal cost: what is planned, that its making can be killed, what is packed of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from json_lines import read_lines
from nsc_bench import make_ground, setups
from nsc_bench.describe_ground import described_ground
from nsc_bench.final_surrogate import FinalSurrogate
from nsc_bench.ground import (
    EARLY_A_CYCLE,
    EARLY_CYCLES,
    HAND_MADE,
    LONG_BLOCKS,
    Known,
    next_cycle,
)
from nsc_bench.pack import packed
from nsc_bench.setups import SETUPS, Setup
from nsc_bench.table import MOST_SEEDS, Entry, Table, load_table
from scipy.stats import spearmanr
from sklearn.metrics import r2_score

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.equal_cost import CostTarget
from nni_blockqnn.space.search_space import SearchSpace

CIFAR10 = [SETUPS[name] for name in setups.GROUNDS["cifar10"]]


def _known(cycles: int) -> tuple[list[Known], list[Known]]:
    """So many cycles as if they had been trained: early and long."""
    rng = np.random.default_rng(0)
    early: list[Known] = []
    long: list[Known] = []
    for number in range(cycles):
        cycle = next_cycle(number, early, long, [], CIFAR10)
        early += [Known(number, kind, block, rng.normal(40)) for kind, block in cycle.early]
        long += [Known(number, kind, block, rng.normal(60)) for kind, block in cycle.long]
    return early, long


def test_a_plan_begins_with_the_hand_made_blocks_and_never_repeats_a_function() -> None:
    early, long = _known(3)
    assert [known.block for known in early[:4]] == [*HAND_MADE.values()]
    assert [known.block for known in long[:4]] == [*HAND_MADE.values()]
    functions = {known.block.function_key for known in early}
    assert len(functions) == len(early) == 3 * EARLY_A_CYCLE
    for known in early:
        spec = CIFAR10[0].network(known.block)
        assert spec is not None
        assert 850_000 <= estimate_cost(known.block, spec).flops <= 1_050_000


def test_a_search_begins_at_random_and_half_of_it_is_found_then() -> None:
    early, long = _known(2)
    drawn = Counter(known.kind for known in early)
    assert drawn == {"named": 4, "uniform": 18, "exploration": 18}
    assert Counter(kind for kind, _ in next_cycle(2, early, long, [], CIFAR10).early) == {
        "uniform": 5,
        "exploration": 5,
        "mutant": 3,
        "guided": 7,
    }
    again = next_cycle(10, early, long, [], CIFAR10)  # the next search knows nothing of this one
    assert Counter(kind for kind, _ in again.early) == {"uniform": 10, "exploration": 10}


def test_the_best_and_a_random_block_are_trained_long() -> None:
    early, long = _known(2)
    early = [known._replace(accuracy=40.0) for known in early]
    early[25] = early[25]._replace(accuracy=50.0)
    best, drawn = next_cycle(EARLY_CYCLES, early, long, [], CIFAR10).long
    assert best == (early[25].kind, early[25].block)
    assert drawn[0] in ("uniform", "exploration")
    assert drawn[1] not in {known.block for known in long}


def test_the_larger_networks_are_of_blocks_that_were_trained_long() -> None:
    early, long = _known(2)
    ((_, first),) = next_cycle(EARLY_CYCLES + 1, early, long, [], CIFAR10).large
    ((_, second),) = next_cycle(EARLY_CYCLES + 5, early, long, [first], CIFAR10).large
    assert [first, second] == [*NAMED_BLOCKS.values()]
    assert next_cycle(1, early[:20], long, [], CIFAR10).large == ()


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> dict[str, Setup]:
    """Of digits, with trainings of an epoch."""
    digits = SETUPS["digits"]
    recipe = replace(digits.recipe, epochs=1, milestones=())
    target = CostTarget("flops", 120_000)
    early = replace(digits, recipe=recipe, match=target, seeds=1)
    long = replace(early, scored="test", seeds=2)
    made = {"d": early, "d_long": long, "d_large": replace(long, spec=digits.spec.with_repeats(2))}
    monkeypatch.setattr(make_ground, "SETUPS", made)
    monkeypatch.setattr(make_ground, "GROUNDS", {"d": tuple(made)})
    return made


def _lines(folder: Path) -> list[list[object]]:
    names = ("block", "seed", "accuracy", "width", "curve", "cycle")
    return [
        [line.get(name) for name in names]
        for file in sorted(folder.glob("d*.jsonl"))
        for line in read_lines(file)[1:]
    ]


def test_a_killed_making_goes_on_where_it_was(ground: dict[str, Setup], tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    make_ground.Ground("d", None, whole).make(limit=3)
    make_ground.Ground("d", None, killed).make(limit=2)
    for name in ("d.jsonl", "plan.jsonl"):
        with (killed / name).open("a") as file:
            file.write('{"kind": "uni')  # cut short while it was written
    make_ground.Ground("d", None, killed).make(limit=1)
    assert _lines(killed) == _lines(whole)
    assert read_lines(killed / "plan.jsonl") == read_lines(whole / "plan.jsonl")
    assert len(_lines(whole)) == 3

    table = packed([whole / "d.jsonl"], ground["d"])
    table.save(tmp_path / "d.csv.gz")
    loaded = Table.load(tmp_path / "d.csv.gz")
    loaded.save(tmp_path / "again.csv.gz")
    assert (tmp_path / "again.csv.gz").read_bytes() == (tmp_path / "d.csv.gz").read_bytes()
    table = loaded
    assert [entry.block for entry in table.entries] == [*HAND_MADE.values()][:3]
    for entry in table.entries:
        spec = ground["d"].network(entry.block)
        assert spec is not None
        assert entry.width == spec.filters[0]
        assert (entry.flops, entry.params) == estimate_cost(entry.block, spec)[:2]
        assert [len(curve) for curve in entry.curves] == [1]


def test_a_making_ends_when_there_is_enough(
    ground: dict[str, Setup], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_ground, "EARLY_CYCLES", 0)
    monkeypatch.setattr(make_ground, "LONG_BLOCKS", 0)
    made = make_ground.Ground("d", None, tmp_path)
    made.make()
    assert _lines(tmp_path) == []
    assert LONG_BLOCKS >= 120


@pytest.mark.parametrize("setup", CIFAR10[:2], ids=["early", "long"])
def test_the_packed_tables_are_of_one_cost(setup: Setup) -> None:
    table = load_table("cifar10" if setup is CIFAR10[0] else "cifar10_long")
    assert table.setup == setup.described()
    planned = [entry for entry in table.entries if entry.kind != "searched"]
    assert len({entry.block.function_key for entry in planned}) == len(planned)
    assert len({entry.block for entry in table.entries}) == len(table.entries)
    for entry in table.entries:
        assert 1 <= len(entry.accuracies) == len(entry.curves) <= MOST_SEEDS
        assert entry.kind == "searched" or len(entry.accuracies) == setup.seeds
    for entry in table.entries[:: 1 + len(table.entries) // 50]:
        spec = setup.network(entry.block)
        assert spec is not None
        assert entry.width == spec.filters[0]
        assert entry.flops == estimate_cost(entry.block, spec).flops
        assert 850_000 <= entry.flops <= 1_050_000


def test_the_description_finds_the_ceiling_without_the_luck_of_the_chosen_seed() -> None:
    def table(setup: Setup, accuracies: list[tuple[float, ...]]) -> Table:
        curve = ((1.0,),) * len(accuracies[0])
        entries = [
            Entry("named", block, seen, 1, 1, 1, block.density, 1.0, 5, curve)
            for block, seen in zip(HAND_MADE.values(), accuracies, strict=True)
        ]
        return Table(setup.described(), tuple(entries))

    early = table(CIFAR10[0], [(40.0, 41.0), (39.0, 40.0), (44.0, 45.0), (43.0, 43.0)])
    long = table(
        CIFAR10[1],
        [(50.0, 50.0, 50.0), (49.0, 49.0, 49.0), (60.0, 51.0, 51.0), (52.0, 52.0, 52.0)],
    )
    text = "\n".join(described_ground([early, long]))
    # each seed in turn: the fourth is chosen without seed 0, the third without one of the others
    assert "lies +1.33 ±" in text  # (52 + 51 + 51) / 3 - 50
    assert "| residual | 5 | 40.50 ± 0.50 | 50.00 ± 0.00 |" in text
    assert "all (4): Spearman of early mean and final mean 1.00" in text
    assert json.loads(long.setup)["scored"] == "test"
    once = replace(long.entries[-1], accuracies=(99.0,))
    text = "\n".join(described_ground([early, Table(long.setup, (*long.entries, once))]))
    assert "the best of 4, chosen by the other seeds, lies +1.33 ±" in text  # one seed is luck


@pytest.fixture(scope="module")
def finals() -> tuple[Table, Table]:
    """Early stops of random blocks, the better the more layers compute; long trainings of half of
    them, for which convolutions of 5x5 count, too."""
    rng = np.random.default_rng(0)
    blocks = {block.function_key: block for block in map(SearchSpace().random_block, [rng] * 160)}

    def entry(block: Block, accuracy: float, seeds: int) -> Entry:
        seen = tuple(accuracy + rng.normal(0, 0.3, seeds))
        return Entry("exploration", block, seen, 1, 1, 1, block.density, 1.0, 5, ((1.0,),) * seeds)

    def convolutions(block: Block) -> int:
        return sum((layer.type, layer.kernel) == (1, 5) for layer in block.layers)

    early = {key: 35 + len(block.computing_layers) for key, block in blocks.items()}
    first = [entry(block, early[key], 2) for key, block in blocks.items()]
    long = [
        entry(block, 20 + early[key] + 2 * convolutions(block), 3)
        for key, block in list(blocks.items())[::2]
    ]
    early_setup, long_setup = (setup.described() for setup in CIFAR10[:2])
    return Table(early_setup, tuple(first)), Table(long_setup, tuple(long))


def test_the_surrogate_of_long_trainings_knows_more_than_the_early_stop(
    finals: tuple[Table, Table],
) -> None:
    early, long = finals
    surrogate = FinalSurrogate(early, long)
    assert surrogate.r_squared > 0.8
    trained = {entry.block for entry in long.entries}
    unseen = [entry.block for entry in early.entries if entry.block not in trained]
    truth = [
        20 + 35 + len(b.computing_layers) + 2 * [layer[1:3] for layer in b.layers].count((1, 5))
        for b in unseen
    ]
    assert r2_score(truth, surrogate.predict(unseen)) > 0.8
    only_early = surrogate.early.predict(unseen)
    assert spearmanr(truth, surrogate.predict(unseen))[0] > spearmanr(truth, only_early)[0]
    block = unseen[0]
    assert surrogate.accuracy(block, 0) == surrogate.accuracy(block, 0)
    assert surrogate.accuracy(block, 0) != surrogate.accuracy(block, 1)


def test_a_surrogate_of_few_long_trainings_is_refused(finals: tuple[Table, Table]) -> None:
    early, long = finals
    with pytest.raises(ValueError, match="ten long trainings are needed, got 9"):
        FinalSurrogate(early, replace(long, entries=long.entries[:9]))
