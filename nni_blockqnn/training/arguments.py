"""Everything that a training needs to be told, as one value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch

from nni_blockqnn.common.checks import LARGEST_SEED, checked_integer, is_integer
from nni_blockqnn.common.cores import usable_cores
from nni_blockqnn.common.messages import alternatives, shown
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data import ImageData
from nni_blockqnn.data.load import VALIDATIONS
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.tasks import CLASSIFICATION, Task, find_task
from nni_blockqnn.training.device import PRECISIONS
from nni_blockqnn.training.recipe import RECIPES, Recipe, find_recipe

DEFAULT_DATA_DIR = Path("~/.cache/nni-blockqnn/data")
MOST_WORKERS = 16
"""By default; each keeps two batches in shared memory, some 80 MB at ImageNet's size and batch 256.
"""
MOST_PROCESSES = 1024
"""Threads, or workers. A hundred times as many are a segmentation fault in OpenMP's library."""

RECIPE_FIELDS = (
    "recipe",
    "epochs",
    "batch_size",
    "learning_rate",
    "optimizer",
    "milestones",
    "factor",
    "weight_decay",
    "momentum",
)
"""The fields of :class:`TrainingArguments` that choose a recipe and change it."""


@dataclass(frozen=True)
class TrainingArguments:
    """What a training is told: its data, its recipe, its device.

    Every field but `dataset` has a default. The command line of a trial and of ``blockqnn train``
    has an option for each of them; :func:`dataclasses.replace` makes variations.

    Attributes:
        dataset: one of the task's (of classification, those in
            :data:`nni_blockqnn.data.load.DATASETS`), or ``module:function``.
        data_dir: where the data lies or is downloaded to; default ``~/.cache/nni-blockqnn/data``.
        validation: "holdout" (default) validates on 10 % of the training set, "test" on the test
            set.
        validation_images: held out instead, of all training images and beside `limit`, or used of
            the data's own validation set; 1,000 of them validate all epochs but the last. Default
            None, a tenth of `limit` or of all, or all of the data's own, after every epoch.
        limit: training images used, a stratified sample; default None, all. Those held out are
            among them unless `validation_images` are given.
        workers: processes that decode images, 1024 at most; 0 decodes in the training's own
            process. Default None: `threads`, or the CPU's cores, at most 16.
        test: whether to read the test set once training is over; default False.
        task: a name in :data:`nni_blockqnn.tasks.TASKS` (default "classification"), or
            ``module:function`` of one of the user's own (docs/tasks.md).
        recipe: a name in :data:`nni_blockqnn.training.RECIPES` (default "early-stop"), or
            ``module:function`` of a function without arguments that returns a :class:`Recipe`.
        epochs: shortens or lengthens the recipe, its milestones in proportion; default None, the
            recipe's own number. So for the next seven fields.
        batch_size: images a step.
        learning_rate: of the first epoch.
        optimizer: "adam" or "sgd".
        milestones: epochs (of this training, not of the recipe) after which the learning rate is
            multiplied by `factor`; () keeps it constant.
        factor: above 0.
        weight_decay: L2 penalty, 0 or more.
        momentum: of "sgd", from 0 to below 1.
        seed: of weights, order, augmentation, hold-out and `limit`; 0 (default) to 2**32 - 1.
        device: "auto" (default: a GPU if there is one), "cpu", "cuda", "cuda:N" or "mps".
        precision: "fp32" (default), "tf32" or "bf16" (docs/training.md).
        deterministic: hold a GPU to the same kernels at each run; default False, the fastest ones.
        cuda_graphs: replay recorded passes of the network on a GPU; default False.
        threads: CPU threads, 1024 at most; default None, one for each core that this process may
            use, shared with the trials beside it.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """

    dataset: str
    data_dir: Path = DEFAULT_DATA_DIR
    validation: str = "holdout"
    validation_images: int | None = None
    limit: int | None = None
    workers: int | None = None
    test: bool = False
    task: str = CLASSIFICATION.name
    recipe: str = "early-stop"
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    optimizer: str | None = None
    milestones: tuple[int, ...] | None = None
    factor: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "fp32"
    deterministic: bool = False
    cuda_graphs: bool = False
    threads: int | None = None

    IDENTIFYING: ClassVar[tuple[str, ...]] = (
        *("task", "dataset", "validation", "validation_images", "limit", *RECIPE_FIELDS),
        *("seed", "precision", "deterministic", "cuda_graphs"),
    )
    """The fields that a training's result depends on, by which a folder knows it again."""

    DEFAULTS: ClassVar[Mapping[str, Any]]
    """The values of those fields that :attr:`identity` leaves out."""

    def __post_init__(self) -> None:
        datasets = self.chosen_task().datasets
        for name, known in (("dataset", datasets), ("recipe", tuple(RECIPES))):
            value = getattr(self, name)
            if value not in known and not (isinstance(value, str) and is_reference(value)):
                raise ValueError(
                    f"{name} must be {alternatives([*known, 'module:function'])}, "
                    f"got {shown(value)}"
                )
        for name, known in (("validation", VALIDATIONS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be {alternatives(known)}, got {shown(getattr(self, name))}"
                )
        if not (is_integer(self.seed) and 0 <= self.seed <= LARGEST_SEED):
            raise ValueError(
                f"seed must be an integer from 0 to {LARGEST_SEED}, got {shown(self.seed)}"
            )
        for name in ("limit", "validation_images"):
            value = getattr(self, name)
            if value is not None and not (is_integer(value) and value >= 1):
                raise ValueError(f"{name} must be an integer from 1, got {shown(value)}")
        if self.validation_images is not None and self.validation != "holdout":
            raise ValueError(
                f"validation_images are held out, and validation is {self.validation!r}: give one "
                "of them"
            )
        for name, lowest in (("workers", 0), ("threads", 1)):
            if getattr(self, name) is not None:
                checked_integer(name, getattr(self, name), lowest, MOST_PROCESSES)

    @property
    def identity(self) -> dict[str, Any]:
        """The fields of `IDENTIFYING` that are not at their default, as JSON values.

        An option that a later version adds is at its default in all trainings before it, so it
        changes no identity. A recipe of the user's own is also compared by its values, since its
        code may have been edited.
        """
        values = {name: getattr(self, name) for name in self.IDENTIFYING}
        own = {"own_recipe": find_recipe(self.recipe).identity} if is_reference(self.recipe) else {}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in (values | own).items()
            if name not in self.DEFAULTS or value != self.DEFAULTS[name]
        }

    def chosen_task(self) -> Task:
        """The task of that name.

        Raises:
            ValueError: if there is none, or it cannot be loaded.
        """
        return find_task(self.task)

    def chosen_recipe(self) -> Recipe:
        """The recipe of that name, with what the other fields change in it.

        Raises:
            ValueError: naming the value that is wrong.
        """
        recipe = find_recipe(self.recipe)
        if self.epochs is not None:
            recipe = recipe.shortened(self.epochs)
        changes = {name: getattr(self, name) for name in RECIPE_FIELDS[2:]}
        recipe = replace(recipe, **{name: v for name, v in changes.items() if v is not None})
        if self.momentum is not None and recipe.optimizer != "sgd":
            raise ValueError(
                f"momentum is of the optimizer sgd, and this one is {recipe.optimizer}"
            )
        if self.milestones and self.milestones[-1] >= recipe.epochs:
            raise ValueError(
                f"milestones must lie before the last of {recipe.epochs} epochs, "
                f"got {self.milestones[-1]}"
            )
        return recipe

    def load_data(self, spec: NetworkSpec, processes: int = 1) -> ImageData:
        """The data, as the network takes it.

        Args:
            processes: that share the CPU's cores, of this training and of others, each with
                workers of its own.

        Raises:
            DataError: as :func:`nni_blockqnn.data.load_dataset`.
            ValueError: if the recipe is wrong, its batches are too small for the network, or the
                network's outputs are not what the task takes.
        """
        recipe, workers = self.chosen_recipe(), self.workers
        if workers is None:
            workers = min(self.threads or _cores_each(processes), MOST_WORKERS)
        task = self.chosen_task()
        task.check_network(spec)
        options: dict[str, Any] = {}
        if self.validation_images is not None:  # which a task written before may not know
            options["validation_images"] = self.validation_images
        data = task.load_data(
            self.dataset,
            self.data_dir,
            image_shape=spec.input_shape,
            classes=spec.classes,
            validation=self.validation,
            seed=self.seed,
            limit=self.limit,
            workers=workers,
            **options,
        )
        if spec.stage_sizes[-1] == (1, 1) and min(recipe.batch_size, len(data.train)) == 1:
            raise ValueError(
                "batch_size must be at least 2 for this network, got 1: its last feature maps are "
                "1x1, and batch normalisation cannot normalise a single value; a larger "
                "input_shape or fewer filters (one fewer stage) would do as well"
            )
        return data

    def chosen_threads(self, processes: int = 1, trials: int = 1) -> int | None:
        """CPU threads to compute with; None for as many as PyTorch takes by itself.

        What else keeps the cores busy does not count: the same seed would give other weights.

        Args:
            processes: of one training, that share the CPU's cores.
            trials: of one search, that do so too.
        """
        if self.threads is not None:
            return self.threads
        share = _cores_each(processes * trials)
        given = os.environ.get("OMP_NUM_THREADS")
        if given is None:
            return share if share < torch.get_num_threads() else None
        # torchrun sets OMP_NUM_THREADS=1 where it was not set, which leaves the other cores idle
        return share if processes > 1 and given == "1" else None


TrainingArguments.DEFAULTS = MappingProxyType(
    {
        field.name: field.default
        for field in fields(TrainingArguments)
        if field.name in TrainingArguments.IDENTIFYING and field.name != "dataset"
    }
)


def _cores_each(processes: int) -> int:
    return max(usable_cores() // processes, 1)
