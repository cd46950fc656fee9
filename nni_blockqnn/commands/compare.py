"""``blockqnn compare``."""

from __future__ import annotations

import argparse
from pathlib import Path

from nni_blockqnn.commands.report import page_and_figures
from nni_blockqnn.reports.comparison import write_comparison
from nni_blockqnn.results.experiment import Experiment, find_experiment, read_results
from nni_blockqnn.results.finalists import is_final_training


def compare(arguments: argparse.Namespace) -> int:
    experiments = [find_experiment(named) for named in arguments.experiments]
    searches, finals = _sorted(experiments)
    page, figures = page_and_figures(arguments.output, "compare.html")
    write_comparison(
        [read_results(one) for one in searches],
        page,
        finals=[read_results(one) for one in finals],
        figures=figures,
    )
    print(f"wrote {page}")
    if figures is not None:
        print(f"wrote {figures}/: every figure as SVG and PNG, its data as CSV")
    return 0


def _sorted(experiments: list[Experiment]) -> tuple[list[Experiment], list[Experiment]]:
    """Searches and final trainings.

    Raises:
        ValueError: if one is named twice, or there is nothing to compare.
    """
    directories = [one.directory.resolve() for one in experiments]
    for one, directory in zip(experiments, directories, strict=True):
        if directories.count(directory) > 1:
            raise ValueError(f"experiment {one.id} is named twice: name each once")
    finals = [one for one in experiments if is_final_training(one.config)]
    searches = [one for one in experiments if one not in finals]
    if not searches or len(experiments) < 2:
        given = ", ".join(one.id for one in experiments)
        raise ValueError(
            "compare takes two searches or more, or a search and its final training, got "
            f"{given}; blockqnn report shows one experiment"
        )
    return searches, finals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiments",
        nargs="+",
        metavar="experiment",
        help="searches, and final trainings of their blocks: ID, the beginning of an ID, or folder",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("blockqnn-compare.html"),
        help="a page (.html), or a folder for the page and every figure as SVG, PNG and CSV "
        "(default: %(default)s)",
    )
