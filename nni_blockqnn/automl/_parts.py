"""Which part of the images a training uses: a trial's, and a finalist's where time is short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from nni_blockqnn.data.outline import Outline
from nni_blockqnn.trials.training import WATCHED_IMAGES

_EPOCHS = (12, 8, 5, 3)
"""The recipe's, and what is left of it where time is short."""
_FEWEST_IMAGES, _FEWEST_OF_A_CLASS = 1_000, 20
"""That a trial trains on, if there are so many."""
_FEWEST_FINAL_IMAGES, _FEWEST_FINAL_OF_A_CLASS = 5_000, 50
"""That a finalist trains on, if there are so many."""
_FEWEST_VALIDATED, _MOST_VALIDATED = 1_000, 10_000
_MOST_VALIDATED_SHARE, _MOST_VALIDATED_WORK = 0.2, 0.15
"""Images that a training is validated on which does not use all: of the training images, and of the
time that its steps take. So many tell good blocks apart that a tenth of the limit does not
(docs/search_quality.md)."""
_VALIDATED = 1 / 3
"""A forward pass takes about a third of a training step's time."""
ENOUGH_FINAL_EPOCHS = 12
"""Of a long training; where time is short it gets so many of fewer images."""
HELD_OUT = 0.1
"""Of the training images, unless the data has a validation set."""


@dataclass(frozen=True)
class Data:
    """What of the data a schedule depends on.

    Attributes:
        images: training images, those to be held out included.
        classes: of them; 1 if each image has other targets than a class.
        validated: images of the data's own validation set; 0 if some are to be held out.
    """

    images: int
    classes: int
    validated: int = 0

    @classmethod
    def of(cls, outline: Outline) -> Data:
        return cls(outline.trained, len(outline.counts), outline.validated)

    def part(self, images: int | None, epochs: int) -> Part:
        """The images of a training that uses so many, None for all, and takes so many epochs."""
        if images is None or images >= self.images:
            held_out = 0 if self.validated else round(HELD_OUT * self.images)
            return Part(None, self.images - held_out, self.validated or held_out)
        available = self.validated or round(_MOST_VALIDATED_SHARE * self.images)
        affordable = round(_MOST_VALIDATED_WORK * epochs * images / _VALIDATED)
        wanted = max(_FEWEST_VALIDATED, min(_MOST_VALIDATED, affordable))
        validated = max(1, min(available, wanted))
        left = self.images if self.validated else self.images - validated
        return Part(images, min(images, left), validated)


class Part(NamedTuple):
    """The images that a training uses.

    Attributes:
        limit: as of its `--limit`; None if it uses all.
        trained: images that it trains on.
        validated: images that it is validated on: after each epoch if it uses all images,
            otherwise after the last, and after the others on a sample of them.
    """

    limit: int | None
    trained: int
    validated: int

    def steps(self, epochs: int) -> float:
        """What a training takes, in the time of one image's training step."""
        sample = self.validated
        if self.limit is not None:
            sample = min(sample, WATCHED_IMAGES)
        validated = (epochs - 1) * sample + self.validated
        return epochs * self.trained + _VALIDATED * validated

    @property
    def options(self) -> list[str]:
        """Of a trial."""
        if self.limit is None:
            return []
        return [f"--limit {self.limit}", f"--validation-images {self.validated}"]


def final_parts(data: Data, trial: Part) -> list[Part]:
    """The images of a long training: all, or fewer."""
    fewest = max(
        trial.limit or data.images, _FEWEST_FINAL_IMAGES, _FEWEST_FINAL_OF_A_CLASS * data.classes
    )
    return [data.part(count, ENOUGH_FINAL_EPOCHS) for count in _halved(data.images, fewest)]


def fidelities(data: Data) -> list[tuple[int, Part]]:
    """(epochs, images) of a trial, from the paper's to the shortest that is sensible."""
    images = _halved(data.images, max(_FEWEST_IMAGES, _FEWEST_OF_A_CLASS * data.classes))
    found = [(_EPOCHS[0], count) for count in images]
    # fewer epochs of more images say more than many epochs of the fewest
    found += [(epochs, count) for epochs in _EPOCHS[1:] for count in images[-2:]]
    ordered = sorted(set(found), key=lambda one: -one[0] * one[1])
    return [(epochs, data.part(count, epochs)) for epochs, count in ordered]


def _halved(images: int, fewest: int) -> list[int]:
    """All images, and halved until the fewest are reached."""
    counts = [images]
    while counts[-1] > 2 * fewest:
        counts.append(counts[-1] // 2)
    if counts[-1] > fewest:
        counts.append(fewest)
    return counts
