"""What a search leaves for people: network, report, pictures, tables, and how to repeat it."""

from __future__ import annotations

import csv
import io
import shlex

from nni_blockqnn.automl._chosen import Winner, by_cost
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl.answer import Answer, interval_text
from nni_blockqnn.automl.configuration import CONFIG_NAME
from nni_blockqnn.automl.request import Request
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.export import export_network, new_folder
from nni_blockqnn.reports.drawing import draw_image
from nni_blockqnn.reports.final_report import write_final_report
from nni_blockqnn.reports.model_card import write_model_card
from nni_blockqnn.reports.report import write_report
from nni_blockqnn.results.experiment import Results
from nni_blockqnn.results.search_journal import epsilons

_TRIAL_COLUMNS = ("episode", "reward", "accuracy", "flops", "params", "repeats", "width", "seconds")


def export_winner(folder: SearchFolder, winner: Winner) -> None:
    """Export a winner's network, as ``blockqnn export`` does; nothing if it is exported.

    Raises:
        ExportError: as :func:`nni_blockqnn.export.export_network`.
    """
    if winner.exported is None or (path := folder.path / winner.exported).exists():
        return
    with new_folder(path) as filled:
        exported = export_network(folder.training(winner.folder), filled)
        write_model_card(exported, filled)


def write_outputs(
    folder: SearchFolder, request: Request, answer: Answer, searched: Results, finals: Results
) -> None:
    """Write reports, pictures and tables: all but the answer itself, which is to come last."""
    path = folder.path
    frontier = answer.frontier
    measure = answer.judged_by
    rows = {
        f"Test {measure.title}, {row.name}{f' ({row.cost:,})' if len(frontier) > 1 else ''}": (
            f"{measure.text(row.accuracy)} ({interval_text(measure, row)})"
        )
        for one in frontier
        for row in one.rows
    }
    directory = searched.experiment.directory
    write_report(searched, path / "report.html", epsilon_by_episode=epsilons(directory), extra=rows)
    for at_cost in by_cost(finals):
        write_final_report(at_cost.results, path / f"finalists{at_cost.ending}.html")
    for one in frontier:
        name = f"block{(one.winner.exported or '').removeprefix('network')}"
        for ending in (".svg", ".png"):
            draw_image(one.block, path / f"{name}{ending}")
        write_whole(path / f"{name}.json", one.block.to_json() + "\n")
    write_whole(path / "results.csv", answer.to_csv())
    write_whole(path / "trials.csv", _trials(searched))
    script = path / "reproduce.sh"
    write_whole(script, _reproduce(request, answer))
    script.chmod(0o755)


def _trials(results: Results) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*_TRIAL_COLUMNS, "block"])
    for trial in results.trials:
        values = [getattr(trial, name) for name in _TRIAL_COLUMNS]
        writer.writerow([*values, trial.block.to_json()])
    return written.getvalue()


def _reproduce(request: Request, answer: Answer) -> str:
    given = request.to_json() | {"final_epochs": answer.epochs}
    options = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {shlex.quote(str(value))}")
        for name, value in given.items()
        if name != "data" and value is not None and value is not False
    ]
    data = shlex.quote(str(given["data"]))
    return f"""\
#!/bin/sh
# Repeats this search in a new folder, with the same configuration, seeds and epochs. Trials that
# run at a time end in another order each time, so a repetition may find another block.
set -eu
output=${{1:-again}}
mkdir -p "$output"
cp "$(dirname "$0")/{CONFIG_NAME}" "$output/"
exec blockqnn search {data} {" ".join(options)} -o "$output"
"""
