"""A pilot: some blocks, each trained both ways, so that a reward can be calibrated (docs/
calibration.md). No NNI; one training after the other, and a line in a file for each."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.data import ImageData
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.cost import Cost, estimate_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.tasks import CLASSIFICATION, Task
from nni_blockqnn.training import Checkpoint, EpochResult, Recipe, TrainingError, train
from nni_blockqnn.training.memory import fitting_micro_batch
from nni_blockqnn.trials.training import task_facts

EARLY_NAME, FINAL_NAME = "early-stop.jsonl", "final.jsonl"
_CHECKPOINT_NAME = "blockqnn-training.pt"


@dataclass(frozen=True)
class PilotTraining:
    """One training of a pilot.

    Attributes:
        log: the name of the file that its line goes to.
        seed: of weights, order and augmentation.
    """

    block: Block
    spec: NetworkSpec
    recipe: Recipe
    seed: int
    log: str

    @property
    def cost(self) -> Cost:
        return estimate_cost(self.block, self.spec)

    @property
    def work(self) -> int:
        """FLOPs of all epochs for one image."""
        return self.cost.flops * self.recipe.epochs


def pilot_trainings(
    blocks: Sequence[Block], spec: NetworkSpec, early: Recipe, final: Recipe, seed: int
) -> list[PilotTraining]:
    """All trainings in order, both of a block after each other, so that half a pilot has pairs.

    Final trainings have another seed than early ones: as in a search and what follows it, no luck
    of the weights is shared.
    """
    return [
        training
        for block in blocks
        for training in (
            PilotTraining(block, spec, early, seed, EARLY_NAME),
            PilotTraining(block, spec, final, seed + 1, FINAL_NAME),
        )
    ]


def run_pilot(
    folder: Path,
    trainings: Sequence[PilotTraining],
    data: ImageData,
    device: torch.device,
    *,
    task: Task = CLASSIFICATION,
    precision: str = "fp32",
    on_epoch: Callable[[PilotTraining, EpochResult], None],
    on_end: Callable[[PilotTraining, dict[str, Any]], None],
) -> None:
    """Run the trainings that have no line in the folder yet.

    A block that cannot be trained (its loss diverges, or memory does not suffice) gets a line with
    the reason as ``failure``. A training that was killed goes on from its last checkpoint.

    Args:
        folder: must exist.
        task: what the networks are for; default classification.
        on_epoch: called after each epoch.
        on_end: called with each finished training and its line, those of earlier runs first.

    Raises:
        OSError: if a line cannot be written.
    """
    lines = {log: dict(_finished(folder / log)) for log in (EARLY_NAME, FINAL_NAME)}
    for training in sorted(trainings, key=lambda one: one.block.key not in lines[one.log]):
        line = lines[training.log].get(training.block.key)
        if line is None:
            line = _trained(folder, training, data, device, task, precision, on_epoch)
            _append(folder / training.log, line)
            (folder / _CHECKPOINT_NAME).unlink(missing_ok=True)
        on_end(training, line)


def _trained(
    folder: Path,
    training: PilotTraining,
    data: ImageData,
    device: torch.device,
    task: Task,
    precision: str,
    on_epoch: Callable[[PilotTraining, EpochResult], None],
) -> dict[str, Any]:
    """The line of a training."""
    block, spec, cost = training.block, training.spec, training.cost
    line = {"block": block.to_json(), "encoding": block.encoding, "repeats": spec.repeats}
    identity = json.dumps([line, training.log, training.recipe.identity, training.seed])
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    batch_size = training.recipe.batch_size
    try:
        micro_batch = fitting_micro_batch(cost, batch_size, device, precision)
        result = train(
            lambda: build_network(block, spec),
            data,
            training.recipe,
            task=task,
            device=device,
            seed=training.seed,
            on_epoch=lambda epoch: on_epoch(training, epoch),
            checkpoint=Checkpoint(folder / _CHECKPOINT_NAME, fingerprint),
            precision=precision,
            micro_batch=micro_batch,
        )
    except TrainingError as error:
        return line | {"failure": str(error)}
    return line | {
        **task_facts(task),
        "accuracy": result.accuracy,
        "best_accuracy": result.best_accuracy,
        "flops": cost.flops,
        "params": cost.params,
        "density": block.density,
        "restarts": result.restarts,
        "seed": training.seed,
        "training_seconds": round(result.seconds, 3),
    }


def _finished(log: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and line of each training in a file, which loses a last line that a kill cut short."""
    if not log.exists():
        return
    content = log.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(log, len(whole))
    for number, text in enumerate(whole.decode().splitlines(), 1):
        try:
            line = json.loads(text)
            yield Block.parse(line["block"], encoding=line["encoding"]).key, line
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{log}, line {number} is damaged: expected what a pilot wrote there, a JSON "
                'object with "block" and "encoding"; delete the line, and its training is repeated'
            ) from None


def _append(log: Path, line: dict[str, Any]) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
