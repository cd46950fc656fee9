"""From a search's results to the trainings of its finalists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import yaml

from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl._parts import HELD_OUT, Data, Part
from nni_blockqnn.automl._recipes import final_options
from nni_blockqnn.automl._schedule import (
    ENDS_SECONDS,
    EXPERIMENT_SECONDS,
    FEWEST_FINAL_EPOCHS,
    FINAL_SEEDS,
    REFERENCES,
    SETUP_SECONDS,
    LongTime,
    choose_finals,
    ways_to_choose,
)
from nni_blockqnn.automl._sizing import frontier_costs
from nni_blockqnn.automl.request import Request
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS, name_of
from nni_blockqnn.common.checks import is_number
from nni_blockqnn.common.files import write_configuration
from nni_blockqnn.common.messages import shown
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.exchange.finalists import (
    FINALISTS_TUNER,
    Further,
    finalist_tasks,
    finalists_space,
    write_finalists,
)
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.results.expected import varied_results, with_expected
from nni_blockqnn.results.experiment import Results, TrialResult, distinct_best
from nni_blockqnn.results.trial_command import (
    command_with,
    given_options,
    trial_arguments,
    trial_option,
)
from nni_blockqnn.space.match import Match
from nni_blockqnn.space.search_space import SearchSpace

_KEPT_OPTIONS = (
    *("--task", "--dataset", "--data-dir", "--seed", "--metric"),
    *("--threads", "--workers", "--precision", "--device"),
)
"""Of a trial's, those that hold for the long trainings, too."""


def write_finals(folder: SearchFolder, request: Request, outline: Outline, results: Results) -> int:
    """Write the finalists of a search and the configuration that trains them; returns their epochs.

    Args:
        results: at least one.

    Raises:
        ValueError: if a frontier is asked for, and the search's configuration allows none.
    """
    config = results.experiment.config
    best = _best(results)
    repeats = best[0].repeats or SearchSpace.from_json(config["searchSpace"]).repeats[0]
    matches, spec = _matches(config, request.frontier), _spec(config, repeats)
    found = [one for one in best if name_of(one.block) is None and one.repeats == repeats]
    found = [one for one in found if _has_network(one.block, spec, matches)]
    scales = [int(match.value) / int(matches[0].value) for match in matches] or [1.0]
    data = Data.of(outline)
    trial = _trial_part(config, data)
    firsts = {
        finals: varied_results(found, finals.first, results)
        for finals in ways_to_choose(request, len(results.trials))
    }
    ways = [
        (finals, _time_left(request, results, trial, first, finals.further, scales))
        for finals, first in firsts.items()
    ]
    finals, part, affordable = choose_finals(ways, data, trial, request.final_epochs)
    first = firsts[finals]
    epochs = request.final_epochs or max(affordable, FEWEST_FINAL_EPOCHS)
    space = _space(config, [one.block for one in first], repeats, matches)
    network = SearchSpace.from_json(config["searchSpace"]).spec
    recipe = [*final_options(outline, network.input_shape), f"--epochs {epochs}", *part.options]
    further = None
    if finals.further:
        further = Further(results.experiment.id, finals.more, finals.again, FINAL_SEEDS)
    text = _configuration(folder, config, space, recipe, further)
    write_configuration(folder.finalists.with_suffix(".yml"), text)
    write_finalists(folder.finalists, space)  # last: who finds it finds the other as well
    return epochs


def trial_epochs(config: Mapping[str, Any]) -> int:
    """The epochs of an experiment's trials, as its configuration says, or the recipe's own."""
    return int(trial_option(trial_arguments(config) or [], "--epochs", "12"))


def _best(results: Results) -> list[TrialResult]:
    """Best first: by what a predictor expects, for the highest of noisy results is a lucky one."""
    results = with_expected(results)
    is_expected = any(trial.expected is not None for trial in results.trials)
    return distinct_best(results, len(results.trials), "expected" if is_expected else "reward")


def _space(
    config: Mapping[str, Any], found: Sequence[Block], repeats: int, matches: Sequence[Match]
) -> dict[str, Any]:
    spec = _spec(config, repeats)
    hand_made = [block for block in NAMED_BLOCKS.values() if _has_network(block, spec, matches)]
    network = SearchSpace.from_json(config["searchSpace"]).network
    return finalists_space([*found, *hand_made], repeats, network, *matches)


def _spec(config: Mapping[str, Any], repeats: int) -> NetworkSpec:
    network = SearchSpace.from_json(config["searchSpace"]).network
    return NetworkSpec.from_parameter(network, repeats)


def _matches(config: Mapping[str, Any], frontier: bool) -> list[Match]:
    """The costs at which finalists are compared, the search's own first; none if it had none."""
    given = ((config.get("tuner") or {}).get("classArgs") or {}).get("match")
    if given is None and not frontier:
        return []
    space = SearchSpace.from_json(config["searchSpace"])
    target = None if given is None else Match.of(given).target_in(space)
    if not frontier:
        return [Match(*target)] if target else []
    if target is None or target.measure != "flops":
        raise ValueError(
            "frontier: the search's configuration must have a match such as {flops: 40000000}, got "
            f"{shown(given)}"
        )
    spec = space.spec.with_repeats(max(space.repeats))
    return [Match("flops", cost) for cost in frontier_costs(spec, target.value)]


def _has_network(block: Block, spec: NetworkSpec, matches: Sequence[Match]) -> bool:
    """Whether the block comes to the search's own cost."""
    try:
        return not matches or bool(matches[0].network(block, spec))
    except ValueError:
        return False


def _trial_part(config: Mapping[str, Any], data: Data) -> Part:
    """The images of the search's trials, whose options a user may have changed."""
    arguments = trial_arguments(config) or []
    limit = int(trial_option(arguments, "--limit", str(data.images)))
    part = data.part(limit, trial_epochs(config))
    validated = int(trial_option(arguments, "--validation-images", "0"))
    if validated or part.limit is None:
        return part._replace(validated=validated or part.validated)
    if data.validated:
        return part._replace(validated=data.validated)
    held_out = round(limit * HELD_OUT)
    return part._replace(trained=limit - held_out, validated=held_out)


def _time_left(
    request: Request,
    results: Results,
    part: Part,
    found: Sequence[TrialResult],
    further: int,
    scales: Sequence[float],
) -> LongTime:
    """The time for the long trainings, by how long the search's trainings took.

    Args:
        part: the images of a trial of the search.
        found: that are trained long.
        further: trainings of others, or of the same ones again.
        scales: what the long trainings' networks cost, in times of the search's.
    """
    usual = median(_pace(one, results, part) for one in results.trials)
    finals = [_pace(one, results, part) for one in found]
    hand_made = [usual] * REFERENCES
    others = [fmean(finals) if finals else usual] * further
    finalists = [pace * scale for pace in (*finals, *others, *hand_made) for scale in scales]
    winners = [
        pace * scale for pace in (max(finals, default=usual), *hand_made) for scale in scales
    ]
    left = request.seconds - (results.seconds or 0.0) - ENDS_SECONDS - 2 * EXPERIMENT_SECONDS
    at_a_time = results.experiment.config.get("trialConcurrency", 1)
    return LongTime(left, finalists, winners, at_a_time)


def _pace(trial: TrialResult, results: Results, part: Part) -> float:
    """Seconds for one image of one epoch; by all of the trial's time if it does not say more."""
    epochs = trial_epochs(results.experiment.config)
    seconds = trial.metric.get("epoch_seconds")
    if is_number(seconds) and seconds > 0:
        return float(seconds) * epochs / part.steps(epochs)
    return max((trial.seconds or 0.0) - SETUP_SECONDS, 1.0) / part.steps(epochs)


def _configuration(
    folder: SearchFolder,
    config: Mapping[str, Any],
    space: Mapping[str, Any],
    recipe: Sequence[str],
    further: Further | None,
) -> str:
    options = given_options(trial_arguments(config) or [], _KEPT_OPTIONS)
    command = command_with(config, [*options, *recipe, "--mu 0 --rho 0"])
    trials = len(finalist_tasks(space)) + (further.trainings if further else 0)
    name = config.get("experimentName") or "a search"
    lines = [
        "# The finalists of the search beside this file, each trained long and validated on images",
        "# that were held out. Written by blockqnn search, which chooses the winner by them.",
        "",
        f"experimentName: {_text(f'Finalists of {name}')}",
        "searchSpaceFile: finalists.json",
        f"trialCommand: {_text(command)}",
        f"trialConcurrency: {config.get('trialConcurrency', 1)}",
    ]
    code = config.get("trialCodeDirectory")
    if isinstance(code, str) and Path(code).resolve() != folder.path.resolve():
        lines.append(f"trialCodeDirectory: {_text(code)}")
    if isinstance(gpus := config.get("trialGpuNumber"), int):
        lines.append(f"trialGpuNumber: {gpus}")
    lines += [
        f"maxTrialNumber: {trials}",
        "tuner:",
        f"  className: {FINALISTS_TUNER}",
        "  codeDirectory: .",
    ]
    if further is not None:
        lines += ["  classArgs:   # after the finalists, what their results ask for"]
        lines += [f"    {name}: {json.dumps(value)}" for name, value in further._asdict().items()]
    lines += [
        *_service(folder),
    ]
    return "\n".join(lines) + "\n"


def _service(folder: SearchFolder) -> Iterator[str]:
    """Where the search's configuration has its trials run; here if it does not say."""
    try:
        written = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
        service = written["trainingService"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        written, service = {}, {"platform": "local"}
    if "nniManagerIp" in written:
        yield f"nniManagerIp: {_text(written['nniManagerIp'])}"
    yield f"trainingService: {json.dumps(service, ensure_ascii=False)}"


def _text(text: str) -> str:
    """YAML of a text, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)
