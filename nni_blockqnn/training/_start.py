"""One start of a training: a new network, what trains it, and its epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from nni_blockqnn.tasks import Task
from nni_blockqnn.training._batches import Batches, training_batches
from nni_blockqnn.training._graphs import record_passes
from nni_blockqnn.training._optimizers import make_optimizer
from nni_blockqnn.training.checkpoint import Checkpoint
from nni_blockqnn.training.device import autocast
from nni_blockqnn.training.distributed import World
from nni_blockqnn.training.errors import TrainingError
from nni_blockqnn.training.evaluation import measured
from nni_blockqnn.training.recipe import Recipe
from nni_blockqnn.training.results import EpochResult, best_epoch
from nni_blockqnn.training.streaming import StreamedBatches


@dataclass(frozen=True)
class Plan:
    """What all starts of a training share.

    Attributes:
        task: as it knows the data.
        sample: of the validation images, for all epochs but the last; None to take all of them.
        micro_batch: images that a process's network sees at once; steps come after whole batches.
        chance: score of a constant answer.
        on_epoch: called after each epoch.
        keep_best: whether the weights of the best epoch are kept beside those of the last one.
    """

    task: Task
    recipe: Recipe
    training: Batches | StreamedBatches
    validation: Batches | StreamedBatches
    sample: Batches | StreamedBatches | None
    chance: float
    device: torch.device
    precision: str
    cuda_graphs: bool
    micro_batch: int
    on_epoch: Callable[[EpochResult], None] | None
    checkpoint: Checkpoint | None
    keep_best: bool
    world: World


class Start:
    """One start: a new network and what trains it.

    Attributes:
        network: on the device, in channels-last memory.
        learning_rate: of the first epoch, lowered by the restarts before.
        micro_batch: images that the network sees at once.
        epochs: results so far.
    """

    def __init__(
        self, network: nn.Module, plan: Plan, restarts: int, generator: torch.Generator
    ) -> None:
        recipe = plan.recipe
        network = network.to(memory_format=torch.channels_last)
        self.network = plan.world.with_common_statistics(network)
        self.learning_rate = recipe.learning_rate * recipe.restart_factor**restarts
        self.micro_batch = plan.micro_batch
        self.epochs: list[EpochResult] = []
        self._plan = plan
        self._restarts = restarts
        self._generator = generator
        self._best_weights: dict[str, Any] = {}
        self._wrapped = plan.world.wrap(self.network)
        self._optimizer = make_optimizer(self.network, recipe, self.learning_rate)
        self._must_record = plan.cuda_graphs
        self._schedule = MultiStepLR(self._optimizer, list(recipe.milestones), recipe.factor)

    def run(self) -> bool:
        """Train the remaining epochs; False if the first one calls for a restart."""
        plan = self._plan
        for epoch in range(len(self.epochs) + 1, plan.recipe.epochs + 1):
            result = self._epoch(epoch)
            finite = math.isfinite(result.loss)
            may_restart = epoch == 1 and self._restarts < plan.recipe.restarts
            if not finite and not may_restart:
                raise _diverged(result)
            if plan.on_epoch is not None:
                plan.on_epoch(result)
            # a constant answer has exactly chance, which division need not give exactly
            if may_restart and not (finite and result.accuracy > plan.chance + 1e-9):
                return False
            self.epochs.append(result)
            if plan.keep_best and best_epoch(self.epochs) is result:
                weights = self.network.state_dict()
                self._best_weights = {name: value.clone() for name, value in weights.items()}
            if plan.checkpoint is not None and plan.world.first:
                plan.checkpoint.save(self._state())
        return True

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`_state` returned."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.epochs = [EpochResult(**epoch) for epoch in state["epochs"]]
        if len(state["generator"]) == len(self._generator.get_state()):
            self._generator.set_state(state["generator"])
        else:  # of another kind of device: from here on another order, but always the same
            self._generator.manual_seed(self._generator.initial_seed() + len(self.epochs))
        self._best_weights = state["best"]

    def go_back_to_best(self) -> None:
        self.network.load_state_dict(self._best_weights)

    def _state(self) -> dict[str, Any]:
        schedule = self._schedule.state_dict()
        progress = ("last_epoch", "_step_count", "_last_lr")
        return {
            "precision": self._plan.precision,
            "micro_batch": self._plan.micro_batch,
            "restarts": self._restarts,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": {name: schedule[name] for name in progress},
            "generator": self._generator.get_state(),
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best": self._best_weights,
        }

    def _epoch(self, epoch: int) -> EpochResult:
        began = time.perf_counter()
        plan = self._plan
        (learning_rate,) = self._schedule.get_last_lr()
        loss = self._fit()
        self._schedule.step()
        sample = plan.sample if epoch < plan.recipe.epochs else None
        validation = plan.validation if sample is None else sample
        found = measured(plan.task, self.network, validation, plan.micro_batch, plan.precision)
        seconds = time.perf_counter() - began
        rate = float(learning_rate)
        return EpochResult(
            *(epoch, loss, plan.task.score(found), rate, self._restarts, seconds),
            top5_accuracy=found.values.get("top5_accuracy"),
            class_accuracies=found.of_outputs,
            measured=dict(found.values),
            sampled=sample is not None,
        )

    def _fit(self) -> float:
        """Train one epoch and return its mean loss."""
        self.network.train()
        recipe, world = self._plan.recipe, self._plan.world
        # summed up on the device: reading a loss after each step would wait for the device
        total = torch.zeros((), device=self._plan.device)
        training = self._plan.training
        batches = training.shuffled(recipe.batch_size, self._generator, recipe.augment)
        whole = training_batches(torch.arange(len(training)), recipe.batch_size, world.size)
        counts = [len(batch) for batch in whole]
        for (images, targets), count in zip(batches, counts, strict=True):
            total += self._step(images, targets, count)
        world.equalise_buffers(self.network)
        world.sum_(total)
        return float(total) / sum(counts)

    def _step(self, images: Tensor, targets: Tensor, count: int) -> Tensor:
        """Take a step down the gradient of the batch's mean loss; return the sum of the losses.

        Args:
            images: this process's share of the batch.
            targets: likewise.
            count: images of the whole batch.
        """
        world = self._plan.world
        # as many parts in each process, which exchange something in every one of them
        parts = math.ceil(world.largest_share(count) / self._plan.micro_batch)
        if self._must_record and parts == 1:  # replays overwrite gradients, which parts add up
            record_passes(self.network, images, self._plan.precision)
            self._must_record = False
        total = torch.zeros((), device=self._plan.device)
        self._optimizer.zero_grad(set_to_none=True)
        # parts of nearly equal size: batch norm cannot normalise a last one of a single value
        for part, (some, answers) in enumerate(
            zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True), start=1
        ):
            last = part == parts
            with nullcontext() if last else world.without_exchange(self._wrapped):
                with autocast(self._plan.precision, self._plan.device):
                    outputs = self._wrapped(some)
                loss = self._plan.task.loss(outputs.float(), answers)
                # times the size, since the exchange takes the mean of all processes' gradients
                (loss * world.size / count).backward()
            total += loss.detach()
        self._optimizer.step()
        return total


def _diverged(result: EpochResult) -> TrainingError:
    became = "NaN" if math.isnan(result.loss) else "infinite"
    return TrainingError(
        f"loss became {became} in epoch {result.epoch} (learning rate {result.learning_rate:g}): "
        "lower the recipe's learning rate; if it happens to every block, look at the data"
    )
