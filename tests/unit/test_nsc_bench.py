"""NSC-Bench: its making can be killed, its table finds twins, its surrogate is repeatable."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from json_lines import read_lines
from nsc_bench.describe import seed_noise
from nsc_bench.features import features
from nsc_bench.make_table import make
from nsc_bench.pack import packed
from nsc_bench.plan import MAX_ACTIVATIONS, MAX_FLOPS, SEEDS, jobs, large_blocks, small_blocks
from nsc_bench.setups import SETUPS
from nsc_bench.surrogate import Surrogate
from nsc_bench.table import Entry, Table, load_table

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.data import ImageData
from nni_blockqnn.network.cost import estimate_cost

DIGITS = SETUPS["digits"]
CONV = Block.parse([[1, 1, 3, 0, 0]])
TWIN = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0]])

of_small_blocks = pytest.mark.xdist_group("small_blocks")
"""All blocks of up to four layers take seconds to list: once, in one process."""


@pytest.fixture(scope="module")
def data() -> ImageData:
    return DIGITS.load(None)


def test_digits_are_halved(data: ImageData) -> None:
    assert (len(data.train), len(data.valid)) == (719, 719)


@pytest.mark.slow
@of_small_blocks
def test_jobs_begin_with_the_small_blocks_and_alternate_then() -> None:
    spec = SETUPS["fashion_mnist"].spec
    first = list(islice(jobs(spec), 456 * 3 + 14))
    assert [job.kind for job in first] == ["upto3"] * 1368 + ["upto4"] * 12 + ["full"] * 2
    assert [job.seed for job in first[-5:]] == [0, 1, 2, 0, 1]
    assert len({job.block.key for job in first[:1368]}) == 456


@pytest.mark.slow
@of_small_blocks
def test_every_function_of_four_layers_is_there_once() -> None:
    small, four = small_blocks()
    functions = {block.function_key for block in small}
    new = {block.function_key for block in four}
    assert (len(functions), len(four), len(new), len(functions | new)) == (318, 3952, 3952, 4270)


def test_larger_blocks_are_distinct_and_bounded() -> None:
    spec = SETUPS["fashion_mnist"].spec
    drawn = list(islice(large_blocks(spec), 200))
    assert len({block.key for block in drawn}) == 200
    assert {len(block.layers) for block in drawn} == set(range(5, 23))
    for block in drawn:
        cost = estimate_cost(block, spec)
        assert cost.flops <= MAX_FLOPS
        assert cost.activations <= MAX_ACTIVATIONS


@pytest.mark.slow
def test_a_killed_making_goes_on_with_what_is_missing(tmp_path: Path, data: ImageData) -> None:
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    make(DIGITS, data, whole, limit=4)
    make(DIGITS, data, killed, limit=2)
    with killed.open("a") as file:
        file.write('{"kind": "upto3", "blo')  # cut short while it was written
    make(DIGITS, data, killed, limit=2)
    assert [_outcome(line) for line in read_lines(killed)] == [
        _outcome(line) for line in read_lines(whole)
    ]
    assert len(read_lines(killed)) == 5


def test_a_making_that_died_at_once_begins_anew(tmp_path: Path, data: ImageData) -> None:
    output = tmp_path / "work.jsonl"
    output.write_text('{"setup": ')
    make(DIGITS, data, output, limit=1)
    assert [set(line) >= {"accuracy"} for line in read_lines(output)] == [False, True]


def test_a_working_file_of_another_setup_is_refused(tmp_path: Path, data: ImageData) -> None:
    output = tmp_path / "work.jsonl"
    make(DIGITS, data, output, limit=0)
    other = replace(DIGITS, recipe=replace(DIGITS.recipe, epochs=3))
    with pytest.raises(ValueError, match="move it away"):
        make(other, data, output, limit=0)


def test_only_blocks_with_all_seeds_are_packed(tmp_path: Path) -> None:
    work = tmp_path / "work.jsonl"
    other = Block.parse([[1, 1, 5, 0, 0]])
    diverged = Block.parse([[1, 2, 3, 0, 0]])
    lines: list[dict] = [{"setup": DIGITS.described()}]
    lines += [_line(CONV, seed, 50.0 + seed) for seed in (2, 0, 1)]
    lines += [_line(other, seed, 60.0) for seed in (0, 1)]
    lines += [_line(diverged, seed, None if seed == 1 else 60.0) for seed in (0, 1, 2)]
    work.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = packed([work], DIGITS)
    assert [(entry.block, entry.accuracies) for entry in table.entries] == [
        (CONV, (50.0, 51.0, 52.0))
    ]
    assert table.entries[0].seconds == pytest.approx(0.2)
    assert table.entries[0].flops == estimate_cost(CONV, DIGITS.spec).flops


def test_what_searches_trained_is_packed_with_the_seeds_that_it_has(tmp_path: Path) -> None:
    files = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    searched, other = Block.parse([[1, 1, 5, 0, 0]]), Block.parse([[1, 2, 3, 0, 0]])
    lines = [
        [_line(CONV, 0, 50.0), _line(searched, 0, 60.0) | {"kind": "searched"}],
        [_line(CONV, seed, 51.0) for seed in (0, 2, 1)]
        + [_line(other, seed, 61.0) | {"kind": "searched"} for seed in (101, 1, 100, 0)],
    ]
    for file, its in zip(files, lines, strict=True):
        header = {"setup": DIGITS.described()}
        file.write_text("".join(json.dumps(line) + "\n" for line in [header, *its]))
    table = packed(files, DIGITS)
    assert [entry.accuracies for entry in table.entries] == [
        (50.0, 51.0, 51.0),
        (60.0,),
        (61.0, 61.0, 61.0),
    ]
    assert seed_noise(table.entries) == pytest.approx(np.sqrt((1 / 3 + 0) / 2))
    assert seed_noise(table.entries[1:2]) == 0.0


@of_small_blocks
def test_a_saved_table_reads_the_same_and_has_the_same_bytes(tmp_path: Path) -> None:
    table = _table(list(small_blocks()[0][:20]))
    table.save(tmp_path / "a.csv.gz")
    again = Table.load(tmp_path / "a.csv.gz")
    again.save(tmp_path / "b.csv.gz")
    assert again == table
    assert again.spec == DIGITS.spec
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert (tmp_path / "a.csv.gz").read_bytes()[4:8] == bytes(4)  # no time of making


def test_a_twin_has_the_accuracy_and_a_density_of_its_own() -> None:
    table = _table([CONV])
    entry, twin = table.find(CONV), table.find(TWIN)
    assert entry == table.entries[0]
    assert twin is not None
    assert twin.accuracies == table.entries[0].accuracies
    assert (twin.block, twin.density) == (TWIN, 3 / 4)
    assert table.find(Block.parse([[1, 1, 5, 0, 0]])) is None


def test_a_block_in_the_table_is_not_taken_for_its_twin() -> None:
    table = _table([CONV, TWIN])
    assert table.find(TWIN) == table.entries[1]
    assert table.entries[0].accuracies != table.entries[1].accuracies


def test_features_of_a_block_by_hand() -> None:
    """A 3x3 convolution, behind it a 3x3 pooling and a 5x5 convolution."""
    block = Block.parse([[1, 1, 3, 0, 0], [2, 2, 3, 1, 0], [3, 1, 5, 1, 0]])
    cost = estimate_cost(block, DIGITS.spec)
    assert features(block, DIGITS.spec) == {
        "ln flops": np.log(cost.flops),
        "ln params": np.log(cost.params),
        "layers that compute": 3,
        "longest path": 4,  # convolution, convolution, input, output
        "most convolutions in a path": 2,
        "least convolutions of a leaf": 1,
        "largest reach": 3,
        "leaves": 2,
        "label 0.0": 1,
        "label 1.3": 1,
        "label 1.5": 1,
        "label 2.3": 1,
        "label 7.0": 1,
        "label 0.0()": 1,
        "label 1.3(0.0)": 1,
        "label 1.5(1.3)": 1,
        "label 2.3(1.3)": 1,
        "label 7.0(1.5,2.3)": 1,
    }


def test_twins_have_the_same_features() -> None:
    assert features(CONV, DIGITS.spec) == features(TWIN, DIGITS.spec)


@pytest.fixture(scope="module")
def fashion_mnist() -> Table:
    return load_table("fashion_mnist")


@pytest.fixture(scope="module")
def surrogate(fashion_mnist: Table) -> Surrogate:
    small = tuple(entry for entry in fashion_mnist.entries if entry.kind == "upto3")
    return Surrogate(replace(fashion_mnist, entries=small))


def test_the_packed_table_is_whole(fashion_mnist: Table) -> None:
    assert fashion_mnist.setup == SETUPS["fashion_mnist"].described()
    kinds = [entry.kind for entry in fashion_mnist.entries]
    assert kinds.count("upto3") == 456
    assert all(len(entry.accuracies) == SEEDS[entry.kind] for entry in fashion_mnist.entries)
    assert len({entry.block.key for entry in fashion_mnist.entries}) == len(kinds)


def test_the_packed_costs_are_those_of_the_blocks(fashion_mnist: Table) -> None:
    for entry in fashion_mnist.entries[::50]:
        cost = estimate_cost(entry.block, fashion_mnist.spec)
        assert (entry.flops, entry.params, entry.activations) == tuple(cost)


def test_the_surrogate_explains_functions_it_has_not_seen(surrogate: Surrogate) -> None:
    assert surrogate.r_squared > 0.9
    assert surrogate.spearman > 0.9


def test_the_surrogate_gives_the_same_for_twins_and_repeats_itself(
    surrogate: Surrogate, fashion_mnist: Table
) -> None:
    again = Surrogate(replace(fashion_mnist, entries=fashion_mnist.entries[:456]))
    assert again.accuracy(TWIN, 1) == surrogate.accuracy(CONV, 1)
    assert surrogate.accuracy(CONV, 0) != surrogate.accuracy(CONV, 1)


@pytest.mark.slow
def test_the_surrogates_noise_is_that_of_the_table(
    surrogate: Surrogate, fashion_mnist: Table
) -> None:
    """Pooled over blocks, whose noise falls from 5 points to 1 with their accuracy."""
    entries = fashion_mnist.entries[:456:3]
    measured = np.mean([np.var(entry.accuracies, ddof=1) for entry in entries])
    drawn = np.mean(
        [
            np.var([surrogate.accuracy(entry.block, seed) for seed in range(3)], ddof=1)
            for entry in entries
        ]
    )
    assert drawn == pytest.approx(measured, rel=0.25)


def _line(block: Block, seed: int, accuracy: float | None) -> dict:
    return {
        "kind": "upto3",
        "block": block.to_json(),
        "seed": seed,
        "accuracy": accuracy,
        "seconds": 0.1 * (seed + 1),
    }


def _outcome(line: dict) -> dict:
    return {name: value for name, value in line.items() if name != "seconds"}


def _table(blocks: list[Block]) -> Table:
    entries = []
    for number, block in enumerate(blocks):
        cost = estimate_cost(block, DIGITS.spec)
        accuracies = (40.0 + number, 41.5 + number, 43.125 + number)
        entries.append(Entry("upto3", block, accuracies, *cost, block.density, 0.125))
    return Table(DIGITS.described(), tuple(entries))
