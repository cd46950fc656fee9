"""What trains, and how fast: cores, GPUs or other machines, trials at a time, seconds an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch

from nni_blockqnn.automl._hosts import Host, read_hosts
from nni_blockqnn.automl._sizing import Size
from nni_blockqnn.automl.request import Request, RequestError
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.common.cores import usable_cores
from nni_blockqnn.data import ImageData
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.exchange.parameters import TrialTask
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.equal_cost import CostTarget, equal_cost
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.training import TrainingArguments
from nni_blockqnn.training.speed import image_milliseconds
from nni_blockqnn.trials.estimate import training_seconds

_TRIALS_ON_A_GPU = 2
_RANDOM_BLOCKS = 2
"""Timed beside the hand-made ones, since a deep narrow network is slower than its cost says."""
_MOST_DRAWN = 200
_ROUND_SECONDS = 0.6
_VALIDATED = 1 / 3
"""A forward pass takes about a third of a training step's time."""


@dataclass(frozen=True)
class Machine:
    """What a search uses of this machine, or of others.

    Attributes:
        gpus: GPUs in use; 0 trains on the CPU. With hosts, what is timed here.
        at_a_time: trials at a time.
        threads: CPU threads of a trial; None on a GPU, where PyTorch chooses.
        hosts: other machines, on which all trials run.
    """

    gpus: int
    at_a_time: int
    threads: int | None
    hosts: tuple[Host, ...] = ()

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    @property
    def trials_with_a_gpu(self) -> bool:
        """Whether each trial gets a GPU of its own; otherwise all share the first one."""
        return any(host.gpus > 1 for host in self.hosts) if self.hosts else self.gpus > 1


def machine_for(request: Request) -> Machine:
    """The machine as the request wants to use it.

    Raises:
        RequestError: if it wants more GPUs than there are, or names other machines wrongly.
    """
    found = torch.cuda.device_count()
    if request.remote is not None:
        hosts = read_hosts(request.remote)
        at_a_time = request.concurrency or sum(host.gpus for host in hosts)
        return Machine(min(found, 1), at_a_time, None if found else usable_cores(), hosts)
    gpus = found if request.gpus is None else request.gpus
    if gpus > found:
        raise RequestError(f"gpus must be from 0 to {found}, which PyTorch sees here, got {gpus}")
    if gpus:
        at_a_time = request.concurrency or (gpus if gpus > 1 else _TRIALS_ON_A_GPU)
        return Machine(gpus, at_a_time, None)
    cores = usable_cores()
    at_a_time = request.concurrency or cores
    return Machine(0, at_a_time, max(1, cores // at_a_time))


def seconds_an_image(size: Size, data: ImageData, outline: Outline, machine: Machine) -> float:
    """Seconds for one image of one epoch, its share of the validation included.

    The mean over the hand-made blocks and a few random ones at this cost. Takes some ten seconds.

    Raises:
        ValueError, TrainingError: as a training, for example if a GPU's memory is too small.
    """
    arguments = TrainingArguments(
        outline.dataset,
        task=outline.task,
        device=machine.device,
        threads=machine.threads,
        batch_size=64,
        epochs=1,
    )
    images = len(data.train) + _VALIDATED * len(data.valid)
    return fmean(
        training_seconds(task, arguments, data, _ROUND_SECONDS) / images for task in _tasks(size)
    )


def milliseconds_an_image(size: Size, machine: Machine) -> float:
    """Milliseconds that an image takes through the hand-made blocks' networks, in batches of 32."""
    threads = torch.get_num_threads()
    try:
        if machine.threads is not None:
            torch.set_num_threads(machine.threads)
        return fmean(
            image_milliseconds(
                build_network(block, size.of_block(name)).to(machine.device), size.spec.input_shape
            )
            for name, block in NAMED_BLOCKS.items()
        )
    finally:
        torch.set_num_threads(threads)


def _tasks(size: Size) -> list[TrialTask]:
    named = [TrialTask(block, size.of_block(name), None) for name, block in NAMED_BLOCKS.items()]
    return named + _random_tasks(size)


def _random_tasks(size: Size) -> list[TrialTask]:
    space, rng = SearchSpace(), np.random.default_rng(0)
    target = CostTarget("flops", size.flops)
    tasks: list[TrialTask] = []
    for _ in range(_MOST_DRAWN):
        block: Block = space.random_block(rng)
        spec = equal_cost(block, size.spec, target)
        if spec is not None:
            tasks.append(TrialTask(block, replace(spec), None))
        if len(tasks) == _RANDOM_BLOCKS:
            break
    return tasks
