"""What a training is for: data, outputs, loss and measures. Everything else is alike for all tasks.

A task of one's own inherits from :class:`Task` and is named as ``--task module:function``, of a
function (or class) without arguments that returns it (docs/tasks.md).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from nni_blockqnn.common.messages import shown
from nni_blockqnn.data import ImageData
from nni_blockqnn.data.targets import LabelledImages, Reader, as_they_are, load_targets
from nni_blockqnn.network.measure import Measure
from nni_blockqnn.network.spec import NetworkSpec

if TYPE_CHECKING:
    from PIL.Image import Image

Share = Callable[[Tensor], Tensor]
"""Of something that has a row for each image of a batch, the rows of this process."""
Augment = Callable[[Tensor, Tensor, torch.Generator, Share], tuple[Tensor, Tensor]]
"""Changes images and targets of a batch; see :attr:`Task.augment`."""


@dataclass(frozen=True)
class Measured:
    """What a task measured on images.

    Attributes:
        values: by the names of the task's measures, in their units; the first one is always there.
        of_outputs: the first measure of each class, key point and so on, None for one that no image
            has; empty if it makes no sense. Default empty.
        interval: in which the score lies with 95 % confidence, as other images may have it; None
            (default) if nobody asked.
    """

    values: Mapping[str, float]
    of_outputs: tuple[float | None, ...] = ()
    interval: tuple[float, float] | None = None


class Place(NamedTuple):
    """Where the network's input was cut out of an image.

    Attributes:
        left, top: pixels of the image.
        scale: pixels of the input over pixels of the image.
    """

    left: float
    top: float
    scale: float


@runtime_checkable
class Task(Protocol):
    """A task. Inherit from it: only what has no default must be given.

    Attributes:
        name: for messages, metrics and ``network.json``; one of the user's own is named
            ``module:function`` there.
        measures: what is measured. By the first one, epochs and networks are compared: metrics have
            it under its own name, and turned so that more is better as "accuracy".
        output: what the network gives: a "vector" (B, classes) for each image (default), or "maps"
            (B, classes, h, w), which is the frame "upsample".
        outputs: what the network's outputs are, in the plural; default "outputs".
        network: fields of :class:`NetworkSpec` that its networks need whatever their size, such as
            poolings of the stem; default none. The frame follows from `output`.
        readers: what reads the data sets that it knows by name, beside ``module:function``; default
            none.
        final_recipe: the recipe of ``blockqnn train`` if none is given; default "final".
        augment: how a batch is changed where the recipe augments; default None: random crops and
            flips of the images, which leave the targets as they are. Otherwise a method that takes
            images (B, C, H, W) uint8, their targets, a generator on their device, and `share`: it
            draws for all images, and returns images and targets of this process's share.
    """

    name: str
    measures: tuple[Measure, ...]
    output: Literal["vector", "maps"] = "vector"
    outputs: str = "outputs"
    network: Mapping[str, Any] = MappingProxyType({})
    readers: Mapping[str, Reader] = MappingProxyType({})
    final_recipe: str = "final"
    augment: Augment | None = None

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the data sets that it knows."""
        return tuple(self.readers)

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The sum of the losses of a batch's images.

        Args:
            outputs: of the network, float32: (B, classes) or (B, classes, h, w).
            targets: (B, ...), as the data has them.
        """

    @abstractmethod
    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """All that measuring needs to know of each image: (B, S) numbers, on the outputs' device.

        Args:
            outputs, targets: as for :meth:`loss`.
        """

    @abstractmethod
    def measure(self, judged: Tensor, targets: Tensor) -> Measured:
        """What all images' numbers come to.

        Args:
            judged: (N, S) float32 on the CPU, from :meth:`judge`.
            targets: (N, ...) on the CPU.
        """

    def load_data(
        self,
        dataset: str,
        data_dir: Path | None,
        *,
        image_shape: tuple[int, int, int] | None = None,
        classes: int | None = None,
        validation: str = "holdout",
        validation_images: int | None = None,
        seed: int = 0,
        limit: int | None = None,
        workers: int = 0,
    ) -> ImageData:
        """The data, as :func:`nni_blockqnn.data.load_dataset` has it; by default what one of
        `readers` reads, or a function ``module:function`` returns.

        Raises:
            DataError: naming what is wrong and what to do.
        """
        return load_targets(
            dataset,
            data_dir,
            image_shape=image_shape,
            classes=classes,
            validation=validation,
            validation_images=validation_images,
            seed=seed,
            limit=limit,
            readers=self.readers,
            adapt=self.own_targets,
        )

    def own_targets(
        self, what: str, part: LabelledImages, names: Sequence[str] | None
    ) -> tuple[np.ndarray, Sequence[str]]:
        """The targets that a function ``module:function`` returned, as this task has them, and a
        name for each of the network's outputs; by default any array, with an output a column.

        Args:
            what: the beginning of a message.
            part: images (N, C, H, W) and the targets as they came, a row for each.
            names: that the function gave; None if it gave none.

        Raises:
            DataError: naming what is wrong with them.
        """
        return as_they_are(what, part, names)

    def image_shape(self, dataset: str, data_dir: Path) -> tuple[int, int, int] | None:
        """What the images of a data set are like, before anything brings them to a network's input.

        ``blockqnn search`` asks, to choose an input of about that proportion and not larger.

        Returns:
            (channels, height, width) that suits most of them, as the `readers` say; None if they
            have one size, which :meth:`load_data` finds if no `image_shape` is given.

        Raises:
            DataError: as :meth:`load_data`.
        """
        return self.readers[dataset].usual_shape(data_dir) if dataset in self.readers else None

    def score_of(self, judged: Tensor, targets: Tensor) -> float:
        """The score of images, as :meth:`measure` has it, for intervals: it is asked for a thousand
        times. To override if the first measure alone is found much faster.

        Args:
            judged, targets: as for :meth:`measure`.
        """
        return self.score(self.measure(judged, targets))

    def knowing(self, names: Sequence[str], facts: Mapping[str, Any]) -> Task:
        """The task as it knows its data, such as which key points are left and right; by default
        itself.

        Args:
            names: of the outputs.
            facts: :attr:`ImageData.facts`.
        """
        return self

    def answer(self, outputs: Tensor, place: Place) -> dict[str, Any]:
        """What ``blockqnn predict`` says of an image, as JSON values; by default the outputs.

        Args:
            outputs: of the image, (1, classes) or (1, classes, h, w).
            place: where the network's input was cut out of the image.
        """
        return {"outputs": outputs[0].tolist()}

    def draw(self, image: Image, outputs: Tensor, place: Place) -> None:
        """Draw the answer into the image; by default, nothing can be drawn.

        Args:
            image: RGB, of the size that it has in its file.
            outputs, place: as for :meth:`answer`.

        Raises:
            ValueError: if the task draws nothing.
        """
        raise ValueError(f"task {self.name} draws nothing: leave --draw out")

    def chance(self, data: ImageData) -> float:
        """The score of a constant answer; a first epoch that is not better calls for a restart.

        By default minus infinity: only a loss that is not finite does.
        """
        return -math.inf

    def check_network(self, spec: NetworkSpec) -> None:
        """Check that the network's outputs are what the task takes.

        Raises:
            ValueError: naming the frame and what is allowed.
        """
        if spec.output != self.output:
            kind = "maps: the frame upsample" if self.output == "maps" else "no maps"
            raise ValueError(
                f"task {self.name} needs a network that gives {kind}; its frame is {spec.frame}"
            )

    @property
    def main(self) -> Measure:
        """The first measure."""
        return self.measures[0]

    def score(self, measured: Measured) -> float:
        """The first measure, turned so that more is better.

        Raises:
            ValueError: if it was not measured.
        """
        if self.main.name not in measured.values:
            raise ValueError(
                f"task {self.name} must measure {self.main.name}, its first measure, got "
                f"{shown(measured.values)}"
            )
        return self.main.score(measured.values[self.main.name])
