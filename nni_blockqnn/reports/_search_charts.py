"""The charts of a search's report, in its sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nni_blockqnn.reports._best_chart import best_chart
from nni_blockqnn.reports._cost_charts import pareto_chart, time_chart
from nni_blockqnn.reports._course_charts import course_chart
from nni_blockqnn.reports._plot import Chart
from nni_blockqnn.reports._prediction_chart import prediction_chart
from nni_blockqnn.reports._preference_charts import layer_chart, shape_chart
from nni_blockqnn.reports._stage_chart import stage_chart
from nni_blockqnn.reports._stages import Course
from nni_blockqnn.results.experiment import Results, TrialResult
from nni_blockqnn.results.predictions import foretold
from nni_blockqnn.results.search_settings import batch_size, random_episodes
from nni_blockqnn.results.slots import trial_spans


class SearchCharts(NamedTuple):
    """
    Attributes:
        course: how the search went.
        preferences: what the agent came to prefer.
        costs: what blocks cost, in FLOPs and in time, and how well they can be predicted.
    """

    course: list[Chart]
    preferences: list[Chart]
    costs: list[Chart]

    @property
    def all(self) -> list[Chart]:
        return [*self.course, *self.preferences, *self.costs]


def course_of(results: Results, epsilons: Mapping[int, float]) -> Course:
    return Course.of(results.trials, epsilons, batch_size(results.experiment), results.minimize)


def search_charts(results: Results, course: Course, best: TrialResult) -> SearchCharts:
    """
    Raises:
        ExperimentDatabaseError: if the experiment's database cannot be read.
    """
    by = main_score(results)
    random = random_episodes(results.experiment)
    return SearchCharts(
        [*_present(
            course_chart(course, by),
            course_chart(course, "reward") if _rewards_differ(results) else None,
            best_chart(results.trials, by, random, results.minimize),
            stage_chart(course.stages, by),
        )],
        [*_present(layer_chart(course.stages), shape_chart(course.stages))],
        [*_present(
            pareto_chart(results.trials, best, by, results.minimize),
            prediction_chart(foretold(results)),
            time_chart(trial_spans(results)),
        )],
    )  # fmt: skip


def main_score(results: Results) -> str:
    """ "accuracy", or "reward" if no trial reported an accuracy."""
    has_accuracy = any(trial.accuracy is not None for trial in results.trials)
    return "accuracy" if has_accuracy else "reward"


def _rewards_differ(results: Results) -> bool:
    """Whether the reward is another number than the accuracy, which is drawn."""
    return main_score(results) == "accuracy" and any(
        trial.accuracy is None or abs(trial.reward - trial.accuracy) > 1e-9
        for trial in results.trials
    )


def _present(*charts: Chart | None) -> Iterator[Chart]:
    return (chart for chart in charts if chart is not None)
