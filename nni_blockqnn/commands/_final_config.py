"""The configuration that trains finalists, made from a template and the search's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nni_blockqnn.commands._templates import template
from nni_blockqnn.common.files import write_configuration
from nni_blockqnn.common.json_text import read_json
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.finalists import FINALISTS_TUNER, Further
from nni_blockqnn.network.spec import PRESETS
from nni_blockqnn.results.experiment import Experiment
from nni_blockqnn.results.trial_command import (
    command_with,
    given_options,
    trial_arguments,
    trial_option,
)

_GENERAL = "cifar100"
"""The data set whose template also serves those without a template of their own."""
_DATA_OPTIONS = ("--task", "--dataset", "--data-dir", "--limit", "--validation-images", "--seed")
_MACHINE_OPTIONS = ("--threads", "--workers", "--precision", "--device")
TASK_RECIPES = {"keypoints": "keypoints-final"}
"""As the tasks themselves say, which would load PyTorch; of others it is the template's."""
_HINTS = "#   fewer epochs"
"""How the part of a template's comments begins that is true of any finalists."""
_ORIGINS = {
    "search": "as the search was",
    "network": "another data set than the search's",
    "unknown": "its network's data: of the search's own, its trial says nothing",
}
_TITLES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "fashion_mnist": "Fashion-MNIST",
    "imagenet": "ImageNet",
}


class FinalData(NamedTuple):
    """What finalists are trained on.

    Attributes:
        dataset: a trial's ``--dataset``.
        options: the search's own options that hold for the final trainings, too.
        origin: "search", what the search trained on; "network", what the network's preset is made
            for, and not the search's; "unknown", the same where the search's own data is not known.
    """

    dataset: str
    options: tuple[str, ...]
    origin: Literal["search", "network", "unknown"]


class Written(NamedTuple):
    """A configuration of finalists.

    Attributes:
        is_kept: whether it was there, so that only its number of trials was changed.
    """

    path: Path
    data: FinalData
    is_kept: bool


def write_config(
    finalists: Path,
    search: Experiment,
    network: str,
    trials: int,
    further: Further | None = None,
) -> Written:
    """Write the configuration beside the file of finalists.

    It has the search's own data, seed, limit, threads and precision, unless the network is made for
    other images. If it exists already, only its number of trials and what follows the finalists
    are changed.

    Args:
        finalists: the file of finalists.
        network: a preset's name or JSON text of NetworkSpec's fields.
        trials: how many finalists there are.
        further: what is trained after them.

    Raises:
        ValueError: if another file has the configuration's name.
        OSError: if it cannot be read or written.
    """
    path = finalists.with_suffix(".yml")
    searched = f"searchSpaceFile: {json.dumps(finalists.name)}"
    data = _final_data(search, network)
    is_kept = path.exists()
    if not is_kept:
        text = _with_line(_from_template(data, search, path.parent), searched)
    elif searched not in (text := path.read_text(encoding="utf-8")).splitlines():
        raise ValueError(
            f"{path} would be the finalists' configuration, but a file of that name is there "
            f"without the line {shown(searched)}: name another file with --output"
        )
    text = _with_further(text, further)
    trials += 0 if further is None else further.trainings
    write_configuration(path, _with_line(text, f"maxTrialNumber: {trials}"))
    return Written(path, data, is_kept)


def _final_data(search: Experiment, network: str) -> FinalData:
    arguments = trial_arguments(search.config) or []
    searched = trial_option(arguments, "--dataset", "")
    machine = given_options(arguments, _MACHINE_OPTIONS)
    preset = _preset(network)
    if searched and preset in (None, _preset(_searched_network(search))):
        options = (*given_options(arguments, _DATA_OPTIONS), *machine)
        return FinalData(searched, options, "search")
    return FinalData(preset or "cifar10", tuple(machine), "network" if searched else "unknown")


def _searched_network(search: Experiment) -> str:
    entry = (search.config.get("searchSpace") or {}).get("network")
    values = entry.get("_value") if isinstance(entry, Mapping) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _preset(network: str) -> str | None:
    """The preset that a network is made from; None if it names none."""
    if network in PRESETS:
        return network
    try:
        fields: Any = read_json(network)
    except ValueError:
        return None
    return fields.get("preset") if isinstance(fields, dict) else None


def _from_template(data: FinalData, search: Experiment, folder: Path) -> str:
    try:
        text = template(f"train_top_{data.dataset}.yml").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = template(f"train_top_{_GENERAL}.yml").read_text(encoding="utf-8")
    comments, _, settings = text.partition("\nexperimentName:")
    title = _TITLES.get(data.dataset, data.dataset)
    name = f"Finalists of {search.name or search.id}"
    if data.origin == "network":
        name += f" on {title}"
    _, _, hints = comments.partition(_HINTS)
    text = f"{_introduction(data, search, title)}#\n{_HINTS}{hints}\nexperimentName:{settings}"
    text = _with_line(text, f"experimentName: {json.dumps(name, ensure_ascii=False)}")
    text = _with_command(text, data, search)
    if data.options:
        text = _with_machine(text, search.config)
    return _with_code(text, search.config, data.options, folder)


def _introduction(data: FinalData, search: Experiment, title: str) -> str:
    found = " ".join(f"{search.name or 'unnamed'} ({search.id})".split())
    return (
        f"# The finalists of the search {found},\n"
        f"# each trained once on {' '.join(title.split())}, {_ORIGINS[data.origin]},\n"
        "# with the final recipe, across stops and kills. `blockqnn top` has written this file.\n"
        "# Then: blockqnn top ID --by accuracy, and train the winner on all data\n"
        "# (docs/final_training.md).\n"
    )


def _with_command(text: str, data: FinalData, search: Experiment) -> str:
    """With the search's options in the template's trial command, instead of those of its data."""
    found = re.search(r"^trialCommand: >-\n((?:  .*\n)+)", text, flags=re.MULTILINE)
    if found is None:
        raise ValueError("the template of finalists has no trialCommand; reinstall the package")
    own = found[1].split()
    task = trial_option(data.options, "--task", "")
    recipe = TASK_RECIPES.get(task, trial_option(own, "--recipe", "final"))
    folder = trial_option(own, "--data-dir", "")
    options = [*data.options]
    if data.origin != "search":
        options = ["--dataset", data.dataset, "--data-dir", folder, *options]
    command = command_with(search.config, options)
    lines = (*command.splitlines(), f"--recipe {recipe} --mu 0 --rho 0")
    return text.replace(found[1], "".join(f"  {line}\n" for line in lines))


def _with_machine(text: str, config: Mapping[str, Any]) -> str:
    """With as many trials at a time, and GPUs, as the search had."""
    if isinstance(at_a_time := config.get("trialConcurrency"), int):
        text = _with_line(text, f"trialConcurrency: {at_a_time}")
    if isinstance(gpus := config.get("trialGpuNumber"), int):
        text = text.replace("# trialGpuNumber: 1", f"trialGpuNumber: {gpus}")
    service = config.get("trainingService")
    if isinstance(service, Mapping) and service.get("useActiveGpu") is True:
        text = text.replace("useActiveGpu: false", "useActiveGpu: true")
    return text


def _with_code(text: str, config: Mapping[str, Any], options: Sequence[str], folder: Path) -> str:
    """With the search's folder of code, if something is looked for in it."""
    code = config.get("trialCodeDirectory")
    data_dir = Path(trial_option(options, "--data-dir", "/")).expanduser()
    own_kinds = "extra_kinds" in json.dumps(config.get("searchSpace"))
    own = [trial_option(options, name, "") for name in ("--task", "--dataset")]
    needed = any(":" in one for one in own) or not data_dir.is_absolute()
    if not isinstance(code, str) or not (needed or own_kinds):
        return text
    if not Path(code).is_dir() or Path(code).resolve() == folder.resolve():
        return text
    line = f"trialCodeDirectory: {json.dumps(code)}"
    return text.replace("\ntrialCommand:", f"\n{line}\ntrialCommand:")


def _with_further(text: str, further: Further | None) -> str:
    """With the finalists' tuner's arguments, in the line after its name."""
    text = re.sub(r"^  classArgs: \{search: .*\n", "", text, flags=re.MULTILINE)
    if further is None:
        return text
    fields = ", ".join(f"{name}: {json.dumps(value)}" for name, value in further._asdict().items())
    line = f"  classArgs: {{{fields}}}\n"
    return re.sub(
        rf"^  className: {re.escape(FINALISTS_TUNER)}\n",
        lambda found: found[0] + line,
        text,
        flags=re.MULTILINE,
    )


def _with_line(text: str, line: str) -> str:
    """The text with this line in the place of the one of its key."""
    key, _, _ = line.partition(":")
    return re.sub(rf"^{key}:.*$", lambda _: line, text, flags=re.MULTILINE)
