"""Checks of the trial: its command, in its own Python and directory, up to its training."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge.trial_command import CommandError, TrialPart, find_trial
from nni_blockqnn.commands._config_file import Finding, importable_from, is_local, trial_service
from nni_blockqnn.commands._load import check_load
from nni_blockqnn.commands._search_time import Sample, check_search_time, sample_of
from nni_blockqnn.exchange.finalists import is_finalists, network_of_grid
from nni_blockqnn.exchange.trial_check import FOLDER_VARIABLE, Answer, Request, read_answer
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.trials.hiding import hiding_files

_MOST_SAID = 3
"""Lines of its stderr that are shown."""
_PROGRESS = re.compile(r"\d+(\.\d+)?\s?%")


def check_trial(config: Any, *, with_time: bool) -> Iterator[Finding]:
    """Findings about the trial's command and what it needs.

    Args:
        config: NNI's ExperimentConfig.
        with_time: also estimate how long the search takes.
    """
    try:
        part = find_trial(trial_service(config).trial_command)
    except CommandError as error:
        yield _unreadable(trial_service(config).trial_command, error)
        return
    if part is None:
        yield Finding("warning", "trial", "the command is not BlockQNN's, so it is not checked")
        return
    if part.in_background:
        yield Finding(
            "warning",
            "trial",
            "NNI takes a trial whose command ends in & for finished at once, and starts the next "
            "one: delete the &",
        )
    if not is_local(config):
        return  # what it needs there, the check of the hosts asks
    reason = _why_not_run(part)
    if reason:
        yield Finding("warning", "trial", f"{reason}, so it is not checked")
        return
    try:
        with importable_from(
            trial_service(config).trial_code_directory
        ):  # layer kinds of the user's own
            network = _network(config.search_space)
            sample = _sample(config) if with_time else None
    except ValueError as error:
        yield Finding("failure", "trial", f"its network is not known: {error}")
        return
    parameters = None if sample is None else sample.median
    request = Request(network, parameters, config.trial_concurrency or 1)
    ran = _run(config, part, request)
    yield from _judged(ran, part, config)
    if ran.answer is not None and ran.answer.passed:
        yield from check_load(config, ran.answer)
        if sample is not None:
            yield from check_search_time(config, ran.answer, sample)


def _sample(config: Any) -> Sample | None:
    """``None`` if the tuner's arguments are wrong, which the check of the tuner says."""
    try:
        return sample_of(config)
    except ValueError:
        return None


class _Ran(NamedTuple):
    """What became of the trial's process.

    Attributes:
        said: lines of its stderr.
    """

    code: int
    answer: Answer | None
    said: tuple[str, ...]


def _run(config: Any, part: TrialPart, request: Request) -> _Ran:
    """Run :mod:`nni_blockqnn.trials.check` as NNI runs a trial: in bash, there, with its Python."""
    with TemporaryDirectory(prefix="blockqnn-check-") as name:
        folder = Path(name)
        request.write(folder)
        ran = subprocess.run(
            ["/bin/bash", "-c", part.with_module("nni_blockqnn.trials.check")],
            env={**launch.environment(loopback=False), FOLDER_VARIABLE: name},
            cwd=trial_service(config).trial_code_directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        said = ran.stderr.decode(errors="replace").splitlines()
        lines = (line.rpartition("\r")[2].rstrip() for line in said)
        return _Ran(ran.returncode, read_answer(folder), tuple(line for line in lines if line))


def _judged(ran: _Ran, part: TrialPart, config: Any) -> Iterator[Finding]:
    answer = ran.answer
    if answer is None:
        yield _not_sure(_why_no_answer(ran, config), part)
        return
    if answer.passed:
        yield Finding("ok", "trial", answer.message)
        if part.left_out:
            yield Finding("ok", "trial", f"only its own part is checked, not: {_listed(part)}")
    elif answer.about == "arguments" and not part.reads_variables:
        yield Finding("failure", "trial", answer.message)
    else:
        yield _not_sure(answer.message, part)
    for warning in answer.warnings:
        yield Finding("warning", "trial", warning)
    # what the process printed past Python's own warnings, as C libraries do
    others = [line for line in ran.said if line[0] != " " and not _PROGRESS.search(line)]
    for line in list(dict.fromkeys(others))[:_MOST_SAID]:
        yield Finding("warning", "trial", f"its process says: {line}")


def _not_sure(message: str, part: TrialPart) -> Finding:
    """A failure, unless commands that are not run here might prevent it."""
    if not part.left_out:
        return Finding("failure", "trial", message)
    return Finding(
        "warning",
        "trial",
        f"{message}; unless what comes before it, which check does not run, changes that: "
        f"{_listed(part)}",
    )


def _listed(part: TrialPart) -> str:
    return "; ".join(part.left_out)


def _why_not_run(part: TrialPart) -> str:
    if part.in_container:
        return "the trial runs in a container or on another machine"
    if part.runs_commands:
        return (
            "its arguments come from other commands, $(...) or the like, which check does not run"
        )
    return ""


def _why_no_answer(ran: _Ran, config: Any) -> str:
    """Of a process that died before it could say what is wrong."""
    last = ran.said[-1] if ran.said else ""
    hiding = hiding_files(Path(trial_service(config).trial_code_directory))
    if hiding and ran.code > 0:
        return f"{'; '.join(hiding.values())}: rename it. The trial ends with {last or 'nothing'}"
    number = -ran.code if ran.code < 0 else ran.code - 128
    if number in {one.value for one in signal.Signals}:
        name = signal.Signals(number).name
        memory = ", as when memory runs out" if name == "SIGKILL" else ""
        return f"the trial's process was ended by {name}{memory}. {last}".rstrip()
    return f"the trial's process ended with exit code {ran.code}: {last or 'it said nothing'}"


def _unreadable(command: str, error: CommandError) -> Finding:
    """Of a command that is not taken apart here; bash says whether it is one at all."""
    read = subprocess.run(["/bin/bash", "-n", "-c", command], capture_output=True)
    if read.returncode == 0:
        message = f"the command is not taken apart, so it is not checked: {error}"
        return Finding("warning", "trial", message)
    said = read.stderr.decode(errors="replace").strip().splitlines()
    return Finding("failure", "trial", f"bash cannot read trialCommand: {said[0] if said else ''}")


def _network(search_space: Mapping[str, Any]) -> str:
    if is_finalists(search_space):
        return network_of_grid(search_space)
    return SearchSpace.from_json(search_space).network
