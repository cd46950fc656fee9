"""From images to a network in use: every stage is gone through, or found done.

    search       NNI       many short trainings at equal cost       -> finalists.json, .yml
    finalists    NNI       the best and the hand-made ones, long    -> winner.json
    winner       here      on all training data, tested once        -> trained/
    export       here      network/, reports, tables                -> result.json

Each stage's result appears whole or not at all, and each stage itself goes on where a kill cut it
off. So to resume is to go through them again.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nni_blockqnn.automl._chosen import read_winners, write_winners
from nni_blockqnn.automl._experiments import Stage, carry_out, check_results, run_lost_again
from nni_blockqnn.automl._finals import trial_epochs, write_finals
from nni_blockqnn.automl._folder import Expected, SearchFolder
from nni_blockqnn.automl._outlines import look_at
from nni_blockqnn.automl._outputs import export_winner, write_outputs
from nni_blockqnn.automl._progress import FinalsProgress, SearchProgress, WinnerProgress
from nni_blockqnn.automl._winners import train_winner, winner_arguments
from nni_blockqnn.automl.answer import Answer, row_of
from nni_blockqnn.automl.configuration import configuration, plan_lines
from nni_blockqnn.automl.display import Display
from nni_blockqnn.automl.plan import Plan, make_plan
from nni_blockqnn.automl.request import Request, RequestError
from nni_blockqnn.common.files import write_configuration, write_whole
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.results.experiment import Results, read_results
from nni_blockqnn.trials.training import task_facts

SEARCH, FINALISTS = "search", "finalists"
_TRIES_OF_LOST = 2
"""Of finalists whose trainings were killed or have failed."""


def initialise(request: Request, output: Path, tell: Callable[[str], None]) -> Plan:
    """Write the configuration of a request into its folder; returns what was chosen.

    Raises:
        RequestError, DataError, ValueError: naming what is wrong, and what to do.
    """
    folder = SearchFolder(output)
    folder.check(request)
    if folder.config.exists():
        raise FileExistsError(
            f"{folder.config} is there already: run blockqnn search, or name another folder with -o"
        )
    plan = make_plan(request, tell)
    folder.claim(request, plan.outline.fingerprint, _expected(plan))
    try:
        write_configuration(folder.config, configuration(plan))
    finally:
        folder.release()
    return plan


def has_begun(output: Path) -> bool:
    """Whether the search itself was started in this folder."""
    return SearchFolder(output).experiment(SEARCH) is not None


def own_folder(request: Request, output: Path) -> Path:
    """``output``, or the first of output-2, output-3, ... that is nobody's or this search's, and
    not finished."""
    for number in itertools.count(1):
        path = output if number == 1 else output.with_name(f"{output.name}-{number}")
        folder = SearchFolder(path)
        try:
            folder.check(request)
        except RequestError:
            continue
        if not folder.answer.exists():
            return path
    raise AssertionError("there are more names than folders")


def run(request: Request, output: Path, display: Display, port: int | None = None) -> Answer:
    """Go the whole way, or what is left of it.

    Args:
        port: of NNI's web UI; default None, the first free one.

    Raises:
        RequestError, DataError, StageError, LaunchError, ValueError: one line that says what is
            wrong, and what to do.
    """
    folder = SearchFolder(output)
    folder.check(request)
    if folder.answer.exists():
        return Answer.from_json(folder.answer.read_text(encoding="utf-8"))
    began = time.monotonic()
    outline = look_at(request)
    plan = None if folder.config.exists() else make_plan(request, display.say)
    folder.claim(request, outline.fingerprint, _expected(plan) if plan else None)
    try:
        if plan is not None:
            for line in plan_lines(plan):
                display.say(line)
            write_configuration(folder.config, configuration(plan))
        answer = _stages(request, outline, folder, display, port)
        answer = replace(answer, seconds=max(answer.seconds, time.monotonic() - began))
        write_whole(folder.answer, answer.to_json())
        return answer
    finally:
        folder.release()


def _expected(plan: Plan) -> Expected:
    return Expected(plan.schedule.search_seconds, plan.schedule.seconds)


def _stages(
    request: Request, outline: Outline, folder: SearchFolder, display: Display, port: int | None
) -> Answer:
    """All of them; the answer's seconds are theirs, as far as they are known."""
    searched = _searched(request, outline, folder, display, port)
    finals = _finalists_trained(folder, display, port)
    winners = read_winners(folder)
    arguments = winner_arguments(finals.experiment.config)
    epochs, task = arguments.chosen_recipe().epochs, arguments.chosen_task()
    progress = WinnerProgress(display, winners, epochs, task.main)
    rows = []
    for winner in winners:
        facts = train_winner(folder, winner, arguments, progress.of(winner))
        rows.append(row_of(winner, facts, outline.tested))
    display.say("exports the winner's network and writes the report")
    for winner in winners:
        export_winner(folder, winner)
    answer = Answer(
        data=request.data,
        rows=tuple(rows),
        tested=outline.tested,
        epochs=epochs,
        trials=len(searched.trials),
        seconds=(searched.seconds or 0.0) + (finals.seconds or 0.0) + progress.seconds,
        experiments={SEARCH: searched.experiment.id, FINALISTS: finals.experiment.id},
        planned_seconds=folder.expected and folder.expected.everything,
        task=arguments.task,
        measure=task_facts(task).get("measure"),
    )
    write_outputs(folder, request, answer, searched, finals)
    return answer


def _searched(
    request: Request, outline: Outline, folder: SearchFolder, display: Display, port: int | None
) -> Results:
    stage = Stage(folder, SEARCH, folder.config, port)
    experiment = stage.experiment
    if folder.finalists.exists() and experiment is not None:
        return read_results(experiment)
    display.say("the search begins" if experiment is None else "the search goes on")
    results = carry_out(stage, SearchProgress(display, request, folder.expected))
    check_results(results)
    epochs = write_finals(folder, request, outline, results)
    display.say(f"the search is done: {len(results.trials)} results; finalists get {epochs} epochs")
    return results


def _finalists_trained(folder: SearchFolder, display: Display, port: int | None) -> Results:
    stage = Stage(folder, FINALISTS, folder.finalists.with_suffix(".yml"), port)
    if folder.winners.exists() and (experiment := stage.experiment) is not None:
        return read_results(experiment)
    watch = FinalsProgress(display)
    results = carry_out(stage, watch)
    for _ in range(_TRIES_OF_LOST):
        if (again := run_lost_again(stage, watch)) is None:
            break
        results = again
    check_results(results)
    write_winners(folder, results)
    display.say(
        f"{len(results.trials)} finalists are trained {trial_epochs(results.experiment.config)} "
        "epochs; the best one on validation images is trained on all training images"
    )
    return results
