"""``blockqnn search`` and ``blockqnn init``: from images to a network in use."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nni_blockqnn.automl.request import Request

_EARLIER_SHOWN = "this search is finished; its result:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        help="a folder of images (a folder for each class, or train/, val/, test/), digits, "
        "fashion_mnist, cifar10, cifar100, imagenet, or module:function; of another task what that "
        "reads",
    )
    parser.add_argument(
        "--task",
        default="classification",
        help="what the network is for: classification, segmentation (data: a folder of images and "
        "masks), keypoints (one in COCO's format), regression, multilabel, or module:function of "
        "your own (default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("found"),
        help="folder for everything; run again, it goes on there (default: %(default)s)",
    )
    parser.add_argument(
        "--hours", type=float, default=1.0, help="for all of it (default: %(default)g)"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path("~/.cache/nni-blockqnn/data"),
        help="where a named data set lies or is downloaded to (default: %(default)s)",
    )
    parser.add_argument(
        "--budget",
        default="auto",
        help="what a network may cost: small, medium, large, multiply-accumulates an image such as "
        "40M, or milliseconds an image here such as 2ms (default: what the hours allow)",
    )
    parser.add_argument("--trials", type=int, help="of the search (default: what fits)")
    parser.add_argument(
        "--concurrency", type=int, help="trials at a time (default: one a core, two on a GPU)"
    )
    parser.add_argument("--gpus", type=int, help="to use (default: all); 0 for the CPU")
    parser.add_argument("--finalists", type=int, help="found blocks that are trained long")
    parser.add_argument("--final-epochs", type=int, help="of the long trainings")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--frontier",
        action="store_true",
        help="also find the best block for about half and about double the cost",
    )
    parser.add_argument(
        "--remote",
        type=Path,
        metavar="HOSTS.yml",
        help="a list of other machines that train instead of this one: host, user, and port, key "
        "or password, python, gpus",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan and its times, and do nothing"
    )


def init(arguments: argparse.Namespace) -> int:
    from nni_blockqnn.automl.configuration import plan_lines
    from nni_blockqnn.automl.whole_way import initialise

    if arguments.dry_run:
        return _dry_run(arguments)
    output = arguments.output
    with _errors_of_data():
        plan = initialise(_request(arguments), output, _tell)
    print("\n".join(plan_lines(plan)))
    print(
        f"wrote {output / 'search.yml'}: change it as you like, then blockqnn check or create it, "
        "or run blockqnn search with these arguments"
    )
    return 0


def search(arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        return _dry_run(arguments)
    return run_search(_request(arguments), arguments.output, arguments.port)


def run_search(request: Request, output: Path, port: int | None) -> int:
    """Go the whole way, shown on the screen; returns the exit code."""
    from rich.console import Console

    from nni_blockqnn.automl.answer import answer_lines
    from nni_blockqnn.automl.display import Display
    from nni_blockqnn.automl.whole_way import has_begun, run
    from nni_blockqnn.reports.text_graph import draw_text

    is_finished = (output / "result.json").exists()
    if request.remote is not None and not has_begun(output) and not _is_fit(request, output, port):
        return 1
    try:
        with _errors_of_data(), Display.on(Console(highlight=False)) as display:
            answer = run(request, output, display, port)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    if is_finished:
        print(_EARLIER_SHOWN)
    print(f"\n{draw_text(answer.block)}\n")
    print("\n".join(answer_lines(answer, output, own_command())))
    return 0


def _is_fit(request: Request, output: Path, port: int | None) -> bool:
    """Whether `blockqnn check` finds nothing wrong, before other machines have to do with it."""
    from nni_blockqnn.automl.configuration import plan_lines
    from nni_blockqnn.automl.whole_way import initialise
    from nni_blockqnn.commands.search import check

    config = output / "search.yml"
    if not config.exists():
        with _errors_of_data():
            print("\n".join(plan_lines(initialise(request, output, _tell))), flush=True)
    return check(argparse.Namespace(config=config, port=port, estimate=False)) == 0


def own_command() -> str:
    """``blockqnn`` as this shell can find it: ``make demo`` does not activate its environment."""
    own = Path(sys.executable).with_name("blockqnn")
    return "blockqnn" if shutil.which("blockqnn") == str(own) else os.path.relpath(own)


def _request(arguments: argparse.Namespace) -> Request:
    from nni_blockqnn.automl.request import Request

    return Request(
        data=arguments.data,
        hours=arguments.hours,
        data_dir=arguments.data_dir,
        budget=arguments.budget,
        trials=arguments.trials,
        concurrency=arguments.concurrency,
        gpus=arguments.gpus,
        finalists=arguments.finalists,
        final_epochs=arguments.final_epochs,
        seed=arguments.seed,
        frontier=arguments.frontier,
        remote=arguments.remote,
        task=arguments.task,
    )


def _dry_run(arguments: argparse.Namespace) -> int:
    from nni_blockqnn.automl.configuration import plan_lines
    from nni_blockqnn.automl.plan import make_plan

    with _errors_of_data():
        plan = make_plan(_request(arguments), _tell)
    print("\n".join(plan_lines(plan)))
    return 0


@contextmanager
def _errors_of_data() -> Iterator[None]:
    """What is wrong with data or a training is one line, as all that a user can put right."""
    from nni_blockqnn.data import DataError
    from nni_blockqnn.training import TrainingError

    try:
        yield
    except (DataError, TrainingError) as error:
        raise ValueError(str(error)) from error


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
