"""A decoded data set as numpy arrays, before any of it is held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FileStamp = tuple[str, int, int]
"""A file's path, size in bytes and time of modification in nanoseconds."""


@dataclass(frozen=True)
class LabelledImages:
    images: np.ndarray
    """(N, C, H, W) uint8."""
    labels: np.ndarray
    """(N,) int64; of tasks other than classification (N, ...) of any type."""


@dataclass(frozen=True)
class Decoded:
    """All images of a data set."""

    train: LabelledImages
    test: LabelledImages
    valid: LabelledImages | None
    """The data set's own validation set; most have none."""
    class_names: tuple[str, ...]
    moments: np.ndarray
    """`channel_moments` of the training images."""
    notes: tuple[str, ...] = ()
    """Lines on how the data was read."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else a task knows of its data, as JSON values."""

    @classmethod
    def of(
        cls,
        train: LabelledImages,
        test: LabelledImages,
        class_names: Sequence[str],
        valid: LabelledImages | None = None,
        notes: Iterable[str] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> Decoded:
        moments = channel_moments(train.images)
        return cls(train, test, valid, tuple(class_names), moments, tuple(notes), facts or {})


@dataclass(frozen=True)
class Source:
    """A data set found on disk but not read yet.

    Attributes:
        name: name of the data set, for messages and for the cache.
        location: where it lies, and whatever else changes what is decoded. Two sources that differ
            here are cached side by side.
        stamps: state of the source's files now. When it changes, the cached arrays are out of date.
        decode: reads them.
        notes: lines on how the files were found, for those who use the data.
    """

    name: str
    location: str
    stamps: Callable[[], Iterable[FileStamp]]
    decode: Callable[[], Decoded]
    notes: tuple[str, ...] = ()


def stamps_of(files: Iterable[Path]) -> list[FileStamp]:
    return [(str(file), info.st_size, info.st_mtime_ns) for file in files for info in [file.stat()]]


def channel_moments(images: np.ndarray) -> np.ndarray:
    """Sum and sum of squares of each image's channels, (N, C, 2) int64.

    With a row for each image, mean and deviation of any selection follow exactly, without reading a
    pixel again.
    """
    count, channels = images.shape[:2]
    moments = np.empty((count, channels, 2), np.int64)
    for start in range(0, count, 256):  # a bounded piece: the pixels grow eightfold
        pixels = images[start : start + 256].astype(np.int64).reshape(-1, channels, _pixels(images))
        moments[start : start + 256, :, 0] = pixels.sum(axis=2)
        moments[start : start + 256, :, 1] = (pixels * pixels).sum(axis=2)
    return moments


def mean_and_std(
    moments: np.ndarray, pixels_per_image: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel, on the scale 0 to 1, from `channel_moments`."""
    sums, squares = moments.sum(axis=0).T / (len(moments) * pixels_per_image)
    std = np.sqrt(np.maximum(squares - sums**2, 0)) / 255
    std[std == 0] = 1  # an empty channel must not become a division by zero
    return tuple((sums / 255).tolist()), tuple(std.tolist())


def _pixels(images: np.ndarray) -> int:
    return int(images.shape[2] * images.shape[3])
