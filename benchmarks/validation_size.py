"""How many validation images a short and a long training need to tell good blocks apart.

    python benchmarks/validation_size.py --data-dir DIR [--long 30]
    python benchmarks/validation_size.py --report

Blocks of the full space at equal cost, whose test accuracy after long trainings is known
(``found_against_handmade.py``, CIFAR-10), are trained once more, short and long, and validated on
up to 20,000 training images that no training has used. What is reported is the rank correlation of
that with the known test accuracies, by the number of validation images and by the epoch. It may be
killed and started again. DIR is as :mod:`nsc_bench.make_ground` wants it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from json_lines import append, read_lines
from nsc_bench.setups import SETUPS, Setup, unused_images
from scipy.stats import spearmanr
from torch import Tensor, nn

from nni_blockqnn import Block
from nni_blockqnn.data import ImageData, Split
from nni_blockqnn.model_space import build_network
from nni_blockqnn.training.loop import train

RESULTS = Path(__file__).with_name("results")
KNOWN = (
    RESULTS / "nsc_ground" / "cifar10_long.jsonl",
    RESULTS / "found_against_handmade" / "cifar10" / "cifar10_long.jsonl",
)
SIZES = (500, 1_000, 2_000, 5_000, 10_000, 20_000)
WATCHED = 5_000
"""Validation images after each epoch of a long training."""
NEW_SEED = 3
"""Of the trainings here; the known ones have those before it."""
_BATCH = 500
_RESAMPLES = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="where the data set's files lie")
    parser.add_argument("--long", type=int, default=30, help="blocks that are trained long as well")
    parser.add_argument("--output", type=Path, default=RESULTS / "validation_size.jsonl")
    parser.add_argument("--report", action="store_true", help="print what there is")
    options = parser.parse_args()
    lines = _read(options.output)
    truth = known_accuracies()
    if not options.report:
        torch.set_num_threads(1)
        done = {(line["setup"], line["block"]) for line in lines}
        for name, block in jobs(truth, options.long):
            if (name, block) not in done:
                line = measure(SETUPS[name], options.data_dir, Block.parse(block))
                append(options.output, {"setup": name, "block": block} | line)
        lines = _read(options.output)
    print("\n".join(markdown(lines, truth)))


def known_accuracies() -> dict[str, float]:
    """Mean test accuracy of the long trainings of each block, those of most trainings first."""
    found: dict[str, list[float]] = {}
    for path in KNOWN:
        for line in _read(path):
            if line.get("accuracy") is not None:
                found.setdefault(line["block"], []).append(line["accuracy"])
    ordered = sorted(found, key=lambda block: -len(found[block]))
    return {block: float(np.mean(found[block])) for block in ordered}


def jobs(truth: Mapping[str, float], long: int) -> Iterator[tuple[str, str]]:
    """Names of setups, and blocks."""
    for block in truth:
        yield "cifar10", block
    for block in list(truth)[:long]:
        yield "cifar10_long", block


def measure(setup: Setup, data_dir: Path, block: Block) -> dict[str, Any]:
    """Accuracies in percent after one training, on the first so many of the unused images."""
    data, unused = setup.load(data_dir), unused_images(data_dir)
    watched = unused.select(torch.arange(WATCHED))
    spec = setup.network(block)
    assert spec is not None
    result = train(
        partial(build_network, block, spec),
        replace(data, valid=watched),
        setup.recipe,
        device=torch.device("cpu"),
        seed=NEW_SEED,
    )
    right = _right(result.network, data, unused)
    accuracies = {str(size): round(100 * right[:size].mean().item(), 3) for size in SIZES}
    return {"accuracies": accuracies, "curve": [epoch.accuracy for epoch in result.epochs]}


def _right(network: nn.Module, data: ImageData, split: Split) -> Tensor:
    """(N,) 1.0 for each image that is classified as its label says."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    network.eval()
    with torch.inference_mode():
        parts = [
            network((split.images[first : first + _BATCH] / 255 - mean) / std).argmax(dim=1)
            for first in range(0, len(split), _BATCH)
        ]
    return (torch.cat(parts) == split.labels).double()


def markdown(lines: Sequence[dict[str, Any]], truth: Mapping[str, float]) -> Iterator[str]:
    sizes = " | ".join(f"{size:,}" for size in SIZES)
    yield f"| rank correlation with the test accuracy | blocks | {sizes} validation images |"
    yield "| --- | --- |" + " --- |" * len(SIZES)
    for name in ("cifar10", "cifar10_long"):
        own = [line for line in lines if line["setup"] == name]
        if own:
            finals = np.array([truth[line["block"]] for line in own])
            columns = (np.array([line["accuracies"][str(size)] for line in own]) for size in SIZES)
            cells = (_correlation(column, finals) for column in columns)
            what = "short training" if name == "cifar10" else "long training"
            yield f"| {what} | {len(own)} | {' | '.join(cells)} |"
    long = [line for line in lines if line["setup"] == "cifar10_long"]
    if long:
        finals = np.array([truth[line["block"]] for line in long])
        curves = np.array([line["curve"] for line in long])
        epochs = range(1, curves.shape[1] + 1)
        yield ""
        yield f"| long training, after epoch | {' | '.join(map(str, epochs))} |"
        yield "| --- |" + " --- |" * len(epochs)
        cells = (f"{spearmanr(column, finals).statistic:.2f}" for column in curves.T)
        yield f"| {WATCHED:,} validation images | {' | '.join(cells)} |"


def _correlation(values: np.ndarray, finals: np.ndarray) -> str:
    """Spearman's, with its 95 % interval by resampled blocks."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(values), size=(_RESAMPLES, len(values)))
    resampled = [spearmanr(values[row], finals[row]).statistic for row in rows]
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return f"{spearmanr(values, finals).statistic:.2f} [{low:.2f}, {high:.2f}]"


def _read(path: Path) -> list[dict[str, Any]]:
    """The trainings of a working file."""
    return [line for line in read_lines(path) if "block" in line]


if __name__ == "__main__":
    main()
