"""How the hours are divided: trials and their length, finalists, and their epochs."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nni_blockqnn.automl._parts import ENOUGH_FINAL_EPOCHS, Data, Part, fidelities, final_parts
from nni_blockqnn.automl.request import Request, RequestError

SETUP_SECONDS = 6.0
"""Of each trial: NNI starts the next one after 3 s, and it loads PyTorch and the data."""
EXPERIMENT_SECONDS = 12.0
"""NNI starts and stops."""
ENDS_SECONDS = 30.0
"""A look at the data before everything; test set, export and report after it."""
_SEARCH_SHARES, _FRONTIER_SHARES = (0.6, 0.5, 0.4), (0.4, 0.3)
"""Of the time, that the search gets: the first that leaves enough for the long trainings."""
_MOST_TRIALS = 1_000
_ENOUGH = ((60, 8), (20, 5), (8, 3))
"""Trials, of so many epochs at least: what is wanted, then what must do, then what may do."""
FEWEST_FINAL_EPOCHS, MOST_FINAL_EPOCHS = 4, 300
_TRIALS_A_FINALIST = 12
_FEWEST_FINALISTS, _MOST_FINALISTS = 2, 8
_FEWEST_OF_TWO_CHOICES, _FIRST_CHOICE, _AGAIN = 4, 5 / 8, 2
"""From so many finalists on, this share of them comes first, the others are chosen by what those
show, and so many are trained again."""
FINAL_SEEDS = 3
"""Of what is trained again."""
REFERENCES = 2
"""Hand-made blocks."""
_ALL_CORES_GAIN = 0.75
"""Share of the time that a training takes alone with all cores."""


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


@dataclass(frozen=True)
class Schedule:
    """How the hours are divided.

    Attributes:
        epochs: of a trial.
        part: the images of a trial.
        trials: of the search.
        finals: the long trainings.
        final_part: the images of a long training of a finalist, and
        final_epochs: its epochs, as far as they are known before the search.
        search_seconds: expected, as the next two.
        finals_seconds: of the finalists' trainings.
        winner_seconds: of the trainings on all training data.
    """

    epochs: int
    part: Part
    trials: int
    finals: Finals
    final_part: Part
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
    sensible, and there are fewer. Long trainings use all images if they get 12 epochs then.

    Args:
        pace: seconds for one image of one epoch, of one of the trainings at a time.
        scales: what the networks cost that are trained long, in times of those of the search.

    Raises:
        RequestError: if the hours are too few, saying how many are enough.
    """
    shares = _FRONTIER_SHARES if request.frontier else _SEARCH_SHARES

    def possible(seconds: float) -> Iterator[Schedule]:
        for share in shares:
            found = _schedule(request, data, pace, at_a_time, seconds, share, scales)
            if found is not None:
                yield found

    if schedules := list(possible(request.seconds)):
        enough_epochs = request.final_epochs or ENOUGH_FINAL_EPOCHS
        enough = (one for one in schedules if one.final_epochs >= enough_epochs)
        return next(enough, schedules[0])
    seconds = request.seconds
    while not any(possible(seconds)):
        seconds *= 1.1
    hours = math.ceil(seconds / 36) / 100
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
    share: float,
    scales: Sequence[float],
) -> Schedule | None:
    left = seconds - ENDS_SECONDS - 2 * EXPERIMENT_SECONDS
    chosen = _trials(request, data, pace, at_a_time, left * share)
    if chosen is None:
        return None
    epochs, part, trials = chosen
    trial = SETUP_SECONDS + part.steps(epochs) * pace
    searching = trials * trial / at_a_time

    def time_of(finals: Finals) -> LongTime:
        trainings = finals.first + finals.further + REFERENCES
        return LongTime(
            left - searching,
            [pace * scale for scale in scales] * trainings,
            [pace * scale for scale in scales] * (1 + REFERENCES),
            at_a_time,
        )

    ways = [(finals, time_of(finals)) for finals in ways_to_choose(request, trials)]
    finals, final_part, affordable = choose_finals(ways, data, part, request.final_epochs)
    final_epochs = request.final_epochs or affordable
    training, winning = dict(ways)[finals].needed(final_epochs, final_part, data)
    fewest = request.final_epochs or FEWEST_FINAL_EPOCHS
    if final_epochs < fewest or searching + training + winning > 1.05 * left:
        return None
    return Schedule(
        epochs,
        part,
        trials,
        finals,
        final_part,
        final_epochs,
        searching + EXPERIMENT_SECONDS,
        training + EXPERIMENT_SECONDS,
        winning,
    )


def _trials(
    request: Request, data: Data, pace: float, at_a_time: int, seconds: float
) -> tuple[int, Part, int] | None:
    """Epochs, images and number of the search's trials; None if the seconds do not allow any."""
    for least, fewest_epochs in _ENOUGH:
        for epochs, part in fidelities(data):
            trial = SETUP_SECONDS + part.steps(epochs) * pace
            trials = int(seconds / trial * at_a_time)
            if epochs >= fewest_epochs and trials >= (request.trials or least):
                return epochs, part, request.trials or min(trials, _MOST_TRIALS)
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


@dataclass(frozen=True)
class LongTime:
    """What is left for the finalists' trainings, and for those on all data after them.

    Attributes:
        seconds: for both.
        finals: seconds for one image of one epoch of each finalist's training.
        winners: of each network that is trained on all training data.
        at_a_time: trainings of finalists at a time.
    """

    seconds: float
    finals: Sequence[float]
    winners: Sequence[float]
    at_a_time: int

    def affordable_epochs(self, part: Part, data: Data) -> int:
        """How many epochs each training may have, at most `MOST_FINAL_EPOCHS`.

        Args:
            part: the images of a finalist's training.
        """
        fewest, most = 0, MOST_FINAL_EPOCHS
        while fewest < most:
            middle = (fewest + most + 1) // 2
            if sum(self.needed(middle, part, data)) <= self.seconds:
                fewest = middle
            else:
                most = middle - 1
        return fewest

    def needed(self, epochs: int, part: Part, data: Data) -> tuple[float, float]:
        """Seconds of the finalists' trainings, some at a time, and of those on all data in turn."""
        of_finals = [SETUP_SECONDS + part.steps(epochs) * pace for pace in self.finals]
        gain = _ALL_CORES_GAIN if self.at_a_time > 1 else 1.0
        of_winners = (epochs * data.images * pace * gain for pace in self.winners)
        return _makespan(of_finals, self.at_a_time), sum(of_winners)


def choose_finals(
    ways: Sequence[tuple[Finals, LongTime]], data: Data, trial: Part, wanted: int | None
) -> tuple[Finals, Part, int]:
    """The long trainings, their images, and the epochs for which there is time.

    Args:
        ways: what is wanted first, then what must do, each with its time.
        trial: the images of a trial of the search, the fewest of a long training.
        wanted: the epochs that were asked for; None if they follow from the time.
    """
    parts = final_parts(data, trial)
    for finals, time in ways:
        for part in parts:
            epochs = time.affordable_epochs(part, data)
            if epochs >= (wanted or ENOUGH_FINAL_EPOCHS):
                return finals, part, epochs
    finals, time = ways[-1]
    return finals, parts[-1], time.affordable_epochs(parts[-1], data)


def _makespan(seconds: Sequence[float], at_a_time: int) -> float:
    """When the last of them ends, each started as soon as there is room."""
    ends = [0.0] * at_a_time
    for one in seconds:
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)
