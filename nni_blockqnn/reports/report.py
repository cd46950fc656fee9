"""The report of a search: one HTML file that needs nothing beside it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nni_blockqnn.codes.layer import CONV_KERNELS, LayerType
from nni_blockqnn.experiments import Results, TrialResult, distinct_best
from nni_blockqnn.reports import charts
from nni_blockqnn.reports.drawing import block_figure, colour, thumbnail_figure
from nni_blockqnn.reports.inline import inline_svg
from nni_blockqnn.reports.labels import label

_TABLE_ROWS = 20
_SHOWN_PROBLEMS = 5
_THUMBNAIL_SCALE = 0.34
_COLOURED = [(LayerType.CONV, kernel) for kernel in CONV_KERNELS] + [
    (layer_type, 0)
    for layer_type in (
        LayerType.MAX_POOL,
        LayerType.AVG_POOL,
        LayerType.IDENTITY,
        LayerType.ADD,
        LayerType.CONCAT,
    )
]
_SEPARATE = [(LayerType.RELU, 0), (LayerType.BN, 0)]


class _Chart(NamedTuple):
    svg: Markup
    caption: str


class _Ranked(NamedTuple):
    """A block of the report's table."""

    result: TrialResult
    thumbnail: Markup
    picture: Markup
    draw_command: str


def write_report(
    results: Results,
    path: str | Path,
    *,
    title: str | None = None,
    epsilon_by_episode: Mapping[int, float] | None = None,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write what the search found, with pictures, as one HTML file.

    Args:
        title: by default it names the experiment.
        epsilon_by_episode: the tuner's epsilon for each episode. Given, the report shows the mean
            accuracy at each epsilon.
        extra: further rows for the table of what was searched.
    """
    environment = Environment(
        loader=PackageLoader("nni_blockqnn.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"quantity": quantity, "duration": duration}
    best = distinct_best(results, len(results.trials))
    experiment = results.experiment
    page = environment.get_template("report.html").render(
        title=title or f"Search {experiment.name or experiment.id}",
        results=results,
        facts=_facts(results) | dict(extra or {}),
        networks=len(best),
        statuses=_statuses(results),
        failures=results.failures[-_SHOWN_PROBLEMS:],
        malformed=results.malformed[:_SHOWN_PROBLEMS],
        ranked=[_ranked(result) for result in best[:_TABLE_ROWS]],
        most_accurate=next(iter(distinct_best(results, 1, by="accuracy")), None),
        charts=_charts(results, best, epsilon_by_episode or {}),
        legend=_legend(results),
        correlations=_correlations(results),
    )
    Path(path).write_text(page, encoding="utf-8")


def quantity(number: float | None) -> str:
    """Such as "12.3 M", to three digits."""
    if number is None:
        return "–"
    if number < 1000:
        return f"{number:.0f}"
    rounded = float(f"{number:.3g}")
    exponent = math.floor(math.log10(rounded))
    group = min(exponent // 3, 4)
    return f"{rounded / 1000**group:,.{max(0, 2 - (exponent - 3 * group))}f} {' kMGT'[group]}"


def duration(seconds: float | None) -> str:
    """Such as "2 h 5 min"."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _facts(results: Results) -> dict[str, str]:
    """What was searched, and how."""
    experiment, config = results.experiment, results.experiment.config
    facts = {"Experiment": f"{experiment.id} ({experiment.status.lower()})"}
    if results.started is not None:
        started = datetime.fromtimestamp(results.started, tz=timezone.utc)
        facts["Started"] = f"{started:%Y-%m-%d %H:%M} UTC"
    for name, entry in (config.get("searchSpace") or {}).items():
        facts[f"Search space: {name}"] = _plain(
            entry.get("_value") if isinstance(entry, dict) else entry
        )
    tuner = config.get("tuner") or {}
    if tuner.get("classArgs"):
        facts["Tuner"] = _plain(tuner["classArgs"])
    if config.get("trialCommand"):
        facts["Trial"] = str(config["trialCommand"])
    return facts


def _plain(value: Any) -> str:
    """A setting as one line without brackets and quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return " or ".join(map(str, value))
    return str(value)


def _statuses(results: Results) -> str:
    named = {"SUCCEEDED": "succeeded", "FAILED": "failed", "USER_CANCELED": "cancelled"}
    counts = sorted(results.statuses.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{count:,} {named.get(status, status.lower().replace('_', ' '))}"
        for status, count in counts
    )


def _ranked(result: TrialResult) -> _Ranked:
    description = f"the block {result.block}"
    return _Ranked(
        result,
        inline_svg(
            thumbnail_figure(result.block), f"small picture of {description}", _THUMBNAIL_SCALE
        ),
        inline_svg(block_figure(result.block), f"picture of {description}"),
        f"blockqnn draw {shlex.quote(result.block.to_json())}",
    )


def _charts(
    results: Results, best: list[TrialResult], epsilon_by_episode: Mapping[int, float]
) -> list[_Chart]:
    trials = results.trials
    if not trials:
        return []
    window = charts.mean_window(len(trials))
    figures = [
        (
            charts.progress_chart(trials),
            f"Each result, the best accuracy so far and the mean of the last {window}.",
        ),
        (
            charts.cost_chart(trials, best[0]),
            "What accuracy costs. The upper left edge is where one wants to be.",
        ),
    ]
    stages = charts.accuracies_by_epsilon(trials, epsilon_by_episode)
    if stages:
        caption = (
            "Mean accuracy at each epsilon: the agent explores at 1 and uses what it learnt at 0."
        )
        figures.insert(1, (charts.stage_chart(stages), caption))
    return [_Chart(inline_svg(figure, caption), caption) for figure, caption in figures]


def _legend(results: Results) -> list[tuple[str, str]]:
    has_separate = any(trial.block.encoding == "separate" for trial in results.trials)
    kinds = _COLOURED + (_SEPARATE if has_separate else [])
    return [(colour(*kind), label(*kind)) for kind in kinds]


def _correlations(results: Results) -> dict[str, float | None]:
    accuracy = [trial.accuracy for trial in results.trials]
    return {
        name: charts.rank_correlation([getattr(trial, name) for trial in results.trials], accuracy)
        for name in ("flops", "density")
    }
