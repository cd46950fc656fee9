"""Training with the paper's restart rule (BlockQNN, arXiv 1708.05552, Section 4.2)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from nni_blockqnn.data import AnySplit, ImageData
from nni_blockqnn.tasks import CLASSIFICATION, Task
from nni_blockqnn.training._graphs import check_graphs
from nni_blockqnn.training._start import Plan, Start
from nni_blockqnn.training.checkpoint import Checkpoint
from nni_blockqnn.training.device import check_precision, kernels
from nni_blockqnn.training.distributed import ALONE, World
from nni_blockqnn.training.errors import memory_errors_explained, ran_out_of_memory, too_large
from nni_blockqnn.training.memory import free_memory, halved
from nni_blockqnn.training.recipe import Recipe
from nni_blockqnn.training.results import EpochResult, TrainingResult, best_epoch
from nni_blockqnn.training.streaming import batches_of


def train(
    make_network: Callable[[], nn.Module],
    data: ImageData,
    recipe: Recipe,
    *,
    task: Task = CLASSIFICATION,
    device: torch.device,
    seed: int = 0,
    on_epoch: Callable[[EpochResult], None] | None = None,
    checkpoint: Checkpoint | None = None,
    keep_best: bool = False,
    sample: AnySplit | None = None,
    precision: str = "fp32",
    deterministic: bool = False,
    cuda_graphs: bool = False,
    micro_batch: int | None = None,
    world: World = ALONE,
) -> TrainingResult:
    """Train a network on `data.train` and validate it on `data.valid` after each epoch.

    If the first epoch is not better than chance (accuracy <= 100 / classes; of other tasks, the
    score of a constant answer if they have one; or a loss that is not finite), the training starts
    anew with a new network, other random numbers and a smaller learning rate, at most
    `recipe.restarts` times; after that it goes on whatever the accuracy.

    If a batch does not fit into memory, it starts anew too, each time with half the micro-batch,
    down to :data:`nni_blockqnn.training.memory.SMALLEST_MICRO_BATCH`.

    Args:
        make_network: builds a freshly initialised network, once for each start; it draws from
            PyTorch's global generator, which is seeded for it and put back at the end.
        data: copied to the device whole, as bytes, or streamed from its files.
        task: what the network is trained for; default classification.
        seed: of weights, order and augmentation. The same seed gives the same result on the same
            CPU, and on the same GPU if `deterministic`.
        on_epoch: called after each epoch, those before a restart or before memory ran out
            included, but not for those that a checkpoint brings.
        checkpoint: written after epochs; the training continues from it if it exists and has this
            precision, with the same result.
        keep_best: end with the weights of the epoch of the best validation accuracy, the latest of
            several; not for a validation set that is the test set.
        sample: of the validation images, on which all epochs but the last are validated; default
            None, on all.
        precision: "fp32", "tf32" or "bf16" (docs/training.md).
        deterministic: hold cuDNN to the same kernels at each run, where it would take the fastest.
        cuda_graphs: record the network's passes over a batch once and replay them, which spares a
            GPU the wait for each kernel's launch; not where micro-batches make up a batch.
        micro_batch: images that the network sees at once, to begin with; a batch if not given. The
            gradient is that of the whole batch's mean loss, but batch normalisation takes each
            micro-batch's own statistics.
        world: the processes that share the training; `recipe.batch_size` and what is said of a
            batch here are those of all of them, `micro_batch` is one process's. All end with equal
            weights; the first one alone writes the checkpoint.

    Raises:
        ValueError: if the device does not support the precision or `cuda_graphs`, or if a process
            would have fewer than two images of a batch.
        TrainingError: if the loss is not finite, or the device runs out of memory.
        DataError: if an image that is streamed is broken.
    """
    began = time.perf_counter()
    check_precision(precision, device)
    if cuda_graphs:
        check_graphs(device, world)
    _check_shares(world, data if sample is None else replace(data, valid=sample), recipe)
    saved = world.of_first(checkpoint.load() if checkpoint and world.first else None)
    if saved and saved["precision"] != precision:
        saved = None
    with kernels(precision, deterministic=deterministic):
        with memory_errors_explained(recipe.batch_size, device):
            task = task.knowing(data.class_names, data.facts)
            training = batches_of(data.train, data.mean, data.std, device, world, task.augment)
            validation = batches_of(data.valid, data.mean, data.std, device, world)
            few = None
            if sample is not None:
                few = batches_of(sample, data.mean, data.std, device, world)
        whole = world.largest_share(recipe.batch_size)
        # a checkpoint may be of fewer processes, a machine may have less memory than the others
        chosen = saved["micro_batch"] if saved else micro_batch
        plan = Plan(
            task=task,
            recipe=recipe,
            training=training,
            validation=validation,
            sample=few,
            chance=task.chance(data),
            device=device,
            precision=precision,
            cuda_graphs=cuda_graphs,
            micro_batch=world.least(min(chosen or whole, whole), device),
            on_epoch=on_epoch,
            checkpoint=checkpoint,
            keep_best=keep_best,
            world=world,
        )
        start, restarts = _run_within_memory(make_network, plan, seed, saved)
    if keep_best:
        start.go_back_to_best()
    epochs = start.epochs
    best = best_epoch(epochs)
    return TrainingResult(
        network=start.network.eval(),
        accuracy=epochs[-1].accuracy,
        best_accuracy=best.accuracy,
        kept_epoch=(best if keep_best else epochs[-1]).epoch,
        restarts=restarts,
        learning_rate=start.learning_rate,
        epochs=epochs,
        seconds=time.perf_counter() - began,
        micro_batch=start.micro_batch,
    )


def _check_shares(world: World, data: ImageData, recipe: Recipe) -> None:
    fewest = min(recipe.batch_size, len(data.train), 2 * len(data.valid))
    if world.size > 1 and fewest < 2 * world.size:
        raise ValueError(
            f"{world.size} processes need batches of at least {2 * world.size} images, and as many "
            f"training images, and {world.size} validation images; there are batches of "
            f"{recipe.batch_size}, {len(data.train)} and {len(data.valid)}: use fewer processes"
        )


def _run_within_memory(
    make_network: Callable[[], nn.Module], plan: Plan, seed: int, saved: dict[str, Any] | None
) -> tuple[Start, int]:
    """As :func:`_run`, but with half the micro-batch each time that memory runs out."""
    while True:
        try:
            return _run(make_network, plan, seed, saved)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            half = halved(plan.micro_batch)
            # several processes cannot start anew: the others wait for this one's gradients
            if half is None or plan.world.size > 1:
                raise too_large(plan.recipe.batch_size, plan.device, plan.micro_batch) from error
        # only here, where the error and all that its frames held on to are gone
        free_memory(plan.device)
        warnings.warn(
            f"out of memory with {plan.micro_batch} images at once: the training starts anew "
            f"in micro-batches of {half}",
            stacklevel=3,
        )
        plan, saved = replace(plan, micro_batch=half), None


def _run(
    make_network: Callable[[], nn.Module], plan: Plan, seed: int, saved: dict[str, Any] | None
) -> tuple[Start, int]:
    """Start until a first epoch beats chance, and train; the last start and its restarts."""
    first = saved["restarts"] if saved else 0
    for restarts in range(first, plan.recipe.restarts + 1):
        with _seeded(seed, restarts, plan.device) as generator:
            start = Start(make_network().to(plan.device), plan, restarts, generator)
            if saved and restarts == first:
                start.restore(saved)
            if start.run():
                break
    return start, restarts


@contextmanager
def _seeded(seed: int, restarts: int, device: torch.device) -> Iterator[torch.Generator]:
    """Seeds PyTorch's global generator for a while; yields one for order and augmentation."""
    weights, order = np.random.SeedSequence([seed, restarts]).generate_state(2)
    generator = torch.Generator(device=device).manual_seed(int(order))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(weights))
        yield generator
