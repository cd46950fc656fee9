"""What ``blockqnn check`` asks of a trial's own Python, and what that answers.

Both are files in a folder that an environment variable names. So nothing is added to the trial's
command, and whatever else a trial's process prints is not taken for its answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nni_blockqnn.common.files import write_whole

FOLDER_VARIABLE = "NNI_BLOCKQNN_CHECK_FOLDER"
_REQUEST_NAME, _ANSWER_NAME = "request.json", "answer.json"


@dataclass(frozen=True)
class Request:
    """What is to be checked beside the trial's arguments.

    Attributes:
        network: a preset's name or JSON text of NetworkSpec's fields.
        parameters: of the trial whose training is timed; None to time nothing.
        trials: that are to run at a time on this machine.
    """

    network: str
    parameters: Mapping[str, Any] | None = None
    trials: int = 1

    def write(self, folder: Path) -> None:
        write_whole(folder / _REQUEST_NAME, json.dumps(asdict(self)))


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        passed: whether a trial would work.
        message: what it would train on, or what is wrong.
        about: what is wrong: "arguments" are the same wherever the trial runs, "surroundings" are
            files, modules and the device; empty if nothing is.
        warnings: what libraries warned of and what is to be said of the data, one line each.
        device: the kind on which it trains, "cpu" or "cuda"; empty if it is not known.
        threads: CPU threads of its training, 0 if it is not known.
        trial_seconds: about how long the trial would take that was asked for; None if not timed.
    """

    passed: bool
    message: str
    about: str = ""
    warnings: tuple[str, ...] = ()
    device: str = ""
    threads: int = 0
    trial_seconds: float | None = None

    def write(self, folder: Path) -> None:
        write_whole(folder / _ANSWER_NAME, json.dumps(asdict(self)))


def request_folder() -> Path | None:
    """The folder that a check has named to this process; None if it is no check's."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else None


def read_request(folder: Path) -> Request:
    """
    Raises:
        OSError, ValueError, TypeError: if there is none that this version understands.
    """
    return Request(**json.loads((folder / _REQUEST_NAME).read_text(encoding="utf-8")))


def read_answer(folder: Path) -> Answer | None:
    """The answer, None if the process ended without one."""
    try:
        fields = json.loads((folder / _ANSWER_NAME).read_text(encoding="utf-8"))
        return Answer(**{**fields, "warnings": tuple(fields["warnings"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
