"""What a search will do, chosen from what the data looks like, the budget and the hours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nni_blockqnn.automl._machine import (
    Machine,
    machine_for,
    milliseconds_an_image,
    seconds_an_image,
)
from nni_blockqnn.automl._schedule import Data, Schedule, schedule
from nni_blockqnn.automl._sizing import (
    Size,
    frontier_costs,
    halved_size,
    size_of_flops,
    tier_size,
)
from nni_blockqnn.automl.request import TIERS, Request, RequestError, parse_budget
from nni_blockqnn.data import ImageData
from nni_blockqnn.data.load import load_dataset
from nni_blockqnn.data.outline import Outline, outline_of

_FEWEST_OF_A_CLASS = 10
_COMFORTABLE_IMAGES = 4_000
"""Of a trial, from which on a larger network is worth the time of more images."""
_COMFORTABLE_EPOCHS = (8, 20)
"""Of a trial, and of a long training."""
_MANY_TRIALS = 300
"""From which on a search can make something of blocks of 22 layers."""


@dataclass(frozen=True)
class Plan:
    """What a search will do.

    Attributes:
        pace: seconds for one image of one epoch, of one of the trainings at a time.
    """

    request: Request
    outline: Outline
    machine: Machine
    size: Size
    schedule: Schedule
    pace: float

    @property
    def costs(self) -> tuple[int, ...]:
        """In multiply-accumulates, at which blocks are compared after long trainings; the search's
        own first."""
        return _costs(self.request, self.size)

    @property
    def max_layers(self) -> int:
        if len(self.size.spec.filters) == 2:
            return 10  # which inception needs
        return 23 if self.schedule.trials >= _MANY_TRIALS else 12


def make_plan(request: Request, tell: Callable[[str], None] = lambda line: None) -> Plan:
    """The plan for a request; times trainings, so it takes some twenty seconds.

    Args:
        tell: called with what is done next.

    Raises:
        RequestError, DataError, ValueError: naming what is wrong, and what to do.
    """
    machine = machine_for(request)
    outline = outline_of(request.data, request.data_dir)
    _check_enough(outline)
    timed = _Timed(request, outline, machine, tell)
    return _with_size(timed)


class _Timed:
    """Schedules for sizes of networks, each timed once."""

    def __init__(
        self, request: Request, outline: Outline, machine: Machine, tell: Callable[[str], None]
    ) -> None:
        self.request, self.outline, self.machine = request, outline, machine
        self._tell = tell
        self._loaded: dict[tuple[int, int, int], ImageData] = {}

    def plan(self, size: Size) -> Plan:
        """
        Raises:
            RequestError: if the hours are too few for it.
        """
        data = self._data(size)
        self._tell(f"times trainings of {size.flops:,} multiply-accumulates an image")
        pace = seconds_an_image(size, data, self.outline.dataset, self.machine)
        return self.planned(size, pace)

    def planned(self, size: Size, pace: float) -> Plan:
        data = Data.of(self.outline)
        scales = [cost / size.flops for cost in _costs(self.request, size)]
        found = schedule(self.request, data, pace, self.machine.at_a_time, scales)
        return Plan(self.request, self.outline, self.machine, size, found, pace)

    def _data(self, size: Size) -> ImageData:
        shape = size.spec.input_shape
        if shape not in self._loaded:
            self._tell(f"reads the images of {self.outline.dataset}")
            self._loaded[shape] = load_dataset(
                self.outline.dataset,
                self.outline.data_dir,
                image_shape=shape,
                classes=self.outline.classes,
                seed=self.request.seed,
            )
        return self._loaded[shape]


def _costs(request: Request, size: Size) -> tuple[int, ...]:
    return frontier_costs(size.spec, size.flops) if request.frontier else (size.flops,)


def _with_size(timed: _Timed) -> Plan:
    budget = parse_budget(timed.request.budget)
    if budget.kind == "tier":
        return timed.plan(tier_size(timed.outline, str(budget.value)))
    if budget.kind == "flops":
        return timed.plan(size_of_flops(timed.outline, int(budget.value)))
    if budget.kind == "latency":
        return timed.plan(_size_of_latency(timed, float(budget.value)))
    return _largest_comfortable(timed)


def _largest_comfortable(timed: _Timed) -> Plan:
    """The largest tier for which there is time, else the smallest, else half of that."""
    small = tier_size(timed.outline, TIERS[0])
    try:
        smallest = timed.plan(small)
    except RequestError:
        if (tiny := halved_size(timed.outline, small)) is None:
            raise
        return timed.plan(tiny)
    for tier in reversed(TIERS[1:]):
        size = tier_size(timed.outline, tier)
        try:
            if not _is_comfortable(
                timed.planned(size, smallest.pace * size.flops / smallest.size.flops)
            ):
                continue
            plan = timed.plan(size)
        except RequestError:
            continue
        if _is_comfortable(plan):
            return plan
    return smallest


def _is_comfortable(plan: Plan) -> bool:
    found, images = plan.schedule, plan.outline.trained
    epochs, final_epochs = _COMFORTABLE_EPOCHS
    enough_images = (found.limit or images) >= min(images, _COMFORTABLE_IMAGES)
    return enough_images and found.epochs >= epochs and found.final_epochs >= final_epochs


def _size_of_latency(timed: _Timed, milliseconds: float) -> Size:
    """The size whose networks take so long for an image, by the speed of a tier's."""
    tier = tier_size(timed.outline, "medium")
    flops = tier.flops
    for _ in range(2):  # once more from nearby, since small networks are slower than they cost
        measured = milliseconds_an_image(tier, timed.machine)
        flops = max(1, round(tier.flops * milliseconds / measured))
        tier = size_of_flops(timed.outline, flops)
    return tier


def _check_enough(outline: Outline) -> None:
    fewest = min(outline.counts)
    if fewest < _FEWEST_OF_A_CLASS:
        name = outline.class_names[outline.counts.index(fewest)]
        raise RequestError(
            f"{outline.data_dir}: class {name!r} has {fewest} training images"
            f"{' beside those for the test' if outline.tested else ''}, and a search needs "
            f"{_FEWEST_OF_A_CLASS} of each class at least: add images, or remove the class"
        )
