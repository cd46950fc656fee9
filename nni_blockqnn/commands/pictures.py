"""``blockqnn report`` and ``blockqnn draw``."""

from __future__ import annotations

import argparse

from nni_blockqnn.commands.block_argument import codes_argument
from nni_blockqnn.experiments import find_experiment, read_results
from nni_blockqnn.nsc import parse_any_block
from nni_blockqnn.record.epsilons import epsilons
from nni_blockqnn.reports.drawing import draw_image
from nni_blockqnn.reports.report import write_report
from nni_blockqnn.reports.text_graph import draw_text


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


def draw(arguments: argparse.Namespace) -> int:
    codes = codes_argument(arguments.block)
    block = parse_any_block(codes, "separate")  # it knows every type, and both look alike
    print(draw_text(block))
    if arguments.output is not None:
        draw_image(block, arguments.output, title=arguments.title)
        print(f"wrote {arguments.output}")
    return 0
