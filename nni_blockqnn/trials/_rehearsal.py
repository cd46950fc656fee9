"""All that a trial does before it trains, and how long its training would take."""

from __future__ import annotations

import time
from importlib import import_module

import torch

from nni_blockqnn.bridge.nni_import import import_nni
from nni_blockqnn.data import DataError, ImageData
from nni_blockqnn.exchange.parameters import TrialTask, read_task
from nni_blockqnn.exchange.trial_check import Answer, Request
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training import (
    TrainingArguments,
    TrainingError,
    check_precision,
    pick_device,
)
from nni_blockqnn.training.flops import measure_flops
from nni_blockqnn.trials._reward import find_reward
from nni_blockqnn.trials.arguments import (
    TrialArguments,
    default_network,
    trial_arguments,
    trial_parser,
)
from nni_blockqnn.trials.estimate import training_seconds

_LATE = (
    "nni.runtime.trial_command_channel.v3",
    "nni_blockqnn.trials.run",
    "PIL.Image",
    "ptflops",
    "sklearn",
    "torchvision",
)
"""What a trial imports at its end, or only for some data sets."""


def import_all() -> None:
    """Import whatever a trial imports sooner or later."""
    import_nni()
    for name in _LATE:
        import_module(name)


def rehearse(argv: list[str] | None, request: Request) -> Answer:
    """What becomes of a trial with these arguments, up to its training."""
    try:
        namespace = trial_parser(under_nni=True).parse_args(argv)
        arguments = trial_arguments(namespace)
        arguments.training.chosen_recipe()
        network = request.network or namespace.network or default_network(namespace.dataset)
        spec = NetworkSpec.from_parameter(network)
    except ValueError as error:
        return Answer(False, str(error), "arguments")
    except SystemExit:
        return Answer(False, "its arguments only print a help", "arguments")
    try:
        return _with_data(arguments, spec, request)
    except (DataError, ValueError) as error:
        return Answer(False, str(error), "surroundings")


def _with_data(arguments: TrialArguments, spec: NetworkSpec, request: Request) -> Answer:
    find_reward(arguments)
    training = arguments.training
    device = pick_device(training.device)
    check_precision(training.precision, device)
    data = training.load_data(spec)
    threads = training.chosen_threads(trials=request.trials) or torch.get_num_threads()
    seconds: float | None = None
    told: tuple[str, ...] = ()
    if request.parameters is not None:
        try:
            seconds = _trial_seconds(read_task(request.parameters), training, data)
        except (TrainingError, ValueError) as error:
            told = (f"the time of a training cannot be estimated: {error}",)
    outputs = f"{data.classes} {training.chosen_task().outputs}"
    return Answer(
        passed=True,
        message=f"{training.dataset}: {len(data.train)} training, {len(data.valid)} validation and "
        f"{len(data.test)} test images of {outputs}; they suit the network; {device}",
        warnings=(*data.notes, *told),
        device=device.type,
        threads=threads,
        trial_seconds=seconds,
    )


def _trial_seconds(task: TrialTask, training: TrainingArguments, data: ImageData) -> float:
    seconds = training_seconds(task, training, data)
    began = time.perf_counter()
    measure_flops(build_network(task.block, task.spec), task.spec.input_shape)
    return seconds + time.perf_counter() - began
