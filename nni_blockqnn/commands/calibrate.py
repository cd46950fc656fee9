"""``blockqnn calibrate``: how well early-stop results stand for final ones."""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from nni_blockqnn.calibration.judging import FEWEST_PAIRS, Calibration, Fit
from nni_blockqnn.calibration.judging import calibrate as calibrate_pairs
from nni_blockqnn.calibration.rank_statistics import Interval
from nni_blockqnn.commands._console import width_of
from nni_blockqnn.commands._measurements import Measurements, paired, read_measurements
from nni_blockqnn.trials.number_types import reward_weight, seed


class CalibrationOptions(NamedTuple):
    """What ``blockqnn pilot`` is told about its calibration, too.

    Attributes:
        mu: of the reward that is judged; default 1.
        rho: likewise; default 8.
        format: "table" (default) or "json".
        seed: of everything that is drawn; default 0.
    """

    mu: float = 1.0
    rho: float = 8.0
    format: str = "table"
    seed: int = 0


def calibrate(namespace: argparse.Namespace) -> int:
    return calibrate_results(namespace.search, namespace.final, calibration_options(namespace))


def calibration_options(namespace: argparse.Namespace) -> CalibrationOptions:
    """What a parser with :func:`add_calibration` has read."""
    return CalibrationOptions(*(getattr(namespace, name) for name in CalibrationOptions._fields))


def calibrate_results(search: str, final_results: str, options: CalibrationOptions) -> int:
    """Print how well early-stop results stand for final ones; returns the exit code.

    Args:
        search: an experiment's ID, or a file of early-stop results.
        final_results: likewise, of final ones.
    """
    sources = search, final_results
    early, final = map(read_measurements, sources)
    for source, measurements in zip(sources, (early, final), strict=True):
        _tell_of_others(source, measurements)
    pairs = paired(early.results, final.results)
    _tell_of_unpaired(early, final, len(pairs.final))
    rng = np.random.default_rng(options.seed)
    calibration = calibrate_pairs(pairs, options.mu, options.rho, rng=rng)
    if options.format == "json":
        print(json.dumps(_jsonable(calibration), indent=1))
    else:
        show(calibration)
    return 0


def _tell_of_others(source: str, measurements: Measurements) -> None:
    for problems, what in (
        (measurements.failures, "failed"),
        (measurements.unreadable, "unreadable"),
    ):
        if problems:
            print(
                f"{source}: {len(problems)} {what}, without a result; the last one: "
                f"{problems[-1].source}: {problems[-1].reason}",
                file=sys.stderr,
            )


def _tell_of_unpaired(early: Measurements, final: Measurements, pairs: int) -> None:
    counts = [len({one.network for one in side.results}) for side in (early, final)]
    if max(counts) > pairs:
        print(
            f"{pairs} networks are in both, of {counts[0]} stopped early and {counts[1]} final; "
            "the others do not count",
            file=sys.stderr,
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, what in (("search", "early-stop"), ("final", "final")):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help=f"{what} results: an experiment's ID, or a file as `blockqnn top --format json` "
            "(or csv) or `blockqnn pilot` writes it",
        )
    add_calibration(parser)


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """The options that ``blockqnn pilot`` has, too."""
    parser.add_argument(
        "--mu",
        type=reward_weight,
        default=1.0,
        help="of the reward that is judged (default: the paper's)",
    )
    parser.add_argument(
        "--rho",
        type=reward_weight,
        default=8.0,
        help="of the reward that is judged (default: the paper's)",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument(
        "--seed", type=seed, default=0, help="of all that is drawn (default: %(default)s)"
    )


def show(calibration: Calibration) -> None:
    """Print tables, the fitted weights, warnings, and what to put into the configuration."""
    console = Console(highlight=False, soft_wrap=True)
    mu, rho = map(_plain, calibration.given)
    lines: list[str | Table] = [
        f"{calibration.pairs} blocks, trained both ways; the reward's mu is {mu}, rho {rho}\n",
        "Rank correlation (Spearman) with the final accuracy, with 95 % intervals:",
        _correlations(calibration),
        "\nPoints of final accuracy that are missed:",
        _regrets(calibration),
        "\nGain: over the accuracy's. Left out: each pair ranked by weights that were fitted\n"
        "without it; believe that row.",
        f"\nbest weights, all pairs    {_fit_text(calibration.fit)}",
        f"best weights, better half  {_top_text(calibration, _fit_text(calibration.top_fit))}\n",
        *(f"warning: {warning}" for warning in calibration.warnings),
        f"\nFor the trialCommand of the configuration ({calibration.reason}):",
        f"  {trial_options(calibration)}",
    ]
    for line in lines:
        if isinstance(line, Table):  # whole, in a narrow terminal too
            console.width = max(console.width, width_of(line, console))
            console.print(line)
        else:
            console.print(line, markup=False, style="yellow" if line.startswith("warn") else None)


def trial_options(calibration: Calibration) -> str:
    """The trial's options that stand for the recommended weights."""
    mu, rho = calibration.recommended
    return f"--mu {_plain(mu)} --rho {_plain(rho)}"


def _plain(weight: float) -> str:
    """Three digits, without an exponent, as a command line takes it."""
    text = np.format_float_positional(weight, precision=3, fractional=False, trim="-")
    return "0" if float(text) == 0 else text


def _correlations(calibration: Calibration) -> Table:
    table = _table("ranked by", "all", "gain", "better half")
    reference, *_ = calibration.criteria
    for criterion in calibration.criteria:
        table.add_row(
            criterion.name,
            _text(criterion.correlation),
            "" if criterion is reference else _text(criterion.gain),
            _top_text(calibration, _text(criterion.top_correlation)),
        )
    return table


def _regrets(calibration: Calibration) -> Table:
    table = _table("ranked by", "by the first block", "by the best of the first 10 %")
    for criterion in calibration.criteria:
        regrets = criterion.regret, criterion.regret_of_tenth
        table.add_row(criterion.name, *(f"{regret:.2f}" for regret in regrets))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return table


def _top_text(calibration: Calibration, text: str) -> str:
    return "too few" if calibration.top_pairs < FEWEST_PAIRS else text


def _text(interval: Interval) -> str:
    """With room for a minus before each number, so that the column's numbers are in line."""
    if not math.isfinite(interval.low):
        return "?"
    return f"{interval.estimate:5.2f} [{interval.low:5.2f}, {interval.high:5.2f}]"


def _fit_text(fit: Fit) -> str:
    return ", ".join(
        f"{name} {_plain(one.estimate)} [{_plain(one.low)} to {_plain(one.high)}]"
        for name, one in (("mu", fit.mu), ("rho", fit.rho))
    )


def _jsonable(value: Any) -> Any:
    """Names of fields as keys; ``null`` for what could not be worked out."""
    if hasattr(value, "_asdict"):
        return {name: _jsonable(item) for name, item in value._asdict().items()}
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
