"""MPII Human Pose's annotations in COCO's format.

    python examples/key_points/mpii.py mpii_human_pose_v1_u12_1.mat DIR

writes ``DIR/train.json`` and ``DIR/val.json`` (every tenth training image; the joints of MPII's
test images are not published). Put the images into ``DIR/images``. MPII has no boxes and areas: the
box is that of the labelled joints, three tenths larger, and the area is the box's. `head_size` is
MPII's own, 0.6 of the head box's diagonal, by which PCKh measures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

NAMES = [
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("pelvis", "thorax", "upper_neck", "head_top"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
]
BONES = [[0, 1], [1, 2], [2, 6], [6, 3], [3, 4], [4, 5], [6, 7], [7, 8], [8, 9], [10, 11], [11, 12]]
BONES += [[12, 7], [7, 13], [13, 14], [14, 15]]
_HEAD_SHARE = 0.6
_VAL_EVERY = 10
_LARGER = 0.15
"""Of a side of the joints' box, at each end."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", type=Path, help="mpii_human_pose_v1_u12_1.mat")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    release = loadmat(given.annotations, struct_as_record=False, squeeze_me=True)["RELEASE"]
    rows = [
        one
        for one, training in zip(np.atleast_1d(release.annolist), release.img_train, strict=True)
        if training
    ]
    given.folder.mkdir(parents=True, exist_ok=True)
    val = rows[_VAL_EVERY - 1 :: _VAL_EVERY]
    for part, some in (("train", [one for one in rows if one not in val]), ("val", val)):
        content = json.dumps(_content(some))
        (given.folder / f"{part}.json").write_text(content, encoding="utf-8")


def _content(rows: list[Any]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        images.append({"id": number, "file_name": str(row.image.name)})
        for person in _people(row):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **person})
    bones = [[first + 1, last + 1] for first, last in BONES]
    category = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": bones}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _people(row: Any) -> Iterator[dict[str, Any]]:
    for rect in np.atleast_1d(getattr(row, "annorect", [])):
        points = getattr(getattr(rect, "annopoints", None), "point", None)
        if points is None:
            continue
        joints = np.zeros((len(NAMES), 3))
        for point in np.atleast_1d(points):
            # of some joints it is not said whether they are hidden: an empty array
            seen = np.size(point.is_visible) == 0 or int(point.is_visible) == 1
            joints[int(point.id)] = point.x, point.y, 2 if seen else 1
        labelled = joints[joints[:, 2] > 0, :2]
        low, high = labelled.min(axis=0), labelled.max(axis=0)
        margin = _LARGER * (high - low)
        low, size = low - margin, high - low + 2 * margin
        head = np.hypot(rect.x2 - rect.x1, rect.y2 - rect.y1)
        yield {
            "category_id": 1,
            "iscrowd": 0,
            "keypoints": joints.ravel().tolist(),
            "num_keypoints": len(labelled),
            "bbox": [*low.tolist(), *size.tolist()],
            "area": float(size.prod()),
            "head_size": float(_HEAD_SHARE * head),
        }


if __name__ == "__main__":
    main()
