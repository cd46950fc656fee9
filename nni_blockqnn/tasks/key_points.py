"""Key points of people: heat maps, as hourglasses learn them (Newell et al., arXiv 1603.06937)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import Tensor

from nni_blockqnn.data import DataError
from nni_blockqnn.data.key_points import (
    COCO,
    EXTRA_ROWS,
    default_sigmas,
    in_image,
    load_coco,
    target,
    usual_person_shape,
)
from nni_blockqnn.data.targets import LabelledImages, Reader, output_names
from nni_blockqnn.network.measure import Measure
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.tasks._drawing import draw_points
from nni_blockqnn.tasks._heat_maps import drawn_maps, found_points
from nni_blockqnn.tasks._oks import average_precisions
from nni_blockqnn.tasks.task import Measured, Place, Share, Task

if TYPE_CHECKING:
    from PIL.Image import Image

_STEM_POOLS = 2
_STRIDE = 2**_STEM_POOLS
"""Heat maps are a quarter of the input."""
_LARGEST_TURN, _LARGEST_ZOOM = math.radians(30), 0.25
_OPPOSITE = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""One of "left_eye", "Left eye", "leftEye" or "LEye"."""


class KeyPoints(Task):
    """Mean squared error of heat maps, PCKh and OKS-AP.

    Targets are (N, K + 2, 3) float32, as :func:`nni_blockqnn.data.key_points.target` has them.
    PCKh is the share of labelled points that lie within half a head's size. OKS-AP is COCO's AP
    over 10 thresholds, of people whose boxes are given.
    """

    name = "keypoints"
    measures = (
        Measure("pckh", "PCKh@0.5"),
        Measure("oks_ap", "OKS-AP"),
        Measure("oks_ap50", "OKS-AP50"),
    )
    output = "maps"
    outputs = "key points"
    readers = MappingProxyType({COCO: Reader(load_coco, usual_person_shape)})
    final_recipe = "keypoints-final"
    network = MappingProxyType({"stem_convs": _STEM_POOLS, "stem_pools": _STEM_POOLS})

    def __init__(
        self,
        names: Sequence[str] = (),
        sigmas: Sequence[float] = (),
        skeleton: Sequence[Sequence[int]] = (),
    ) -> None:
        """
        Args:
            names: of the key points, which tell left from right; of data that is known.
            sigmas: OKS's constant of each; likewise.
            skeleton: pairs of points that a drawing joins; likewise.
        """
        self._names = tuple(names)
        self._skeleton = skeleton
        self._order = mirrored(names)
        self._sigmas = tuple(sigmas)

    def own_targets(
        self, what: str, part: LabelledImages, names: Sequence[str] | None
    ) -> tuple[np.ndarray, Sequence[str]]:
        """Of points (N, K, 3): a person an image, whose area is that of the points' box."""
        points = part.labels
        if points.ndim != 3 or points.shape[2] != 3 or not np.isfinite(points).all():
            raise DataError(
                f"{what} must be finite numbers of shape (N, K, 3), x and y in pixels and the "
                f"visibility from 0 to 2, got {points.dtype} {points.shape}"
            )
        found = [_own_target(number, person) for number, person in enumerate(points)]
        return np.stack(found), output_names(what, names, points.shape[1], self.outputs)

    def knowing(self, names: Sequence[str], facts: Mapping[str, Any]) -> KeyPoints:
        sigmas = facts.get("sigmas") or default_sigmas(len(names))
        return KeyPoints(names, sigmas, facts.get("skeleton", ()))

    def check_network(self, spec: NetworkSpec) -> None:
        super().check_network(spec)
        if spec.stem_pools != _STEM_POOLS:
            raise ValueError(
                f"task {self.name} has heat maps at a quarter of the input: set the network's "
                f"stem_pools to {_STEM_POOLS} and stem_convs to {_STEM_POOLS} or more, got "
                f"stem_pools {spec.stem_pools}"
            )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The squared errors of each map's cells, the mean over an image's labelled points."""
        points = targets[:, :-EXTRA_ROWS]
        wanted, counted = drawn_maps(points, (outputs.shape[2], outputs.shape[3]), _STRIDE)
        errors = (outputs - wanted).square().sum(dim=(2, 3)) * counted
        return (errors.sum(dim=1) / counted.sum(dim=1).clamp(min=1)).sum()

    def judge(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, 3 K): x and y in pixels of the input, and the height of the peak."""
        return found_points(outputs, _STRIDE).flatten(1)

    def measure(self, judged: Tensor, targets: Tensor) -> Measured:
        hits, counts = _near(judged, targets)
        precisions = self._precisions(
            judged.double().numpy().reshape(len(judged), -1, 3), targets.double().numpy()
        )
        return Measured(
            {
                "pckh": _pckh(hits, counts),
                "oks_ap": 100 * float(precisions.mean()),
                "oks_ap50": 100 * float(precisions[0]),
            },
            tuple(
                100 * hit / count if count else None
                for hit, count in zip(hits, counts, strict=True)
            ),
        )

    def _precisions(self, found: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Of OKS, at its thresholds; of people with a labelled point.

        Args:
            found: (N, K, 3), with the heights of the peaks.
            targets: (N, K + 2, 3).
        """
        rated = (targets[:, :-EXTRA_ROWS, 2] > 0).any(axis=1)
        found, points, more = (
            found[rated],
            targets[rated, :-EXTRA_ROWS],
            targets[rated, -EXTRA_ROWS:],
        )
        area, _, image = more[:, 0].T
        corner, scale = more[:, 1, None, :2], more[:, 1, None, 2:]
        answers, people = (in_image(some[:, :, :2], corner, scale) for some in (found, points))
        return average_precisions(
            answers,
            found[:, :, 2].mean(axis=1),
            np.concatenate([people, points[:, :, 2:]], axis=2),
            area,
            image,
            self._sigmas or default_sigmas(points.shape[1]),
        )

    def score_of(self, judged: Tensor, targets: Tensor) -> float:
        return _pckh(*_near(judged, targets))

    def augment(
        self, images: Tensor, targets: Tensor, generator: torch.Generator, share: Share
    ) -> tuple[Tensor, Tensor]:
        """Half of the images flipped, left and right points exchanged; all turned by up to 30
        degrees and zoomed by up to a quarter."""
        drawn = torch.rand(3, len(images), generator=generator, device=images.device)
        flips, turns, zooms = (share(one) for one in drawn)
        images, targets = share(images), share(targets)
        flipped = flips < 0.5
        images = torch.where(flipped[:, None, None, None], images.flip(3), images)
        width = images.shape[3]
        mirror = targets.clone()
        mirror[:, :-EXTRA_ROWS] = self._mirror(targets[:, :-EXTRA_ROWS], width)
        targets = torch.where(flipped[:, None, None], mirror, targets)
        angle, zoom = (2 * turns - 1) * _LARGEST_TURN, 1 + (2 * zooms - 1) * _LARGEST_ZOOM
        return _moved(images, targets, angle, zoom)

    def answer(self, outputs: Tensor, place: Place) -> dict[str, Any]:
        """Each point's x and y in pixels of the image, and the height of its peak."""
        found = self._found(outputs, place)
        points = {
            name: {"x": round(x, 2), "y": round(y, 2), "score": round(score, 4)}
            for name, (x, y, score) in zip(self._names, found, strict=True)
        }
        return {"points": points}

    def draw(self, image: Image, outputs: Tensor, place: Place) -> None:
        draw_points(image, self._found(outputs, place), self._skeleton)

    def _found(self, outputs: Tensor, place: Place) -> list[list[float]]:
        """x, y and the height of the peak of each point."""
        points = found_points(outputs, _STRIDE)[0]
        points[:, :2] = in_image(points[:, :2], torch.tensor([place.left, place.top]), place.scale)
        found: list[list[float]] = points.tolist()
        return found

    def _mirror(self, points: Tensor, width: int) -> Tensor:
        if len(self._order) == points.shape[1]:
            points = points[:, list(self._order)]
        x, rest = points[..., :1], points[..., 1:]
        return torch.cat([width - 1 - x, rest], dim=2)


def _near(judged: Tensor, targets: Tensor) -> tuple[list[int], list[int]]:
    """Of each key point, how many lie within half a head's size, and how many are labelled."""
    found = judged.view(len(judged), -1, 3)[:, :, :2].double()
    points, more = targets[:, :-EXTRA_ROWS].double(), targets[:, -EXTRA_ROWS:].double()
    length, scale = more[:, 0, 1], more[:, 1, 2]
    distances = (found - points[:, :, :2]).norm(dim=2)
    labelled = points[:, :, 2] > 0
    near = labelled & (distances <= 0.5 * (length * scale)[:, None])
    return near.sum(dim=0).tolist(), labelled.sum(dim=0).tolist()


def _pckh(hits: Sequence[int], counts: Sequence[int]) -> float:
    return 100 * sum(hits) / max(sum(counts), 1)


def mirrored(names: Sequence[str]) -> list[int]:
    """For each key point the number of the one on the other side, its own if it has none.

    Sides are words in the names: left and right, or l and r ("left_knee", "r ankle", "RightEye").
    """
    places = {name.lower(): number for number, name in enumerate(names)}
    return [places.get(_other_side(name), number) for number, name in enumerate(names)]


def _other_side(name: str) -> str:
    """In small letters."""

    def opposite(word: re.Match[str]) -> str:
        return _OPPOSITE.get(word[0].lower(), word[0])

    return _WORD.sub(opposite, name).lower()


def _moved(images: Tensor, targets: Tensor, angle: Tensor, zoom: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) uint8 and their points turned and zoomed about the middle."""
    height, width = images.shape[2:]
    cos, sin, none = angle.cos() / zoom, angle.sin() / zoom, torch.zeros_like(angle)
    # from where to where: of the turned image's pixels, in halves of the image's sides
    rows = [cos, -sin * height / width, none], [sin * width / height, cos, none]
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    turned = F.grid_sample(images.float(), grid, align_corners=False)
    middle = targets.new_tensor([(width - 1) / 2, (height - 1) / 2])
    x, y = (targets[:, :-EXTRA_ROWS, :2] - middle).unbind(-1)
    across, down = (zoom * angle.cos())[:, None], (zoom * angle.sin())[:, None]
    targets = targets.clone()
    targets[:, :-EXTRA_ROWS, 0] = across * x + down * y + middle[0]
    targets[:, :-EXTRA_ROWS, 1] = across * y - down * x + middle[1]
    return turned.round().to(torch.uint8), targets


def _own_target(number: int, points: np.ndarray) -> np.ndarray:
    labelled = points[points[:, 2] > 0, :2]
    sides = np.ptp(labelled, axis=0) if len(labelled) else np.zeros(2)
    sides = np.maximum(sides, 1)
    return target(points, float(sides.prod()), 0.2 * float(sides.max()), number, (0, 0), 1)


KEY_POINTS = KeyPoints()
