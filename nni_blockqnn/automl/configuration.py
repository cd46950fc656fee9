"""A plan as an ordinary configuration of NNI, with comments on what was chosen and why."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nni_blockqnn.automl._machine import Machine
from nni_blockqnn.automl._parts import Part
from nni_blockqnn.automl._recipes import metric_of, trial_batch
from nni_blockqnn.automl._schedule import FINAL_SEEDS
from nni_blockqnn.automl._words import in_words
from nni_blockqnn.automl.plan import Plan
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.tasks import CLASSIFICATION, find_task

CONFIG_NAME = "search.yml"
_SLACK = 1.1
"""By which a search may take longer than expected before NNI starts no more trials."""
_WIDTH = 96
_FEWEST_BEFORE_PREDICTION = 10


def configuration(plan: Plan) -> str:
    """The text of the search's configuration."""
    return f"{_comments(plan)}\n{_settings(plan)}"


def plan_lines(plan: Plan) -> list[str]:
    """What was seen and what will be done, for people."""
    outline, size, found = plan.outline, plan.size, plan.schedule
    channels, height, width = size.spec.input_shape
    stages = "-".join(map(str, size.spec.filters))
    widths = ", ".join(f"{name} {size.of_block(name).filters[0]}" for name in NAMED_BLOCKS)
    trial = f"{found.epochs} epochs on {_images(found.part, outline)}"
    is_open = plan.request.final_epochs is None
    epochs = (
        f"about {found.final_epochs} epochs, as time is left"
        if is_open
        else (f"{found.final_epochs} epochs")
    )
    again = ""
    if found.finals.again:
        again = f", the best {found.finals.again} of them {FINAL_SEEDS} times"
    colour = "grey" if channels == 1 else "in colour" if channels == 3 else f"{channels} channels"
    on = "" if found.final_part.limit is None else f" on {_images(found.final_part, outline)}"
    task = find_task(outline.task)
    lines = [
        f"data: {outline.dataset}, {outline.classes} {task.outputs}, {outline.trained:,} images to "
        f"train on{_each(outline)}, {_validation(plan)}, {outline.tested:,} test images",
        *(f"note: {note}" for note in outline.notes),
        f"input: {width}x{height} pixels (width x height), {colour}",
        f"networks: {size.flops:,} multiply-accumulates an image, all of them ({size.name}); "
        f"filters {stages} scaled to that (first stage: {widths}), {size.spec.repeats} "
        f"{'block' if size.spec.repeats == 1 else 'blocks'} a stage",
        f"search: {found.trials} trials of {trial}, {plan.machine.at_a_time} at a time on "
        f"{_place(plan)}, about {in_words(found.search_seconds)}",
        f"finalists: {found.finalists} and the {len(NAMED_BLOCKS)} hand-made ones{again}, "
        f"{epochs}{on}, about {in_words(found.finals_seconds)}",
        f"winner: on all training images, and the hand-made ones alike, about "
        f"{in_words(found.winner_seconds)}; then the test images, once",
        f"in all: about {in_words(found.seconds)} of {in_words(plan.request.seconds)}",
    ]
    if plan.request.frontier:
        costs = ", ".join(f"{cost:,}" for cost in sorted(plan.costs))
        lines.insert(-3, f"frontier: finalists and winners at {costs} multiply-accumulates each")
    if task is not CLASSIFICATION:
        less = ", of which less is better" if task.main.direction == "minimize" else ""
        lines.insert(0, f"task: {outline.task}, judged by {task.main.axis}{less}")
    if metric_of(plan.outline) != "accuracy":
        lines.insert(
            1,
            "classes: of very different sizes, so blocks are rewarded for the mean of "
            "the classes' accuracies",
        )
    return lines


def _images(part: Part, outline: Outline) -> str:
    if part.limit is None:
        return f"{outline.trained:,} images"
    return f"{part.limit:,} images, validated on {part.validated:,}"


def _each(outline: Outline) -> str:
    counts = outline.counts
    if len(counts) == 1:
        return ""
    fewest, most = f"{min(counts):,}", f"{max(counts):,}"
    return f" ({fewest} a class)" if fewest == most else f" ({fewest} to {most} a class)"


def _place(plan: Plan) -> str:
    if hosts := plan.machine.hosts:
        named = ", ".join(host.host for host in hosts)
        return f"{named} (if these are as fast as this machine)"
    return "the GPU" if plan.machine.gpus else "the CPU"


def _validation(plan: Plan) -> str:
    validated = plan.outline.validated
    return f"{validated:,} to validate" if validated else "10 % of them held out to validate"


def _comments(plan: Plan) -> str:
    title = f"A search for {_one_line(plan.request.data)}, written by blockqnn init."
    lines = [title, ""]
    for line in plan_lines(plan):
        lines += textwrap.wrap(
            _one_line(line), _WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    lines += [
        "",
        "It is an ordinary configuration of NNI. Change it as you like, before the search begins:",
        "",
        *("  " + line for line in _hints(plan)),
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _hints(plan: Plan) -> Iterator[str]:
    yield "more trials        maxTrialNumber and budget alike, and maxExperimentDuration"
    yield "longer trials      --epochs and --limit (without it and --validation-images: all images)"
    yield "larger networks    match, and filters of network"
    if plan.machine.hosts:
        yield "other machines     machineList"
    elif plan.machine.gpus:
        yield "several GPUs       trialConcurrency: <GPUs>   trialGpuNumber: 1"
    else:
        yield "a GPU              without --device cpu and --threads"
    yield ""
    yield f"blockqnn check {CONFIG_NAME}      would it work, and how long would it take?"
    yield f"blockqnn create {CONFIG_NAME}     the search alone, as nnictl create --config does"
    yield "blockqnn search ...             in this folder: the search, and all that follows it"


def _settings(plan: Plan) -> str:
    machine, found = plan.machine, plan.schedule
    name = json.dumps(experiment_name(plan), ensure_ascii=False)
    gpu = "trialGpuNumber: 1" if machine.trials_with_a_gpu else "# trialGpuNumber: 1"
    command = trial_command(plan)
    own_code = ""
    if is_reference(plan.outline.dataset) or is_reference(plan.outline.task):
        own_code = f"trialCodeDirectory: {json.dumps(str(Path.cwd()), ensure_ascii=False)}\n"
    return f"""\
experimentName: {name}
searchSpace:
  block:
    _type: nsc
    _value: {{max_layers: {plan.max_layers}, conv_kernels: [1, 3, 5], pool_kernels: [1, 3]}}
  repeats: {{_type: choice, _value: [{plan.size.spec.repeats}]}}
  network:
    _type: choice
    _value: ['{plan.size.network}']
trialCommand: {_folded(command)}
{own_code}trialConcurrency: {machine.at_a_time}
{gpu}
maxTrialNumber: {found.trials}
maxExperimentDuration: {_most_seconds(plan)}s   # then no more trials are started
tuner:
  className: nni_blockqnn.tuner.BlockQNNTuner
  codeDirectory: .   # NNI asks for one; the class comes from the installed package
  classArgs:
    preset: tuned
    budget: {found.trials}   # as maxTrialNumber
    seed: {plan.request.seed}
    predictor: wl   # chooses which blocks are worth a training, after as many drawn by chance
    candidates: {{first_results: {_drawn_by_chance(found.trials)}}}
    match: {{flops: {plan.size.flops}}}   # every network costs the same, by its filters
    start_blocks: [residual, inception]   # hand-made blocks first, in the same race
    optimize_mode: maximize
trainingService:
{_service(machine)}
"""


def _drawn_by_chance(trials: int) -> int:
    """Half of the trials, so that the long trainings have blocks of many kinds to choose from; the
    predictor asks for ten."""
    return max(_FEWEST_BEFORE_PREDICTION, trials // 2)


def _most_seconds(plan: Plan) -> int:
    """As planned and a tenth more; if the trials are a given number, what all the hours allow."""
    found, request = plan.schedule, plan.request
    most = found.search_seconds * _SLACK
    if request.trials is not None:
        most = max(most, request.seconds - (found.seconds - found.search_seconds))
    return round(most) + 1


def _service(machine: Machine) -> str:
    if not machine.hosts:
        active = "true" if machine.trials_with_a_gpu else "false"
        return (
            f"  platform: local\n  useActiveGpu: {active}   # NNI asks for it beside trialGpuNumber"
        )
    hosts = (json.dumps(host.to_nni(), ensure_ascii=False) for host in machine.hosts)
    return "\n".join(
        [
            "  platform: remote",
            "  reuseMode: false   # with true, a host runs one trial, and none after a kill",
            "  machineList:",
            *(f"    - {host}" for host in hosts),
        ]
    )


def experiment_name(plan: Plan) -> str:
    """What NNI's web UI shows."""
    data = plan.outline.dataset
    if data == "image-folder":
        data = plan.outline.data_dir.name
    return f"BlockQNN on {_one_line(data)}"


def trial_command(plan: Plan) -> list[str]:
    """The lines of a trial's command."""
    outline, found, machine = plan.outline, plan.schedule, plan.machine
    batch_size = trial_batch(found.part.limit or outline.trained)
    sizes = [f"--epochs {found.epochs} --batch-size {batch_size} --seed {plan.request.seed}"]
    sizes += found.part.options
    placed = []
    if not machine.hosts and not machine.trials_with_a_gpu:
        placed.append(f"--device {machine.device}")
    if not machine.hosts and machine.threads is not None:
        placed.append(f"--threads {machine.threads}")
    named = metric_of(outline)
    metric = [] if named == "accuracy" else [f"--metric {named}"]
    resident = [] if machine.hosts else ["--resident"]  # on hosts it has not been tried
    purpose = "" if outline.task == CLASSIFICATION.name else f"--task {outline.task} "
    lines = [
        f"python -m nni_blockqnn.trial {purpose}--dataset {outline.dataset}",
        f"--data-dir {shlex.quote(str(outline.data_dir))}",
        f"--recipe early-stop {' '.join(sizes)}",
        " ".join(["--mu 0 --rho 0", *metric, *placed, *resident]),
    ]
    return [line for line in lines if line]


def _folded(lines: list[str]) -> str:
    """YAML of a command: a folded text, or a quoted one if a line of it could not be."""
    if any(not line.isprintable() for line in lines):
        return json.dumps(" ".join(lines), ensure_ascii=False)
    return ">-\n" + "\n".join(f"  {line}" for line in lines)


def _one_line(text: Any) -> str:
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(text))).strip()
