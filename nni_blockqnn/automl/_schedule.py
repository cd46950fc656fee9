"""How the hours are divided: trials and their length, finalists, and their epochs."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nni_blockqnn.automl.request import Request, RequestError
from nni_blockqnn.data.outline import Outline

SETUP_SECONDS = 6.0
"""Of each trial: NNI starts the next one after 3 s, and it loads PyTorch and the data."""
EXPERIMENT_SECONDS = 12.0
"""NNI starts and stops."""
ENDS_SECONDS = 30.0
"""A look at the data before everything; test set, export and report after it."""
_SEARCH_SHARE, _FRONTIER_SHARE = 0.6, 0.4
_MOST_TRIALS = 1_000
_EPOCHS = (12, 8, 5, 3)
"""The recipe's, and what is left of it where time is short."""
_ENOUGH = ((60, 8), (20, 5), (8, 3))
"""Trials, of so many epochs at least: what is wanted, then what must do, then what may do."""
_FEWEST_IMAGES, _FEWEST_OF_A_CLASS = 1_000, 20
"""That a trial trains on, if there are so many."""
FEWEST_FINAL_EPOCHS, MOST_FINAL_EPOCHS = 4, 300
_TRIALS_A_FINALIST = 20
_FEWEST_FINALISTS, _MOST_FINALISTS = 2, 8
_FEWEST_OF_TWO_CHOICES, _FIRST_CHOICE, _AGAIN = 4, 5 / 8, 2
"""From so many finalists on, this share of them comes first, the others are chosen by what those
show, and so many are trained again."""
_ENOUGH_FINAL_EPOCHS = 12
"""That a long training must keep for that."""
FINAL_SEEDS = 3
"""Of what is trained again."""
REFERENCES = 2
"""Hand-made blocks."""
_HELD_OUT = 0.1
_ALL_CORES_GAIN = 0.75
"""Share of the time that a training takes alone with all cores."""


@dataclass(frozen=True)
class Data:
    """What of the data a schedule depends on.

    Attributes:
        images: training images, those to be held out included.
        classes: of them.
        holds_out: whether validation images are held out of them.
    """

    images: int
    classes: int
    holds_out: bool

    @classmethod
    def of(cls, outline: Outline) -> Data:
        return cls(outline.trained, outline.classes, not outline.validated)


class Finals(NamedTuple):
    """The long trainings of found blocks, beside those of the hand-made ones.

    Attributes:
        first: blocks of several families.
        more: chosen by what the long trainings show.
        again: the best so many from `FINAL_SEEDS` seeds.
    """

    first: int
    more: int = 0
    again: int = 0

    @property
    def blocks(self) -> int:
        return self.first + self.more

    @property
    def further(self) -> int:
        """Trainings after the first ones."""
        return self.more + self.again * (FINAL_SEEDS - 1)

    def is_affordable(self, epochs: int, wanted: int | None) -> bool:
        """Whether so many epochs of each training are enough for it.

        Args:
            wanted: the epochs that were asked for; None if they follow from the time.
        """
        return not self.further or epochs >= (wanted or _ENOUGH_FINAL_EPOCHS)


@dataclass(frozen=True)
class Schedule:
    """How the hours are divided.

    Attributes:
        epochs: of a trial.
        limit: training images that a trial uses; None for all.
        trials: of the search.
        finals: the long trainings.
        final_epochs: of the long trainings, as far as it is known before the search.
        search_seconds: expected, as the next two.
        finals_seconds: of the finalists' trainings.
        winner_seconds: of the trainings on all training data.
    """

    epochs: int
    limit: int | None
    trials: int
    finals: Finals
    final_epochs: int
    search_seconds: float
    finals_seconds: float
    winner_seconds: float

    @property
    def finalists(self) -> int:
        """Found blocks that are trained long, beside the hand-made ones."""
        return self.finals.blocks

    @property
    def seconds(self) -> float:
        """Of everything."""
        stages = self.search_seconds + self.finals_seconds + self.winner_seconds
        return stages + ENDS_SECONDS


def schedule(
    request: Request, data: Data, pace: float, at_a_time: int, scales: Sequence[float] = (1.0,)
) -> Schedule:
    """The schedule for the request's hours.

    A trial is as long as still allows 60 of them; where that is not possible it is as short as is
    sensible, and there are fewer.

    Args:
        pace: seconds for one image of one epoch, of one of the trainings at a time.
        scales: what the networks cost that are trained long, in times of those of the search.

    Raises:
        RequestError: if the hours are too few, saying how many are enough.
    """
    found = _schedule(request, data, pace, at_a_time, request.seconds, scales)
    if found is not None:
        return found
    enough = request.seconds
    while _schedule(request, data, pace, at_a_time, enough, scales) is None:
        enough *= 1.1
    hours = math.ceil(enough / 36) / 100
    raise RequestError(
        f"hours must be at least about {hours:g} for this data here, got {request.hours:g}; or "
        "give a smaller budget, or fewer images"
    )


def _schedule(
    request: Request,
    data: Data,
    pace: float,
    at_a_time: int,
    seconds: float,
    scales: Sequence[float],
) -> Schedule | None:
    left = seconds - ENDS_SECONDS - 2 * EXPERIMENT_SECONDS
    search = left * (_FRONTIER_SHARE if request.frontier else _SEARCH_SHARE)
    chosen = _trials(request, data, pace, at_a_time, search)
    if chosen is None:
        return None
    epochs, images, trials = chosen
    trial = SETUP_SECONDS + epochs * images * pace
    searching = trials * trial / at_a_time
    winner_paces = [pace * scale for scale in scales] * (1 + REFERENCES)
    for chosen_finals in ways_to_choose(request, trials):
        trainings = chosen_finals.first + chosen_finals.further + REFERENCES
        finals_paces = [pace * scale for scale in scales] * trainings
        affordable = affordable_epochs(
            left - searching, data, finals_paces, winner_paces, at_a_time
        )
        if chosen_finals.is_affordable(affordable, request.final_epochs):
            break
    final_epochs = request.final_epochs or affordable
    finals, winner = final_seconds(final_epochs, data, finals_paces, winner_paces, at_a_time)
    fewest = request.final_epochs or FEWEST_FINAL_EPOCHS
    if final_epochs < fewest or searching + finals + winner > 1.05 * left:
        return None
    return Schedule(
        epochs,
        images if images < data.images else None,
        trials,
        chosen_finals,
        final_epochs,
        searching + EXPERIMENT_SECONDS,
        finals + EXPERIMENT_SECONDS,
        winner,
    )


def _trials(
    request: Request, data: Data, pace: float, at_a_time: int, seconds: float
) -> tuple[int, int, int] | None:
    """Epochs, images and number of the search's trials; None if the seconds do not allow any."""
    for least, fewest_epochs in _ENOUGH:
        for epochs, images in _fidelities(data):
            trial = SETUP_SECONDS + epochs * images * pace
            trials = int(seconds / trial * at_a_time)
            if epochs >= fewest_epochs and trials >= (request.trials or least):
                return epochs, images, request.trials or min(trials, _MOST_TRIALS)
    return None


def ways_to_choose(request: Request, trials: int) -> list[Finals]:
    """The long trainings after so many trials, what is wanted first, then what must do."""
    usual = min(max(trials // _TRIALS_A_FINALIST, _FEWEST_FINALISTS), _MOST_FINALISTS)
    blocks = request.finalists or usual
    # what an accuracy at one cost says of one at another is not known
    if blocks < _FEWEST_OF_TWO_CHOICES or request.frontier:
        return [Finals(blocks)]
    first = math.ceil(_FIRST_CHOICE * blocks)
    return [Finals(first, blocks - first, _AGAIN), Finals(blocks)]


def affordable_epochs(
    seconds: float, data: Data, finals: Sequence[float], winners: Sequence[float], at_a_time: int
) -> int:
    """How many epochs the long trainings may have, at most `MOST_FINAL_EPOCHS`.

    Args:
        finals: seconds for one image of one epoch of each finalist.
        winners: of each network that is trained on all training data.
    """
    fewest, most = 0, MOST_FINAL_EPOCHS
    while fewest < most:
        middle = (fewest + most + 1) // 2
        if sum(final_seconds(middle, data, finals, winners, at_a_time)) <= seconds:
            fewest = middle
        else:
            most = middle - 1
    return fewest


def final_seconds(
    epochs: int, data: Data, finals: Sequence[float], winners: Sequence[float], at_a_time: int
) -> tuple[float, float]:
    """Seconds of the finalists' trainings, some at a time, and of those on all data in turn."""
    kept = data.images * (1 - _HELD_OUT) if data.holds_out else data.images
    of_finals = [SETUP_SECONDS + epochs * kept * pace for pace in finals]
    gain = _ALL_CORES_GAIN if at_a_time > 1 else 1.0
    return _makespan(of_finals, at_a_time), sum(
        epochs * data.images * pace * gain for pace in winners
    )


def _makespan(seconds: Sequence[float], at_a_time: int) -> float:
    """When the last of them ends, each started as soon as there is room."""
    ends = [0.0] * at_a_time
    for one in seconds:
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def _fidelities(data: Data) -> list[tuple[int, int]]:
    """(epochs, images) of a trial, from the paper's to the shortest that is sensible."""
    fewest = min(max(_FEWEST_IMAGES, _FEWEST_OF_A_CLASS * data.classes), data.images)
    images = [data.images]
    while images[-1] > 2 * fewest:
        images.append(images[-1] // 2)
    if images[-1] > fewest:
        images.append(fewest)
    found = [(_EPOCHS[0], count) for count in images]
    # fewer epochs of more images say more than many epochs of the fewest
    found += [(epochs, count) for epochs in _EPOCHS[1:] for count in images[-2:]]
    return sorted(set(found), key=lambda one: -one[0] * one[1])
