"""``blockqnn report``."""

from __future__ import annotations

import argparse

from nni_blockqnn.reports.final_report import write_final_report
from nni_blockqnn.reports.report import write_report
from nni_blockqnn.results.experiment import find_experiment, read_results
from nni_blockqnn.results.finalists import is_final_training
from nni_blockqnn.results.search_journal import epsilons


def report(arguments: argparse.Namespace) -> int:
    experiment = find_experiment(arguments.experiment)
    results, title = read_results(experiment), experiment.name or experiment.id
    if is_final_training(experiment.config):
        write_final_report(results, arguments.output, title=title)
    else:
        write_report(
            results,
            arguments.output,
            title=title,
            epsilon_by_episode=epsilons(experiment.directory),
        )
    print(f"wrote {arguments.output}")
    return 0
