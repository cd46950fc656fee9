"""The trial is found in whatever bash would make of a ``trialCommand``."""

from __future__ import annotations

import subprocess
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nni_blockqnn.bridge.trial_command import CommandError, TrialPart, find_trial

TRIAL = "python -m nni_blockqnn.trial --dataset digits"


def found(command: str) -> TrialPart:
    part = find_trial(command)
    assert part is not None
    return part


@pytest.mark.parametrize(
    ("command", "run"),
    [
        (TRIAL, "python -m M --dataset digits"),
        (f"{TRIAL}\n", "python -m M --dataset digits"),
        ("python  -m  nni_blockqnn.trial\t--dataset  digits", "python -m M --dataset digits"),
        ("python -m nni_blockqnn.trial \\\n  --dataset digits", "python -m M --dataset digits"),
        (f"{TRIAL} # don't; touch x", "python -m M --dataset digits"),
        (f"{TRIAL} --data-dir a#b", "python -m M --dataset digits --data-dir a#b"),
        (f"{TRIAL} > log 2>&1 | tee b", "python -m M --dataset digits"),
        (f"{TRIAL} 2> >(tee err) >> out; touch x", "python -m M --dataset digits"),
        (f"{TRIAL}&& touch x || touch y &", "python -m M --dataset digits"),
        (f"touch x; {TRIAL}", "python -m M --dataset digits"),
        (f"cd a && {TRIAL}", "cd a && python -m M --dataset digits"),
        (f"export A='b c'\n{TRIAL}", "export A='b c' && python -m M --dataset digits"),
        (f"(cd a; touch x); {TRIAL}", "python -m M --dataset digits"),
        (f"(cd a; {TRIAL})", "cd a && python -m M --dataset digits"),
        (f"A=1 B=$HOME {TRIAL}", "A=1 B=$HOME python -m M --dataset digits"),
        (f"if true; then time {TRIAL}; fi", "python -m M --dataset digits"),
        (f"timeout 3h env A=1 {TRIAL}", "env A=1 python -m M --dataset digits"),
        (f"conda run -n own {TRIAL}", "conda run -n own python -m M --dataset digits"),
        (f"X=1 bash -c 'cd a; {TRIAL}' ; b", "export X=1 && cd a && python -m M --dataset digits"),
        ('"$PY" -W ignore -m nni_blockqnn.trial', '"$PY" -W ignore -m M'),
        ("/a/python3.11 -um 'nni_blockqnn.trial' --x", "/a/python3.11 -um M --x"),
        ('python -mnni_blockqnn.trial --x="a  \'$B"', 'python -mM --x="a  \'$B"'),
    ],
)
def test_only_the_trials_own_part_is_run(command: str, run: str) -> None:
    assert found(command).with_module("M") == run


@pytest.mark.parametrize("style", [">", ">-", "|", "|-"])
def test_yaml_blocks(style: str) -> None:
    text = yaml.safe_load(f"trialCommand: {style}\n  {TRIAL} \\\n  --mu 0\n")["trialCommand"]
    assert found(text.replace(" \\ ", " ")).arguments == ["--dataset", "digits", "--mu", "0"]


@pytest.mark.parametrize(
    "command",
    ["", "python trial.py", "python -m nni_blockqnn.trials.check", "echo 'nni_blockqnn.trial'"],
)
def test_other_commands_hold_no_trial(command: str) -> None:
    assert find_trial(command) is None


@pytest.mark.parametrize(
    ("word", "runs"),
    [
        ("$(nproc)", True),
        ('"$(cat f)"', True),
        ("`nproc`", True),
        ("$(( $(nproc) / 2 ))", True),
        ("<(cat f)", True),
        ("$((4 / 2))", False),
        ("'$(nproc)'", False),
        (r"\$\(nproc\)", False),
        ("${HOME}/a", False),
    ],
)
def test_what_makes_bash_run_other_commands(word: str, runs: bool) -> None:
    part = found(f"{TRIAL} --data-dir {word} --mu 0")
    assert part.runs_commands is runs
    assert part.words[-3:] == (word, "--mu", "0")


def test_what_is_left_out_is_named() -> None:
    part = found(f"source env.sh; set -e; X=$(nproc); cd a | cat; ./wrap.sh {TRIAL}; touch x")
    assert part.left_out == ("source env.sh", "X=$(nproc)", "cd a", "cat", "./wrap.sh")
    assert (part.before, part.in_container) == ((), False)
    assert found(f"docker run image {TRIAL}").in_container


@pytest.mark.parametrize(
    ("end", "in_background"),
    [("&", True), ("> log &", True), ("& wait", False), ("&& a", False), ("2>&1", False)],
)
def test_a_trial_in_the_background(end: str, in_background: bool) -> None:
    assert found(f"{TRIAL} {end}").in_background is in_background


@pytest.mark.parametrize("command", [f"{TRIAL} 'a", f'{TRIAL} "a', f"{TRIAL} `a", "a '\n b"])
def test_quotes_that_do_not_end(command: str) -> None:
    with pytest.raises(CommandError, match="do not end"):
        find_trial(command)


def test_bash_expands_the_words_as_in_the_whole_command() -> None:
    """Against bash itself, with printf for the trial's Python."""
    words = r""""$HOME" '$HOME' a\ b "c 'd" e"f g"h $((1+2)) {i,j}"""
    command = f"A='x  y' python -m nni_blockqnn.trial {words}"
    run = found(f"{command} > nowhere").with_module("M").partition("M ")[2]
    whole = command.partition("trial ")[2]
    expanded = [
        subprocess.check_output(["/bin/bash", "-c", f"printf '<%s>' {text}"], text=True)
        for text in (run, whole)
    ]
    assert expanded[0] == expanded[1]
    assert "<c 'd>" in expanded[0]


@given(
    st.lists(st.sampled_from([*" \t\n'\"\\$`(){}<>|&;#=a1-", TRIAL, "2>&1", "$(", "cd a", "&&"]))
)
def test_any_text_is_read_or_refused(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        part = find_trial(text)
    except CommandError:
        return
    if part is not None:
        assert "nni_blockqnn.trial" in part.words[part.position]
        assert part.with_module("M").endswith(" ".join(part.words[part.position + 1 :]))


@pytest.mark.parametrize("text", ["$(" * 400, "'" * 9_999, "a " * 5_000, "$(((" * 200 + "a"])
def test_odd_texts_are_read_or_refused_at_once(text: str) -> None:
    with suppress(CommandError):
        find_trial(text)
    with pytest.raises(CommandError, match="has 10001 characters, 10000 are read"):
        find_trial(text.ljust(10_001))
