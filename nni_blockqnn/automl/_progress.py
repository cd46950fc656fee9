"""What the display shows of each stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nni_blockqnn.automl._chosen import Winner
from nni_blockqnn.automl._finals import trial_epochs
from nni_blockqnn.automl._folder import Expected
from nni_blockqnn.automl.display import Display
from nni_blockqnn.automl.request import Request
from nni_blockqnn.blocks.named import NAMED_BLOCKS, name_of
from nni_blockqnn.bridge.statuses import FAILED, TRIAL_ENDED
from nni_blockqnn.common.messages import counted
from nni_blockqnn.network.measure import ACCURACY, Measure, measure_of
from nni_blockqnn.results.experiment import Results, distinct_best
from nni_blockqnn.results.finalists import learning_curves
from nni_blockqnn.training import EpochResult


class _ExperimentProgress:
    """Says which of NNI's experiments it is, and again where its web UI has another address."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._said = ""

    def _say_address(self, results: Results, url: str) -> None:
        said = f"NNI experiment {results.experiment.id}; its web UI: {url}"
        if said != self._said:
            self._display.say(said)
            self._said = said


class SearchProgress(_ExperimentProgress):
    """Shows trials done and the best so far beside the hand-made blocks."""

    def __init__(self, display: Display, request: Request, expected: Expected | None) -> None:
        super().__init__(display)
        self._request = request
        self._expected = expected

    def __call__(self, results: Results, url: str) -> None:
        self._say_address(results, url)
        ended = sum(results.statuses.get(status, 0) for status in TRIAL_ENDED)
        planned = int(results.experiment.config.get("maxTrialNumber") or ended)
        left = self._seconds_left(results, ended, planned)
        self._display.show("search", ended, planned, "trials", _best(results), left, url)

    def _seconds_left(self, results: Results, ended: int, planned: int) -> float | None:
        passed = results.seconds or 0.0
        if self._request.final_epochs is None:
            # the stages after the search are as long as the time that it leaves
            return max(self._request.seconds - passed, 0.0)
        if self._expected is None:
            return None
        search, everything = self._expected
        left = passed / ended * (planned - ended) if ended else max(search - passed, 0.0)
        return left + everything - search


class FinalsProgress(_ExperimentProgress):
    """Shows epochs of all finalists together."""

    def __init__(self, display: Display) -> None:
        super().__init__(display)
        self._began = time.monotonic()
        self._begun_at: int | None = None

    def __call__(self, results: Results, url: str) -> None:
        self._say_address(results, url)
        config = results.experiment.config
        finalists = int(config.get("maxTrialNumber") or len(results.trials))
        total = finalists * trial_epochs(config)
        curves = learning_curves(results.experiment).values()
        done = min(sum(curve[-1][0] for curve in curves), total)
        if self._begun_at is None:
            self._begun_at = done
        left = None
        if done > self._begun_at:
            each = (time.monotonic() - self._began) / (done - self._begun_at)
            left = each * (total - done)
        self._display.show(
            "finalists", done, total, "epochs", _best(results), left, url, of="these"
        )


class WinnerProgress:
    """Shows epochs of the networks that are trained on all training data.

    Attributes:
        seconds: that their epochs took, since this process began.
    """

    def __init__(
        self, display: Display, winners: Sequence[Winner], epochs: int, measure: Measure = ACCURACY
    ) -> None:
        """
        Args:
            epochs: of each.
            measure: what an epoch's accuracy is; default the accuracy of classes.
        """
        self.seconds = 0.0
        self._display = display
        self._winners = winners
        self._epochs = epochs
        self._measure = measure

    def of(self, winner: Winner) -> Callable[[EpochResult, int], None]:
        position = self._winners.index(winner)
        before, total = position * self._epochs, len(self._winners) * self._epochs
        cost = winner.cost or 1
        later = sum(one.cost or 1 for one in self._winners[position + 1 :]) / cost

        def show(epoch: EpochResult, epochs: int) -> None:
            self.seconds += epoch.seconds
            done = before + epoch.epoch
            value = self._measure.text(epoch.accuracy)
            text = f"{winner.folder}: {_named(self._measure, value)} on its training images"
            left = epoch.seconds * (epochs - epoch.epoch + later * epochs)
            self._display.show("winner", done, total, "epochs", text, left)

        return show


def _best(results: Results) -> str:
    """Such as "best: 97.22 % on validation images (residual 95.10 %, inception 96.00 %)"."""
    best = distinct_best(results, len(results.trials))
    if not best:
        return ""
    measure = measure_of(best[0].metric)
    named = {name_of(one.block): measure.text(one.reward) for one in best}
    hand_made = [f"{name} {named[name]}" for name in NAMED_BLOCKS if name in named]
    beside = f" ({', '.join(hand_made)})" if hand_made else ""
    failed = results.statuses.get(FAILED, 0)
    without = f", {counted(failed, 'trial')} failed" if failed else ""
    value = _named(measure, measure.text(best[0].reward))
    return f"best: {value} on validation images{beside}{without}"


def _named(measure: Measure, value: str) -> str:
    """An accuracy goes without saying."""
    return value if measure == ACCURACY else f"{measure.title} {value}"
