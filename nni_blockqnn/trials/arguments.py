"""The command line of a trial."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from nni_blockqnn.blocks.layer import ENCODINGS
from nni_blockqnn.blocks.named import codes_of, names
from nni_blockqnn.data import ImageData
from nni_blockqnn.data.imagenet import IMAGENET
from nni_blockqnn.data.load import DATASETS, VALIDATIONS, load_dataset
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training import PRECISIONS, RECIPES
from nni_blockqnn.trials.number_types import integer_from, seed

DEFAULT_DATA_DIR = Path("~/.cache/nni-blockqnn/data")
_MOST_WORKERS = 16
"""Each keeps two batches in shared memory: at ImageNet's size and batch 256 some 80 MB."""


def trial_parser(under_nni: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nni_blockqnn.trial",
        description="Trains one block and reports its reward, to NNI or on the screen.",
        epilog="example: python -m nni_blockqnn.trial --block '[[1,1,3,0,0]]' --dataset digits",
        allow_abbrev=False,
    )
    add_data(parser)
    add_training(parser)
    _add_reward(parser)
    parser.add_argument(
        "--save-dir",
        type=Path,
        help="keep the trained network in this folder, under NNI in a folder of it for each trial "
        "(default: under NNI, in the trial's own folder if the recipe is a final one)",
    )
    block = parser.add_argument_group("outside NNI, which brings them as parameters")
    block.add_argument(
        "--block", required=not under_nni, help=f"structure codes as JSON text, or {names()}"
    )
    block.add_argument(
        "--encoding",
        choices=ENCODINGS,
        default="pcc",
        help="what a convolution stands for: ReLU, convolution and batch norm, or itself",
    )
    block.add_argument("--repeats", type=int, help="N, blocks a stage (default: the network's)")
    block.add_argument(
        "--network", help="preset or JSON of NetworkSpec's fields (default: the data set's)"
    )
    return parser


def own_parameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """A trial's parameters outside NNI."""
    network = arguments.network or default_network(arguments.dataset)
    space = json.dumps({"encoding": arguments.encoding})
    block = codes_of(arguments.block, arguments.encoding)
    parameters = {"block": block, "network": network, "space": space}
    if arguments.repeats is not None:
        parameters["repeats"] = arguments.repeats
    return parameters


def default_network(dataset: str) -> str:
    """The preset of the data set's name; image folders are brought to the images of CIFAR-10's."""
    return "cifar10" if dataset == "image-folder" else dataset


def default_final_recipe(dataset: str) -> str:
    return "imagenet-final" if dataset == IMAGENET else "final"


def load_data(arguments: argparse.Namespace, spec: NetworkSpec, processes: int = 1) -> ImageData:
    """The data that the arguments name, as the network takes it.

    Args:
        processes: that share the CPU's cores, each with workers of its own.

    Raises:
        DataError: as :func:`nni_blockqnn.data.load_dataset`.
    """
    return load_dataset(
        arguments.dataset,
        arguments.data_dir,
        image_shape=spec.input_shape,
        classes=spec.classes,
        validation=arguments.validation,
        seed=arguments.seed,
        limit=arguments.limit,
        workers=_workers(arguments, processes),
    )


def _workers(arguments: argparse.Namespace, processes: int) -> int:
    if arguments.workers is not None:
        return arguments.workers
    return min(arguments.threads or _cores_each(processes), _MOST_WORKERS)


def chosen_threads(arguments: argparse.Namespace, processes: int = 1) -> int | None:
    """How many CPU threads to compute with; None for as many as PyTorch takes by itself.

    Args:
        processes: of one training, that share the CPU's cores.
    """
    # torchrun sets OMP_NUM_THREADS=1 where it was not set, which leaves the other cores idle
    if arguments.threads is None and processes > 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        return _cores_each(processes)
    return arguments.threads


def _cores_each(processes: int) -> int:
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        cores = os.cpu_count() or 1
    return max(cores // processes, 1)


def add_workers(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--workers",
        type=integer_from(0),
        help="processes that decode the images of --dataset imagenet; 0 for the training's own "
        f"(default: --threads, otherwise the CPU's cores, at most {_MOST_WORKERS})",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--dataset", required=True, choices=DATASETS)
    group.add_argument(
        "--data-dir",
        type=Path,
        default=DEFAULT_DATA_DIR,
        help="where the data lies or is downloaded to (default: %(default)s)",
    )
    group.add_argument(
        "--validation",
        choices=VALIDATIONS,
        default="holdout",
        help="hold 10 %% of the training set out, or validate on the test set as the paper does "
        "(default: %(default)s)",
    )
    group.add_argument("--limit", type=int, help="train on so many images only, stratified")
    group.add_argument(
        "--test", action="store_true", help="also read the test set: for the winner, once"
    )
    add_workers(group)


def add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument(
        "--recipe",
        choices=RECIPES,
        default="early-stop",
        help="(default: early-stop for a trial, for blockqnn train the data set's final one)",
    )
    group.add_argument("--epochs", type=int, help="shorten the recipe, its schedule included")
    group.add_argument("--batch-size", type=int, help="images a step (default: the recipe's)")
    group.add_argument(
        "--seed", type=seed, default=0, help="of weights, order and hold-out (default: 0)"
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="of the arithmetic (default: %(default)s)",
    )
    group.add_argument(
        "--threads",
        type=integer_from(1),
        help="CPU threads; of several trials on a machine, one's share",
    )


def _add_reward(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("reward")
    group.add_argument(
        "--mu", type=float, default=1.0, help="weight of ln FLOPs (default: %(default)s)"
    )
    group.add_argument(
        "--rho", type=float, default=8.0, help="weight of ln density (default: %(default)s)"
    )
