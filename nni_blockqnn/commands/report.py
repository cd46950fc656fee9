"""``blockqnn report``."""

from __future__ import annotations

import argparse
from pathlib import Path

from nni_blockqnn.reports.final_report import write_final_report
from nni_blockqnn.reports.report import write_report
from nni_blockqnn.results.experiment import find_experiment, read_results
from nni_blockqnn.results.finalists import is_final_training

_FIGURES_NAME = "figures"


def report(arguments: argparse.Namespace) -> int:
    experiment = find_experiment(arguments.experiment)
    results, title = read_results(experiment), experiment.name or experiment.id
    page, figures = page_and_figures(arguments.output)
    if is_final_training(experiment.config):
        write_final_report(results, page, title=title, figures=figures)
    else:
        write_report(results, page, title=title, figures=figures)
    print(f"wrote {page}")
    if figures is not None and figures.is_dir():
        print(f"wrote {figures}/: every figure as SVG and PNG, its data as CSV")
    return 0


def page_and_figures(output: Path, name: str = "report.html") -> tuple[Path, Path | None]:
    """The page's file and the figures' folder: a name that ends in .html is of the page alone.

    Args:
        name: of the page in a folder.

    Raises:
        ValueError: if a folder is to be made where a file is.
    """
    if output.suffix.lower() in (".html", ".htm") and not output.is_dir():
        return output, None
    if output.is_file():
        raise ValueError(f"{output} is a file: -o takes a folder, or a page's name with .html")
    output.mkdir(parents=True, exist_ok=True)
    return output / name, output / _FIGURES_NAME
