"""Larger pieces: the GPU tests, the order of blocks, a search under NNI, streamed images."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import precision
import torch
import turnover
from nsc_bench.setups import SETUPS, Setup
from PIL import Image

from gpu_parts.part import Case, Row, Setting
from nni_blockqnn import Block, NetworkSpec, build_network
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.data import ImageData, load_dataset
from nni_blockqnn.training import EARLY_STOP, Recipe, train

ROOT = Path(__file__).parents[2]
ORDERED_BLOCKS = 40
SEARCH_TRIALS, SEARCH_CONCURRENCY = 24, 2
"""Some two minutes."""
SUITE_SECONDS = 480
JPEG_SIZE = (500, 375)


def suite(setting: Setting) -> Iterator[Case]:
    yield Case("tests marked gpu", _suite)


def _suite() -> Row:
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "tests/unit"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SUITE_SECONDS)
    failed = [line for line in ran.stdout.splitlines() if line.startswith("FAILED")]
    return {"exit": ran.returncode, "said": ran.stdout.splitlines()[-1], "failures": len(failed)}


def order(setting: Setting, half: int) -> Iterator[Case]:
    """
    Args:
        half: 0 or 1, so that a part ends in time.
    """
    setup = SETUPS["digits"]
    if setting.smoke:
        setup = replace(setup, recipe=setup.recipe.shortened(1))
    blocks = list(precision.random_blocks(setting.of(ORDERED_BLOCKS, 4), setup))
    data = setup.load(None)
    for number in range(half, len(blocks), 2):
        for arm in precision.arms(setting.device):
            measure = partial(_accuracy, blocks[number], arm, setup, data, setting.device)
            yield Case(f"{number}; {arm}", measure)


def _accuracy(
    block: Block, arm: precision.Arm, setup: Setup, data: ImageData, device: torch.device
) -> Row:
    return {"accuracy": precision.accuracy(block, arm, setup, data, device)}


def search(setting: Setting) -> Iterator[Case]:
    trials = setting.of(SEARCH_TRIALS, SEARCH_CONCURRENCY + 1)
    name = f"{trials} trials on digits, {SEARCH_CONCURRENCY} at a time"
    yield Case(name, partial(_search, trials, setting))


def _search(trials: int, setting: Setting) -> Row:
    argv = [*turnover.QUICK_START, "--device", str(setting.device)]
    argv += setting.of([], ["--epochs", "1"])
    table = turnover.under_nni("digits", trials, SEARCH_CONCURRENCY, argv)
    (share,) = [line for line in table.splitlines() if line.startswith("| **training**")]
    return {"% of the slots' time in training": share.split("|")[-2].strip(), "table": table}


def streaming(setting: Setting) -> Iterator[Case]:
    """Generated JPEGs of ImageNet's size, decoded while a network trains."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4
    networks = {
        "next to no network": (NAMED_BLOCKS["residual"], (4,), 1),
        "residual, N = 3": (NAMED_BLOCKS["residual"], (64, 128, 256, 512), 3),
    }
    workers = setting.of(sorted({min(count, cores) for count in (1, 4, 8, 16)}), [0])
    for name, network in networks.items():
        for count in workers:
            yield Case(f"{name}, {count} workers", partial(_streamed, network, count, setting))


def _streamed(network: tuple[Block, tuple[int, ...], int], workers: int, setting: Setting) -> Row:
    block, filters, repeats = network
    size = setting.of(224, 16)
    spec = NetworkSpec(
        "imagenet",
        input_shape=(3, size, size),
        classes=2,
        filters=setting.of(filters, (4,)),
        repeats=setting.of(repeats, 1),
    )
    root = setting.folder / "jpegs"
    _write_jpegs(root, setting.of(512, 6), setting.of(JPEG_SIZE, (24, 20)))
    data = load_dataset("imagenet", root, image_shape=spec.input_shape, classes=2, workers=workers)
    recipe: Recipe = replace(EARLY_STOP, batch_size=setting.of(64, 4), restarts=0, augment=True)
    result = train(
        lambda: build_network(block, spec), data, recipe.shortened(3), device=setting.device
    )
    taken = statistics.median(epoch.seconds for epoch in result.epochs[1:])
    return {"images/s": round((len(data.train) + len(data.valid)) / taken, 1)}


def _write_jpegs(root: Path, images_a_class: int, size: tuple[int, int]) -> None:
    """Smooth noise, which takes about as many bytes as a photo."""
    if (root / "whole").exists():
        return
    rng = np.random.default_rng(0)
    for split, count in (("train", images_a_class), ("val", 2)):
        for name in ("ant", "bee"):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                noise = rng.integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8)
                image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
                image.save(root / split / name / f"{number}.JPEG", quality=95)
    (root / "whole").touch()
