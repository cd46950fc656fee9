"""``blockqnn report``."""

from __future__ import annotations

import argparse

from nni_blockqnn.experiments import find_experiment, read_results
from nni_blockqnn.record.epsilons import epsilons
from nni_blockqnn.reports.report import write_report


def report(arguments: argparse.Namespace) -> int:
    experiment = find_experiment(arguments.experiment)
    write_report(
        read_results(experiment),
        arguments.output,
        title=experiment.name or experiment.id,
        epsilon_by_episode=epsilons(experiment.directory),
    )
    print(f"wrote {arguments.output}")
    return 0
