"""Images a second of networks as the paper's: Fig. 2's blocks and random ones of 22 layers."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import training_speed
from training_job import Job

from gpu_parts.part import Case, Row, Setting
from nni_blockqnn import Block, NetworkSpec, SearchSpace
from nni_blockqnn.blocks.layer import Layer, LayerType
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.data import ImageData
from nni_blockqnn.training import EARLY_STOP, EpochResult, check_precision, train

SECONDS = 3.0
"""Of training beyond the first epoch, for each case."""
LAYERS = 22
RANDOM_BLOCKS = 20


class Mode(NamedTuple):
    """How a network is trained."""

    precision: str
    deterministic: bool = False
    cuda_graphs: bool = False

    def __str__(self) -> str:
        extras = ("deterministic", self.deterministic), ("CUDA graphs", self.cuda_graphs)
        return ", ".join([self.precision, *(name for name, is_on in extras if is_on)])


MODES = (
    Mode("fp32", deterministic=True),
    Mode("fp32"),
    Mode("fp32", cuda_graphs=True),
    Mode("tf32"),
    Mode("bf16", deterministic=True),
    Mode("bf16"),
    Mode("bf16", cuda_graphs=True),
)
FEW_MODES = (MODES[0], Mode("tf32"), Mode("bf16"), Mode("bf16", cuda_graphs=True))


class Enough(Exception):  # noqa: N818, it is no error
    """Ends a training that has been timed for long enough."""


def spec(setting: Setting) -> NetworkSpec:
    """The paper's network for CIFAR-10, N = 4."""
    small = NetworkSpec("cifar10", input_shape=(3, 8, 8), filters=(4, 4), repeats=1)
    return setting.of(NetworkSpec("cifar10", repeats=4), small)


def job(block: Block, setting: Setting, images: int) -> Job:
    """A training on generated images."""
    epochs, threads = 1, torch.get_num_threads()
    batch_size = setting.of(256, 16)
    return Job(block, spec(setting), images, epochs, batch_size, setting.device, threads)


def random_blocks(setting: Setting) -> list[Block]:
    """Random blocks of 22 layers; always the same ones."""
    rng = np.random.default_rng(0)
    count, layers = setting.of((RANDOM_BLOCKS, LAYERS), (2, 3))
    return [_of_length(layers, rng) for _ in range(count)]


def figure_2(setting: Setting) -> Iterator[Case]:
    for name, block in NAMED_BLOCKS.items():
        for mode in modes(MODES, setting.device):
            yield Case(f"{name}, {mode}", partial(timed, block, mode, setting))


def random_ones(setting: Setting, half: int) -> Iterator[Case]:
    """
    Args:
        half: 0 or 1, so that a part ends in time.
    """
    blocks = random_blocks(setting)
    for number in range(half, len(blocks), 2):
        for mode in modes(FEW_MODES, setting.device):
            name = f"random block {number}, {mode}"
            yield Case(name, partial(timed, blocks[number], mode, setting))


def modes(wanted: tuple[Mode, ...], device: torch.device) -> list[Mode]:
    """Those that the device has."""
    return [mode for mode in wanted if _has(device, mode)]


def timed(block: Block, mode: Mode, setting: Setting) -> Row:
    """Images a second of training alone, and the most memory that it took."""
    made = job(block, setting, setting.of(4096, 32))
    seconds: list[float] = []
    if setting.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(setting.device)

    def count(epoch: EpochResult) -> None:
        if epoch.epoch > 1:  # the first one chooses kernels and allocates memory
            seconds.append(epoch.seconds)
        if sum(seconds) >= setting.of(SECONDS, 0.0) and seconds:
            raise Enough

    data = made.data()
    few = replace(data, valid=data.valid.select(torch.arange(2)))
    fit(made, few, mode, count)
    row = {"images/s": round(made.images / statistics.median(seconds), 1)}
    if setting.device.type == "cuda":
        row["peak MiB"] = round(torch.cuda.max_memory_allocated(setting.device) / 2**20)
    return row


def fit(made: Job, data: ImageData, mode: Mode, on_epoch: Callable[[EpochResult], None]) -> None:
    """Train until :class:`Enough`, as a search's trial does."""
    recipe = replace(EARLY_STOP, batch_size=made.batch_size, restarts=0, milestones=())
    with suppress(Enough):
        train(
            made.network,
            data,
            replace(recipe, epochs=10_000),
            device=made.device,
            on_epoch=on_epoch,
            **mode._asdict(),
        )


def against_scripts(setting: Setting) -> Iterator[Case]:
    """The bare loop, `train` and the DataLoader script, as `training_speed.py` has them."""
    made = job(NAMED_BLOCKS["residual"], setting, setting.of(4096, 32))
    for name in setting.of(list(training_speed.arms(made)), ["bare loop", "ours"]):
        yield Case(name, partial(_arm, name, made, setting))


def _arm(name: str, made: Job, setting: Setting) -> Row:
    arm, data = training_speed.arms(made)[name], made.data()
    arm(made, data)
    repetitions = setting.of(3, 1)
    taken = [training_speed.seconds(arm, made, data) for _ in range(repetitions)]
    return {"images/s": round(made.images / statistics.median(taken), 1)}


def _has(device: torch.device, mode: Mode) -> bool:
    if mode.cuda_graphs and device.type != "cuda":
        return False
    try:
        check_precision(mode.precision, device)
    except ValueError:
        return False
    return True


def _of_length(count: int, rng: np.random.Generator) -> Block:
    space = SearchSpace(max_layers=max(count + 1, 2))
    layers: list[Layer] = []
    while len(layers) < count:
        last = layers[-1] if layers else None
        rows = [row for row in space.successors(last) if row.type != LayerType.TERMINAL]
        layers.append(rows[rng.integers(len(rows))])
    return Block(tuple(layers), space.encoding)
