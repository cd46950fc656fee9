"""Key points in COCO's format: each labelled person is cut out of its image by its box."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from nni_blockqnn.common.messages import shown
from nni_blockqnn.data._arrays import Decoded, LabelledImages, Source, stamps_of
from nni_blockqnn.data._cache import cached
from nni_blockqnn.data.errors import DataError, one_line
from nni_blockqnn.data.image_files import open_image

COCO = "coco"
EXTRA_ROWS = 2
"""Of a target, behind its key points: see :func:`target`."""
COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""Of COCO's 17 key points, as pycocotools has them."""
OTHER_SIGMA = 0.08
"""Of other key points, if the file does not say it; about the mean of COCO's."""
_PARTS = ("train", "val", "test")
_PADDING = 1.25
"""A box is made so much larger (Xiao et al., arXiv 1804.06208)."""
_SHARE_OF_BOX = 0.2
"""The reference length where there is no head size, of the longer side of the box: half of it is
the 0.1 of PCK@0.1."""
_ADVICE = (
    "expected DIR/train.json and DIR/val.json with their images in DIR/images, or COCO's own "
    "DIR/annotations/person_keypoints_train2017.json with DIR/train2017"
)


class Person(NamedTuple):
    """One annotation.

    Attributes:
        points: (K, 3): x, y in pixels of the image, and COCO's visibility: 0 not labelled, 1
            labelled but hidden, 2 visible.
        box: left, top, width, height.
        area: of the person, in pixels.
        length: what a distance is measured by, in pixels: the head's size.
    """

    file: Path
    image: int
    points: np.ndarray
    box: tuple[float, float, float, float]
    area: float
    length: float


@dataclass(frozen=True)
class _Part:
    """One file of annotations."""

    path: Path
    people: list[Person]
    names: tuple[str, ...]
    facts: Mapping[str, Any]


def load_coco(data_dir: Path, image_shape: tuple[int, int, int] | None) -> Decoded:
    """The people of ``train``, ``val`` and ``test``, cut out and decoded once.

    Without ``test``, whose annotations COCO keeps to itself, ``val`` is the test set.

    Args:
        image_shape: (3, height, width) of what is cut out: a person's box, made a quarter larger
            and brought to that proportion; black where the image ends.

    Raises:
        DataError: naming what is missing, broken or does not fit together.
    """
    if image_shape is None:
        raise DataError(f"{COCO}: the network's input_shape is missing, to which people are cut")
    parts = _read_all(data_dir)
    files = {person.file for part in parts.values() for person in part.people}
    stamped = sorted({*files, *(part.path for part in parts.values())})
    return cached(
        Source(
            COCO,
            f"{data_dir} {image_shape}",
            lambda: stamps_of(stamped),
            lambda: _decode(parts, image_shape),
        )
    )


def usual_person_shape(data_dir: Path) -> tuple[int, int, int]:
    """(3, height, width) of what is cut out for most people of the training set: the medians.

    Raises:
        DataError: as :func:`load_coco`.
    """
    boxes = [person.box for person in _read_all(data_dir)["train"].people]
    width, height = (round(_PADDING * median(box[side] for box in boxes)) for side in (2, 3))
    return 3, height, width


def target(
    points: np.ndarray,
    area: float,
    length: float,
    image: int,
    corner: Sequence[float],
    scale: float,
) -> np.ndarray:
    """(K + 2, 3) float32: a person's key points as a network sees them, and two rows behind them.

    Args:
        points: (K, 3): x and y in pixels of the image, and the visibility.
        area, length: of the :class:`Person`.
        image: its number.
        corner: x and y of what is cut out, in the image.
        scale: pixels of what is cut out over pixels of the image, in x and in y.

    The first row behind them is the area, the length and the image's number; the second one the
    corner's x and y, and the scale.
    """
    seen = points.astype(np.float64)
    # of pixels' centres: 0 is the middle of the first one, in the image and in what is cut out
    seen[:, :2] = (points[:, :2] + 0.5 - corner) * scale - 0.5
    more = [[area, length, image], [*corner, scale]]
    return np.concatenate([seen, more]).astype(np.float32)


def in_image(points: Any, corner: Any, scale: Any) -> Any:
    """x and y of what is cut out as those of the image: the way back of :func:`target`.

    Args:
        points: (..., 2), NumPy's or PyTorch's; and so the others, of shapes that go with it.
    """
    return (points + 0.5) / scale + corner - 0.5


def _read_all(data_dir: Path) -> dict[str, _Part]:
    """The annotations for "train", "test" and perhaps "val", of the same key points."""
    parts = {part: _read(path, data_dir, part) for part, path in _files(data_dir).items()}
    if "test" not in parts and "val" in parts:
        parts["test"] = parts.pop("val")
    for part, wanted in (("train", "train"), ("test", "val or test")):
        if part not in parts:
            raise DataError(f"{COCO}: {data_dir} has no annotations for {wanted}: {_ADVICE}")
    train = parts["train"]
    for one in parts.values():
        if one.names != train.names:
            raise DataError(
                f"{COCO}: {one.path} has the key points {shown(one.names)}, but {train.path} "
                f"{shown(train.names)}"
            )
    return parts


def _files(data_dir: Path) -> dict[str, Path]:
    found = {}
    for part in _PARTS:
        own = sorted((data_dir / "annotations").glob(f"*keypoints_{part}*.json"))
        own += [path for path in (data_dir / f"{part}.json",) if path.is_file()]
        if own:
            found[part] = own[0]
    return found


def _read(path: Path, data_dir: Path, part: str) -> _Part:
    try:
        content = json.loads(path.read_bytes())
        (category,) = [one for one in content["categories"] if one.get("keypoints")]
        names = tuple(str(name) for name in category["keypoints"])
        files = {one["id"]: str(one["file_name"]) for one in content["images"]}
        annotations = [
            one
            for one in content["annotations"]
            if one["category_id"] == category["id"] and not one.get("iscrowd")
        ]
        folders = [data_dir / "images", *sorted(data_dir.glob(f"{part}20*")), data_dir]
        numbers = {identifier: number for number, identifier in enumerate(files)}
        people = [
            _person(one, len(names), folders, files, numbers)
            for one in annotations
            if any(one["keypoints"][2::3])
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{COCO}: {path} is not in COCO's format of key points: {type(error).__name__}: "
            f"{one_line(error)}"
        ) from error
    if not people:
        raise DataError(f"{COCO}: {path} has no person with a labelled key point")
    return _Part(path, people, names, _facts(category, names))


def _person(
    annotation: Mapping[str, Any],
    count: int,
    folders: Sequence[Path],
    files: Mapping[Any, str],
    numbers: Mapping[Any, int],
) -> Person:
    identifier = annotation["image_id"]
    points = np.array(annotation["keypoints"], float).reshape(count, 3)
    left, top, width, height = map(float, annotation["bbox"])
    length = annotation.get("head_size") or _SHARE_OF_BOX * max(width, height)
    area = float(annotation.get("area") or width * height)
    name = files[identifier]
    found = next((path for folder in folders if (path := folder / name).is_file()), None)
    if found is None:
        raise DataError(f"{COCO}: the image {name} is not in {folders[0]}: {_ADVICE}")
    box = (left, top, max(width, 1.0), max(height, 1.0))
    return Person(found, numbers[identifier], points, box, area, float(length))


def _facts(category: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What :attr:`ImageData.facts` keeps of the category."""
    bones = [[first - 1, last - 1] for first, last in category.get("skeleton", [])]
    sigmas = list(category.get("sigmas") or default_sigmas(len(names)))
    if len(sigmas) != len(names):
        raise ValueError(f"{len(sigmas)} sigmas for {len(names)} key points")
    return {"skeleton": bones, "sigmas": sigmas}


def default_sigmas(count: int) -> list[float]:
    """COCO's for its 17 key points, otherwise 0.08 for each."""
    return [*COCO_SIGMAS] if count == len(COCO_SIGMAS) else [OTHER_SIGMA] * count


def _decode(parts: Mapping[str, _Part], shape: tuple[int, int, int]) -> Decoded:
    cut = {name: _cut_all(part.people, shape) for name, part in parts.items()}
    train = parts["train"]
    return Decoded.of(cut["train"], cut["test"], train.names, cut.get("val"), facts=train.facts)


def _cut_all(people: Iterable[Person], shape: tuple[int, int, int]) -> LabelledImages:
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        found = list(pool.map(lambda person: _cut(person, shape), people))
    return LabelledImages(
        np.stack([pixels for pixels, _ in found]), np.stack([points for _, points in found])
    )


def _cut(person: Person, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    channels, height, width = shape
    left, top, box_width, box_height = person.box
    # the side of a pixel of what is cut out, in pixels of the image
    pixel = _PADDING * max(box_width / width, box_height / height)
    corner = (left + box_width / 2 - pixel * width / 2, top + box_height / 2 - pixel * height / 2)
    x, y = round(corner[0]), round(corner[1])
    columns, rows = max(1, round(pixel * width)), max(1, round(pixel * height))
    try:
        image = open_image(person.file, channels)
    except Exception as error:  # broken files raise SyntaxError, struct.error and more
        raise DataError(f"{COCO}: {person.file} cannot be read: {one_line(error)}") from error
    resized = image.crop((x, y, x + columns, y + rows)).resize((width, height), _BILINEAR)
    pixels = np.asarray(resized).reshape(height, width, channels).transpose(2, 0, 1)
    # the two directions differ by less than a pixel of the image in all
    scale = (width / columns + height / rows) / 2
    points = target(person.points, person.area, person.length, person.image, (x, y), scale)
    return pixels, points


_BILINEAR = 2
"""Pillow's number of it, antialiased where it makes an image smaller."""
