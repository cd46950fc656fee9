"""Drawn figures with known joints, over photographs, in COCO's format: nothing to download.

    python examples/key_points/figures.py figures --train 2000 --val 500

writes ``figures/train.json``, ``figures/val.json`` and ``figures/images``. A figure has 14 joints
and limbs of its own colours, is turned, bent and scaled at random, and faces the viewer, so that
its left side is on the right. What covers a joint hides it: visibility 1. The photographs are the
two of scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images

NAMES = (
    "head_top",
    "neck",
    *(
        f"{side}_{joint}"
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)
BONES = [
    ("head_top", "neck", 1.0, 0.30),
    *((("neck", f"{side}_shoulder", 0.55, 0.2)) for side in ("left", "right")),
    *((("neck", f"{side}_hip", 1.75, 0.45)) for side in ("left", "right")),
    *(
        (f"{side}_{upper}", f"{side}_{lower}", length, width)
        for upper, lower, length, width in (
            ("shoulder", "elbow", 0.95, 0.22),
            ("elbow", "wrist", 0.85, 0.18),
            ("hip", "knee", 1.25, 0.28),
            ("knee", "ankle", 1.2, 0.22),
        )
        for side in ("left", "right")
    ),
]
"""From joint to joint, with length and width in head sizes."""
_SIDE = 128
_FINER = 2
"""Drawn so many times larger, then made smaller, for smooth edges."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=2000, help="images (default: %(default)s)")
    parser.add_argument("--val", type=int, default=500, help="images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    for number, part in enumerate(("train", "val")):
        write(given.folder, part, getattr(given, part), np.random.default_rng([given.seed, number]))


def write(folder: Path, part: str, count: int, rng: np.random.Generator) -> None:
    """Write ``part.json`` and as many images, each with one or two figures."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    photographs = [Image.fromarray(photo) for photo in load_sample_images().images]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(count):
        picture = _background(photographs, rng)
        name = f"{part}-{number:05}.jpg"
        people = [_figure(picture, photographs, rng) for _ in range(rng.integers(1, 3))]
        if _overlap(people):
            picture = _background(photographs, rng)
            people = [_figure(picture, photographs, rng)]
        picture.resize((_SIDE, _SIDE), Image.Resampling.BOX).save(
            folder / "images" / name, quality=90
        )
        images.append({"id": number, "file_name": name, "width": _SIDE, "height": _SIDE})
        for person in people:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **person})
    bones = [[NAMES.index(first) + 1, NAMES.index(last) + 1] for first, last, *_ in BONES]
    category = {"id": 1, "name": "figure", "keypoints": NAMES, "skeleton": bones}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / f"{part}.json").write_text(json.dumps(content), encoding="utf-8")


def _background(photographs: list[Image.Image], rng: np.random.Generator) -> Image.Image:
    photo = photographs[rng.integers(len(photographs))]
    side = int(rng.integers(160, 400))
    left, top = (int(rng.integers(0, size - side)) for size in photo.size)
    piece = photo.crop((left, top, left + side, top + side))
    return piece.resize((_SIDE * _FINER, _SIDE * _FINER))


def _figure(
    picture: Image.Image, photographs: list[Image.Image], rng: np.random.Generator
) -> dict[str, Any]:
    """Draw one into the picture; returns its annotation, in pixels of the finished image."""
    head = rng.uniform(9, 14)
    joints = _joints(head, rng)
    low, high = np.min([*joints.values()], axis=0), np.max([*joints.values()], axis=0)
    room = np.maximum(_SIDE - (high - low) - 8, 1)
    shift = 4 - low + rng.uniform(0, 1, 2) * room
    joints = {name: place + shift for name, place in joints.items()}
    area = _draw(picture, joints, head, rng)
    hidden = _hide(picture, photographs, joints, head, rng) if rng.random() < 0.4 else set()
    points: list[float] = []
    for name in NAMES:
        x, y = joints[name]
        inside = bool(0 <= x < _SIDE and 0 <= y < _SIDE)
        points += [round(float(x), 2), round(float(y), 2), (1 if name in hidden else 2) * inside]
    left, top = np.min([*joints.values()], axis=0) - 0.3 * head
    right, bottom = np.max([*joints.values()], axis=0) + 0.3 * head
    box = [left, top, right - left, bottom - top]
    return {
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": points,
        "num_keypoints": sum(seen > 0 for seen in points[2::3]),
        "bbox": [round(float(side), 2) for side in box],
        "area": round(area, 2),
        "head_size": round(float(head), 2),
    }


def _joints(head: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Places about the neck; angles from straight down, counterclockwise, in radians."""
    lean = rng.normal(0, 0.25)
    places = {"neck": np.zeros(2)}
    places["head_top"] = head * _towards(lean + math.pi + rng.normal(0, 0.25))
    for side, sign in (("left", 1), ("right", -1)):
        upper, bent = sign * rng.uniform(-0.2, 2.6), sign * rng.uniform(-0.3, 2.0)
        thigh, shin = sign * rng.uniform(-0.1, 1.1), -sign * rng.uniform(-0.1, 1.1)
        turns = {
            ("neck", "shoulder"): lean + sign * 1.45,
            ("neck", "hip"): lean + sign * 0.22,
            ("shoulder", "elbow"): lean + upper,
            ("elbow", "wrist"): lean + upper + bent,
            ("hip", "knee"): lean + thigh,
            ("knee", "ankle"): lean + thigh + shin,
        }
        for (first, last), angle in turns.items():
            start = first if first == "neck" else f"{side}_{first}"
            end = f"{side}_{last}"
            length = next(bone[2] for bone in BONES if bone[:2] == (start, end))
            places[end] = places[start] + head * length * _towards(angle)
    return places


def _towards(angle: float) -> np.ndarray:
    return np.array([math.sin(angle), math.cos(angle)])


def _draw(
    picture: Image.Image, joints: dict[str, np.ndarray], head: float, rng: np.random.Generator
) -> float:
    """Returns the pixels of the finished image that the figure covers."""
    canvas = ImageDraw.Draw(picture)
    covered = Image.new("1", picture.size)
    colours = rng.integers(0, 256, (len(BONES), 3))
    for (first, last, _, width), colour in zip(BONES, colours.tolist(), strict=True):
        line = [tuple(_FINER * joints[name]) for name in (first, last)]
        thick = max(2, round(_FINER * head * width))
        for surface, fill in ((canvas, tuple(colour)), (ImageDraw.Draw(covered), 1)):
            surface.line(line, fill=fill, width=thick)
            for x, y in line:  # round ends
                radius = thick / 2
                surface.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)
    middle = _FINER * (joints["head_top"] + joints["neck"]) / 2
    radius = _FINER * head * 0.4
    oval = [*(middle - radius), *(middle + radius)]
    canvas.ellipse(oval, fill=tuple(rng.integers(0, 256, 3).tolist()))
    return float(np.asarray(covered).sum()) / _FINER**2


def _hide(
    picture: Image.Image,
    photographs: list[Image.Image],
    joints: dict[str, np.ndarray],
    head: float,
    rng: np.random.Generator,
) -> set[str]:
    """Put a piece of a photograph over a joint; returns the names of those that it covers."""
    name = NAMES[rng.integers(len(NAMES))]
    side = head * rng.uniform(1.0, 2.0)
    corner = joints[name] - rng.uniform(0.2, 0.8, 2) * side
    left, top = (_FINER * corner).round().astype(int).tolist()
    pixels = max(2, round(_FINER * side))
    piece = _background(photographs, rng).resize((pixels, pixels))
    picture.paste(piece, (left, top))
    return {
        one for one, place in joints.items() if ((place > corner) & (place < corner + side)).all()
    }


def _overlap(people: list[dict[str, Any]]) -> bool:
    """Whether the boxes of the two have more than a few pixels in common."""
    if len(people) < 2:
        return False
    (left, top, width, height), (x, y, wide, high) = (one["bbox"] for one in people)
    across = min(left + width, x + wide) - max(left, x)
    down = min(top + height, y + high) - max(top, y)
    return across > 0 and down > 0 and across * down > 0.1 * min(width * height, wide * high)


if __name__ == "__main__":
    main()
