"""``blockqnn predict``: what a trained network says of image files."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nni_blockqnn.automl.predicting import Prediction
    from nni_blockqnn.automl.task_predicting import TaskAnswer

_DIGITS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "found",
        type=Path,
        help="folder of `blockqnn search`, `blockqnn export` or `blockqnn train`",
    )
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="images, or folders of them"
    )
    parser.add_argument(
        "--all", action="store_true", help="add the probability of every class, not only the best"
    )
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="DIR",
        help="of key points and segmentation: also draw what is found into copies of the images",
    )
    parser.add_argument(
        "--task",
        metavar="MODULE:FUNCTION",
        help="of a network for a task of your own: its code, which is imported",
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of CSV")


def predict(arguments: argparse.Namespace) -> int:
    """Print a row for each image (of other tasks than classification a line of JSON); returns 1 if
    there is none."""
    # here, since PyTorch takes seconds to load
    from nni_blockqnn.automl.predicting import Predictor, files_of, network_folder
    from nni_blockqnn.automl.task_predicting import TaskPredictor, task_named_in

    folder = network_folder(arguments.found)
    if task_named_in(folder) is not None:
        answers = TaskPredictor(folder, arguments.task)
        count = _show_answers(
            answers.of_files(files_of(arguments.files, _tell), _tell), arguments.draw
        )
        if not count:
            _tell("no image could be read")
        return 0 if count else 1
    if arguments.draw is not None:
        raise ValueError("--draw is of key points and segmentation, and the network is for classes")
    predictor = Predictor(arguments.found)
    files = files_of(arguments.files, _tell)
    predictions = predictor.of_files(files, _tell)
    show = _show_json if arguments.json else _show_csv
    count = show(predictions, predictor.class_names, arguments.all)
    if not count:
        _tell("no image could be read")
    return 0 if count else 1


def _show_answers(answers: Iterable[TaskAnswer], draw: Path | None) -> int:
    """A JSON object for each image, a line each."""
    count = 0
    for one in answers:
        print(json.dumps({"file": one.file, **one.says}, ensure_ascii=False))
        if draw is not None:
            one.draw(_unused(draw, Path(one.file)))
        count += 1
    return count


def _unused(folder: Path, file: Path) -> Path:
    """A name in the folder that no image has yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path, number = folder / f"{file.stem}.png", 1
    while path.exists():
        number += 1
        path = folder / f"{file.stem}-{number}.png"
    return path


def _show_csv(predictions: Iterable[Prediction], classes: Iterable[str], every: bool) -> int:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "class", "probability", *(classes if every else ())])
    count = 0
    for one in predictions:
        rest = one.probabilities if every else ()
        numbers = [f"{value:.{_DIGITS}f}" for value in (one.probability, *rest)]
        writer.writerow([one.file, one.class_name, *numbers])
        count += 1
    return count


def _show_json(predictions: Iterable[Prediction], classes: Iterable[str], every: bool) -> int:
    rows = []
    for one in predictions:
        row: dict[str, Any] = {
            "file": one.file,
            "class": one.class_name,
            "probability": round(one.probability, _DIGITS),
        }
        if every:
            rounded = (round(value, _DIGITS) for value in one.probabilities)
            row["probabilities"] = dict(zip(one.class_names, rounded, strict=True))
        rows.append(row)
    print(json.dumps(rows, indent=1, ensure_ascii=False))
    return len(rows)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
