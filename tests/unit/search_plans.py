"""Data sets in outline, and plans of searches on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nni_blockqnn.automl._machine import Machine
from nni_blockqnn.automl._parts import Data
from nni_blockqnn.automl._schedule import (
    schedule,
)
from nni_blockqnn.automl._sizing import (
    frontier_costs,
    tier_size,
)
from nni_blockqnn.automl.plan import Plan
from nni_blockqnn.automl.request import (
    Request,
)
from nni_blockqnn.data.outline import Outline

DIGITS = Outline(
    "digits", Path("/data"), tuple("0123456789"), (144,) * 10, 0, 359, (1, 8, 8), (), ""
)
CIFAR = replace(DIGITS, dataset="cifar10", counts=(5_000,) * 10, image_shape=(3, 32, 32))
PHOTOS = replace(
    DIGITS,
    dataset="image-folder",
    data_dir=Path("/my photos/it's #1"),
    class_names=("cat", "dog", "frog"),
    counts=(400, 90, 60),
    image_shape=(3, 480, 640),
    notes=("6 files in cat are not read: .heic",),
    is_resized=True,
)
CPU = Machine(gpus=0, at_a_time=2, threads=1)


def plan_of(outline: Outline, **asked: object) -> Plan:
    request = Request(**({"data": "x", "hours": 1.0} | asked))
    size, pace = tier_size(outline, "small"), 1e-3
    costs = frontier_costs(size.spec, size.flops) if request.frontier else (size.flops,)
    scales = [cost / size.flops for cost in costs]
    found = schedule(request, Data.of(outline), pace, 2, scales)
    return Plan(request, outline, CPU, size, found, pace)
