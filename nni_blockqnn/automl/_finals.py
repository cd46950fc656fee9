"""From a search's results to the trainings of its finalists, and from these to the winner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl._recipes import final_options
from nni_blockqnn.automl._schedule import (
    ENDS_SECONDS,
    EXPERIMENT_SECONDS,
    FEWEST_FINAL_EPOCHS,
    REFERENCES,
    SETUP_SECONDS,
    Data,
    affordable_epochs,
    finalists_of,
)
from nni_blockqnn.automl.request import Request
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS, name_of
from nni_blockqnn.common.checks import is_number
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.exchange.finalists import finalists_space, write_finalists
from nni_blockqnn.exchange.parameters import TrialTask, read_task
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
    *("--dataset", "--data-dir", "--seed", "--metric"),
    *("--threads", "--workers", "--precision", "--device"),
)
"""Of a trial's, those that hold for the long trainings, too."""


class Winner(NamedTuple):
    """A network that is trained on all training data.

    Attributes:
        name: of its folder: "winner", or that of a hand-made block.
        validated: the finalist's accuracy on validation images in percent.
    """

    name: str
    block: Block
    task: TrialTask
    validated: float


def write_finals(folder: SearchFolder, request: Request, outline: Outline, results: Results) -> int:
    """Write the finalists of a search and the configuration that trains them; returns their epochs.

    Args:
        results: at least one.
    """
    config = results.experiment.config
    best = _best(results)
    repeats = best[0].repeats or SearchSpace.from_json(config["searchSpace"]).repeats[0]
    found = [one for one in best if name_of(one.block) is None and one.repeats == repeats]
    found = varied_results(found, request.finalists or finalists_of(len(results.trials)), results)
    space = _space(config, [one.block for one in found], repeats)
    epochs = request.final_epochs or _epochs(request, Data.of(outline), results, found)
    network = SearchSpace.from_json(config["searchSpace"]).spec
    recipe = [*final_options(outline, network.input_shape), f"--epochs {epochs}"]
    write_whole(folder.finalists.with_suffix(".yml"), _configuration(folder, config, space, recipe))
    write_finalists(folder.finalists, space)  # last: who finds it finds the other as well
    return epochs


def final_epochs(config: Mapping[str, Any]) -> int:
    """The epochs of the finalists' trainings, as their configuration says."""
    return int(trial_option(trial_arguments(config) or [], "--epochs", "0"))


def write_winners(folder: SearchFolder, results: Results) -> None:
    """Write the best finalist and the hand-made blocks beside it, with what they were validated at.

    Args:
        results: at least one.
    """
    ranked = distinct_best(results, len(results.trials))
    chosen = {"winner": ranked[0]}
    for one in ranked[1:]:
        if (name := name_of(one.block)) is not None:
            chosen[name] = one
    space = results.experiment.config["searchSpace"]
    shared = {key: entry["_value"][0] for key, entry in space.items()}
    write_whole(
        folder.winners,
        json.dumps(
            {
                name: {
                    "parameters": shared | {"block": one.block.to_json()},
                    "validated": one.reward,
                }
                for name, one in chosen.items()
            },
            indent=1,
        )
        + "\n",
    )


def read_winners(folder: SearchFolder) -> list[Winner]:
    """What :func:`write_winners` has written, the winner first."""
    found = json.loads(folder.winners.read_text(encoding="utf-8"))
    winners = []
    for name, entry in found.items():
        task = read_task(entry["parameters"])
        winners.append(Winner(name, task.block, task, float(entry["validated"])))
    return winners


def _best(results: Results) -> list[TrialResult]:
    """Best first: by what a predictor expects, for the highest of noisy results is a lucky one."""
    results = with_expected(results)
    is_expected = any(trial.expected is not None for trial in results.trials)
    return distinct_best(results, len(results.trials), "expected" if is_expected else "reward")


def _space(config: Mapping[str, Any], found: Sequence[Block], repeats: int) -> dict[str, Any]:
    searched = SearchSpace.from_json(config["searchSpace"])
    match = _match(config, searched, repeats)
    spec = NetworkSpec.from_parameter(searched.network, repeats)
    blocks = [
        *found,
        *(block for block in NAMED_BLOCKS.values() if _has_network(block, spec, match)),
    ]
    return finalists_space(blocks, repeats, searched.network, match)


def _match(config: Mapping[str, Any], space: SearchSpace, repeats: int) -> Match | None:
    given = ((config.get("tuner") or {}).get("classArgs") or {}).get("match")
    if given is None:
        return None
    return Match(*Match.of(given).target_in(space))


def _has_network(block: Block, spec: NetworkSpec, match: Match | None) -> bool:
    try:
        return match is None or bool(match.network(block, spec))
    except ValueError:
        return False


def _epochs(request: Request, data: Data, results: Results, found: Sequence[TrialResult]) -> int:
    """As many as the time that is left allows, by how long the search's trainings took."""
    usual = median(_pace(one, results, data.images) for one in results.trials)
    finals = [_pace(one, results, data.images) for one in found]
    hand_made = [usual] * REFERENCES
    left = request.seconds - (results.seconds or 0.0) - ENDS_SECONDS - 2 * EXPERIMENT_SECONDS
    epochs = affordable_epochs(
        left,
        data,
        [*finals, *hand_made],
        [max(finals, default=usual), *hand_made],
        results.experiment.config.get("trialConcurrency", 1),
    )
    return max(epochs, FEWEST_FINAL_EPOCHS)


def _pace(trial: TrialResult, results: Results, images: int) -> float:
    """Seconds for one image of one epoch; by all of the trial's time if it does not say more."""
    arguments = trial_arguments(results.experiment.config) or []
    limit = min(int(trial_option(arguments, "--limit", str(images))), images)
    seconds = trial.metric.get("epoch_seconds")
    if is_number(seconds) and seconds > 0:
        return float(seconds) / limit
    epochs = int(trial_option(arguments, "--epochs", "12"))
    return max((trial.seconds or 0.0) - SETUP_SECONDS, 1.0) / (epochs * limit)


def _configuration(
    folder: SearchFolder, config: Mapping[str, Any], space: Mapping[str, Any], recipe: Sequence[str]
) -> str:
    options = given_options(trial_arguments(config) or [], _KEPT_OPTIONS)
    command = command_with(config, [*options, *recipe, "--mu 0 --rho 0"])
    finalists = len(space["block"]["_value"])
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
    service = config.get("trainingService")
    active = isinstance(service, Mapping) and service.get("useActiveGpu") is True
    lines += [
        f"maxTrialNumber: {finalists}",
        "tuner:",
        "  className: nni_blockqnn.finalists_tuner.FinalistsTuner",
        "  codeDirectory: .",
        "trainingService:",
        "  platform: local",
        f"  useActiveGpu: {'true' if active else 'false'}",
    ]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """YAML of a text, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)
