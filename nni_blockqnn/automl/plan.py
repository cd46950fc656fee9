"""What a search will do, chosen from what the data looks like, the budget and the hours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nni_blockqnn.automl._machine import (
    Machine,
    machine_for,
    milliseconds_an_image,
    seconds_an_image,
)
from nni_blockqnn.automl._outlines import look_at
from nni_blockqnn.automl._parts import ENOUGH_FINAL_EPOCHS, Data
from nni_blockqnn.automl._schedule import Schedule, schedule
from nni_blockqnn.automl._sizing import (
    Size,
    frontier_costs,
    size_of_flops,
    smaller_sizes,
    tier_size,
)
from nni_blockqnn.automl.request import TIERS, Request, RequestError, parse_budget
from nni_blockqnn.data import ImageData
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.tasks import find_task

_FEWEST_OF_A_CLASS = 10
_COMFORTABLE_IMAGES = 4_000
"""Of a trial, from which on a larger network is worth the time of more images."""
_COMFORTABLE_EPOCHS = (8, 20)
"""Of a trial, and of a long training."""
_SUFFICIENT_SHARE = 0.2
"""Of the images, for a long training of a finalist: it is they who find what beats hand-made blocks
(docs/search_quality.md)."""
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
    outline = look_at(request)
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
        self._paces: dict[Size, float] = {}

    def plan(self, size: Size) -> Plan:
        """
        Raises:
            RequestError: if the hours are too few for it.
        """
        return self.planned(size, self._pace(size))

    def has_costs(self, size: Size) -> bool:
        """Whether the hand-made blocks have networks of all the costs that are asked for."""
        try:
            return bool(_costs(self.request, size))
        except RequestError:
            return False

    def plan_if(self, size: Size, is_enough: Callable[[Plan], bool], known: Size) -> Plan | None:
        """The plan if it is enough; None if it is not, or the hours are too few for it.

        Args:
            known: a size by whose time this one's is foretold, which spares most of the timing.
        """
        foretold = self._pace(known) * size.flops / known.flops
        for pace in (lambda: foretold, lambda: self._pace(size)):
            try:
                plan = self.planned(size, pace())
            except RequestError:
                return None
            if not is_enough(plan):
                return None
        return plan

    def _pace(self, size: Size) -> float:
        if size not in self._paces:
            data = self._data(size)
            self._tell(f"times trainings of {size.flops:,} multiply-accumulates an image")
            self._paces[size] = seconds_an_image(size, data, self.outline, self.machine)
        return self._paces[size]

    def planned(self, size: Size, pace: float) -> Plan:
        data = Data.of(self.outline)
        scales = [cost / size.flops for cost in _costs(self.request, size)]
        found = schedule(self.request, data, pace, self.machine.at_a_time, scales)
        return Plan(self.request, self.outline, self.machine, size, found, pace)

    def _data(self, size: Size) -> ImageData:
        shape = size.spec.input_shape
        if shape not in self._loaded:
            self._tell(f"reads the images of {self.request.data}")
            self._loaded[shape] = find_task(self.outline.task).load_data(
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
    """The largest tier for which there is ample time; else the largest size for which there is
    enough, the smallest tier or less; else the smallest that is possible at all.

    Raises:
        RequestError: if none is possible.
    """
    large, medium, small = (tier_size(timed.outline, tier) for tier in reversed(TIERS))
    smaller = [small, *smaller_sizes(timed.outline, small)]
    choices: list[tuple[Iterable[Size], Callable[[Plan], bool]]] = [
        ((large, medium, small), _is_comfortable),
        (smaller, _is_sufficient),
        (reversed(smaller), _is_possible),
    ]
    for sizes, is_enough in choices:
        for size in sizes:
            if (plan := timed.plan_if(size, is_enough, small)) is not None:
                return plan
    # which raises what is missing
    return timed.plan(next((one for one in reversed(smaller) if timed.has_costs(one)), small))


def _is_possible(plan: Plan) -> bool:
    return plan.schedule.trials > 0


def _is_sufficient(plan: Plan) -> bool:
    found = plan.schedule
    enough_images = found.final_part.trained >= _SUFFICIENT_SHARE * plan.outline.trained
    epochs = plan.request.final_epochs or ENOUGH_FINAL_EPOCHS
    return enough_images and found.final_epochs >= epochs


def _is_comfortable(plan: Plan) -> bool:
    found, images = plan.schedule, plan.outline.trained
    epochs, final_epochs = _COMFORTABLE_EPOCHS
    enough_images = (found.part.limit or images) >= min(images, _COMFORTABLE_IMAGES)
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
    if fewest < _FEWEST_OF_A_CLASS and len(outline.counts) == 1:
        raise RequestError(
            f"{outline.data_dir}: there are {fewest} training images, and a search needs "
            f"{_FEWEST_OF_A_CLASS} at least: add images"
        )
    if fewest < _FEWEST_OF_A_CLASS:
        name = outline.class_names[outline.counts.index(fewest)]
        raise RequestError(
            f"{outline.data_dir}: class {name!r} has {fewest} training images"
            f"{' beside those for the test' if outline.tested else ''}, and a search needs "
            f"{_FEWEST_OF_A_CLASS} of each class at least: add images, or remove the class"
        )
