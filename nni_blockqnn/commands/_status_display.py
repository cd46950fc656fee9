"""How an experiment stands, in lines: its status, what went wrong, what to type next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from nni_blockqnn.bridge.managers import find_manager
from nni_blockqnn.commands._console import TableConsole
from nni_blockqnn.common.messages import counted
from nni_blockqnn.results.experiment import Experiment, Results
from nni_blockqnn.results.finalists import is_final_training
from nni_blockqnn.results.problems import ProblemGroup, problem_groups
from nni_blockqnn.results.search_journal import LostNetwork, epsilons, lost_networks
from nni_blockqnn.results.status import Status, end_in_words

_MOST_GROUPS = 5
_MOST_LOST = 3


def status_line(results: Results, status: Status) -> str:
    """Such as "running: 12 of 48 trials done, 2 running; epsilon 0.4; about 6 min left, ..."."""
    parts = [status.text]
    if status.why:
        parts.append(status.why)
    if status.state == "running":
        drawn = epsilons(results.experiment.directory)
        if drawn:
            parts.append(f"epsilon {drawn[max(drawn)]:g}")
        if status.seconds_left is not None:
            parts.append(end_in_words(status.seconds_left))
    return "; ".join(parts)


def problem_lines(results: Results) -> list[str]:
    """Which trials have no result and why, equal reasons in one line; then the lost networks.

    Raises:
        ExperimentDatabaseError: if the experiment's database cannot be read.
    """
    groups = problem_groups(results)
    lines = [_group_line(group, results.experiment) for group in groups[:_MOST_GROUPS]]
    if others := groups[_MOST_GROUPS:]:
        trials = sum(group.count for group in others)
        lines.append(f"{trials} x for {len(others)} more reasons: the report has them")
    return [*lines, *_lost_lines(lost_networks(results.experiment.directory))]


def show_lines(lines: Sequence[str], console: TableConsole) -> None:
    """Print lines, broken between words where the terminal is narrow."""
    for line in lines:
        text = line
        if console.has_width:
            text = textwrap.fill(
                line,
                max(console.width, 1),
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        console.print(text, markup=False, soft_wrap=True)


def show_next(results: Results, status: Status, console: TableConsole) -> None:
    """Print the commands that make sense now."""
    for command, what in _next_commands(results, status):
        line = f"  {what:<22}{command}"
        if console.has_width and len(line) > console.width:
            line = f"  {what}\n    {command}"
        console.print(line, markup=False, soft_wrap=True)


def _next_commands(results: Results, status: Status) -> Iterator[tuple[str, str]]:
    """Commands, and what each is for."""
    named = results.experiment.argument
    is_final = is_final_training(results.experiment.config)
    if not status.is_over:
        yield f"blockqnn top {named} --watch", "follow it"
        yield f"blockqnn stop {named}", "stop it"
        return
    if status.state in ("given up", "finished") and _has_manager(results.experiment):
        yield f"blockqnn stop {named}", "free its port"
    if status.state != "finished":
        yield f"blockqnn resume {named}", "go on with it"
    elif is_final and results.failures:
        yield f"blockqnn retry {named}", "train failed ones again"
    if not results.trials:
        return
    if is_final:
        yield f"blockqnn top {named} --by accuracy --output winners.json", "take the winners"
    else:
        yield f"blockqnn top {named} --output finalists.json", "train the best"
    yield f"blockqnn report {named}", "see it as a page"


def _has_manager(experiment: Experiment) -> bool:
    """Whether NNI still serves an experiment that is over."""
    return experiment.status != "STOPPED" and find_manager(experiment) is not None


def _group_line(group: ProblemGroup, experiment: Experiment) -> str:
    log = group.log or f"its log: nnictl view {experiment.id}"
    trial = (
        f"trial {group.trial_id}" if group.count == 1 else f"the last one: trial {group.trial_id}"
    )
    return f"{group.count} x {group.fate}: {group.reason} ({trial}; {log})"


def _lost_lines(lost: Sequence[LostNetwork]) -> Iterator[str]:
    if not lost:
        return
    given_up = [network for network in lost if network.is_given_up]
    trials = sum(network.times for network in lost)
    line = f"lost: {counted(trials, 'trial')} of {counted(len(lost), 'network')} said nothing"
    if not given_up:
        yield line
        return
    codes = ", ".join(network.block for network in given_up[:_MOST_LOST])
    more = f" and {len(given_up) - _MOST_LOST} more" if len(given_up) > _MOST_LOST else ""
    yield (
        f"{line}; not sent again, since they were sent {given_up[-1].times} times or more: "
        f"{codes}{more}"
    )
