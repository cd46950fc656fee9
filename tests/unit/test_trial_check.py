"""What ``blockqnn check`` makes of a trial's command, its answer and what else it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.commands._checks import check_config
from nni_blockqnn.commands._config_file import Finding, load_config
from nni_blockqnn.commands._search_time import sample_of
from nni_blockqnn.exchange.finalists import finalists_space
from nni_blockqnn.exchange.trial_check import FOLDER_VARIABLE, Answer, Request, read_answer
from nni_blockqnn.trials import check as trial_check

TRIAL = "-m nni_blockqnn.trial --dataset digits"
PASSED = Answer(True, "they suit the network; cpu", device="cpu", threads=1)

Checked = Callable[..., list[Finding]]


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """Checks a trial's command, in which {python} is a script that answers as a trial's would."""

    def check(
        command: str, answer: Answer | None = PASSED, script: str = "", **settings: Any
    ) -> list[Finding]:
        python = tmp_path / "bin" / "python"
        python.parent.mkdir(exist_ok=True)
        (tmp_path / "answer").write_text(json.dumps(asdict(answer)) if answer else "")
        copy = f'cp {tmp_path}/answer "${FOLDER_VARIABLE}/answer.json"' if answer else ""
        arguments = f'printf "%s\\n" "$@" > {tmp_path}/arguments; pwd > {tmp_path}/directory'
        python.write_text(f"#!/bin/bash\n{arguments}\n{copy}\n{script}\n")
        python.chmod(0o755)
        config = {
            "searchSpace": {
                "block": {"_type": "nsc", "_value": {"max_layers": 23}},
                "network": {"_type": "choice", "_value": ["digits"]},
            },
            "trialCommand": command.replace("{python}", str(python)),
            "trialConcurrency": 1,
            "maxTrialNumber": 40,
            "tuner": {
                "className": "nni_blockqnn.tuner.BlockQNNTuner",
                "codeDirectory": ".",
                "classArgs": {"budget": 40},
            },
            "trainingService": {"platform": "local"},
        }
        path = tmp_path / "search.yml"
        path.write_text(yaml.safe_dump(config | settings))
        findings = check_config(path, None, with_time=True).findings
        return [one for one in findings if one.subject in ("trial", "time", "trialConcurrency")]

    return check


@pytest.mark.parametrize(
    "command",
    [
        "touch side; {python} TRIAL | tee side2 > side3 # and so on",
        "{python}  TRIAL\n",
        "mkdir side; cd . && {python} TRIAL > side2 2>&1; touch side3",
    ],
)
def test_what_nni_runs_is_checked_and_nothing_else_runs(
    command: str, checked: Checked, tmp_path: Path
) -> None:
    first, *others = checked(command.replace("TRIAL", TRIAL))
    assert first == Finding("ok", "trial", PASSED.message)
    assert all("only its own part is checked, not: " in other.message for other in others)
    assert list(tmp_path.glob("side*")) == []
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments == ["-m", "nni_blockqnn.trials.check", "--dataset", "digits"]
    assert Path((tmp_path / "directory").read_text().strip()) == tmp_path


def test_warnings_do_not_replace_the_answer(checked: Checked) -> None:
    answer = Answer(True, "fine", warnings=("Palette images with Transparency",))
    script = "printf ' 50%%|##\\r100%%|####\\n' >&2; echo libpng warning >&2; echo '  f(x)' >&2"
    assert checked(f"{{python}} {TRIAL}", answer, f"{script}; echo {{}}") == [
        Finding("ok", "trial", "fine"),
        Finding("warning", "trial", "Palette images with Transparency"),
        Finding("warning", "trial", "its process says: libpng warning"),
    ]


@pytest.mark.parametrize(
    ("answer", "script", "command", "level", "said"),
    [
        (Answer(False, "no data", "surroundings"), "echo w >&2", "X", "failure", "no data"),
        (Answer(False, "no data", "surroundings"), "", "unzip a; X", "warning", "no data; unless"),
        (Answer(False, "--mu", "arguments"), "", "unzip a; X", "failure", "--mu"),
        (Answer(False, "--mu", "arguments"), "", ". env; X --mu $MU", "warning", "--mu; unless"),
        (None, "echo t >&2; echo 'No module' >&2; exit 1", "X", "failure", "code 1: No module"),
        (None, "kill -9 $$", "X", "failure", "by SIGKILL, as when memory runs out"),
        (None, "kill -11 $$", "X", "failure", "by SIGSEGV"),
        (None, "exit 3", "X", "failure", "exit code 3: it said nothing"),
        (None, "", "cd nowhere && X", "failure", "nowhere: No such file"),
        (None, "touch ran", "X --threads $(nproc)", "warning", "come from other commands"),
        (None, "touch ran", "docker run a X", "warning", "in a container"),
        (PASSED, "", "X &", "warning", "delete the &"),
        (None, "touch ran", "X 'a", "failure", "bash cannot read trialCommand: "),
        (None, "touch ran", "python trial.py", "warning", "not BlockQNN's"),
    ],
)
def test_the_reason_is_not_lost(
    answer: Answer | None,
    script: str,
    command: str,
    level: str,
    said: str,
    checked: Checked,
    tmp_path: Path,
) -> None:
    first = checked(command.replace("X", f"{{python}} {TRIAL}"), answer, script)[0]
    assert (first.level, said in first.message) == (level, True), first
    assert not (tmp_path / "ran").exists()


def test_a_file_that_hides_a_module_is_named_where_nothing_runs(
    checked: Checked, tmp_path: Path
) -> None:
    (tmp_path / "types.py").touch()
    first = checked(f"{{python}} {TRIAL}", None, "echo ImportError >&2; exit 1")[0]
    assert f"{tmp_path / 'types.py'} hides Python's own module types: rename it" in first.message
    assert first.message.endswith("ends with ImportError")


@pytest.mark.parametrize(
    ("settings", "answer", "level", "said"),
    [
        (
            {},
            {"trial_seconds": 60.0},
            "ok",
            "about 60 s here, all 40 about 43 min with 1 at a",
        ),
        (
            {"trialConcurrency": 2},
            {"trial_seconds": 60.0},
            "ok",
            "about 22 min with 2 at a time",
        ),
        ({}, {"trial_seconds": 9e4}, "warning", "all 40 about 42 days with 1 at a time"),
        (
            {},
            {"trial_seconds": 9e4},
            "warning",
            "--limit 5000 or fewer --epochs; or use a GPU",
        ),
        (
            {"maxTrialNumber": 4000},
            {"trial_seconds": 300.0},
            "warning",
            "maxTrialNumber: 283 and",
        ),
        ({"maxTrialNumber": 400}, {"trial_seconds": 1e3}, "warning", "limits: {max_flops: "),
        (
            {"maxTrialDuration": "1m"},
            {"trial_seconds": 90.0},
            "warning",
            "maxTrialDuration: 271s",
        ),
        ({"maxExperimentDuration": "5m"}, {"trial_seconds": 95.0}, "warning", "some 3 trials"),
        ({"maxTrialNumber": None}, {"trial_seconds": 5.0}, "ok", "takes about 5 s here"),
    ],
)
def test_the_time_of_the_search(
    settings: dict[str, Any],
    answer: dict[str, Any],
    level: str,
    said: str,
    checked: Checked,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("_load", "_search_time"):
        name = f"nni_blockqnn.commands.{module}.available_cores"
        monkeypatch.setattr(name, lambda: 2)
    monkeypatch.setattr("nni_blockqnn.commands._search_time.machine_load", lambda: 3.9)
    findings = checked(f"{{python}} {TRIAL}", Answer(**asdict(PASSED) | answer), **settings)
    time = next(one for one in findings if one.subject == "time")
    assert (time.level, said in time.message) == (level, True), time


def test_a_busy_machine_is_told_of(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nni_blockqnn.commands._search_time.available_cores", lambda: 2)
    monkeypatch.setattr("nni_blockqnn.commands._search_time.machine_load", lambda: 4.2)
    timed = Answer(**asdict(PASSED) | {"trial_seconds": 60.0})
    (time,) = [one for one in checked(f"{{python}} {TRIAL}", timed) if one.subject == "time"]
    assert "60 s here (measured beside other work, load 4), all" in time.message


@pytest.mark.parametrize(
    ("trials", "answer", "said"),
    [
        (1, {"threads": 2}, None),
        (2, {}, None),
        (2, {"threads": 2}, "2 trials of 2 threads compete for 2 cores; add to trialCommand: --th"),
        (1000, {}, "1000 trials at a time, but this machine has 2 cores"),
        (2, {"device": "cuda"}, None),
        (50, {"device": "cuda"}, "50 trials would share one GPU and 2 cores"),
    ],
)
def test_more_trials_than_the_machine_has_cores_for(
    trials: int,
    answer: dict[str, Any],
    said: str | None,
    checked: Checked,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nni_blockqnn.commands._load.available_cores", lambda: 2)
    full = Answer(**asdict(PASSED) | answer)
    findings = checked(f"{{python}} {TRIAL}", full, trialConcurrency=trials)
    warnings = [one.message for one in findings if one.level == "warning"]
    assert (len(warnings) == 1 and said in warnings[0]) if said else warnings == []


def rehearsed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str, parameters: Any = None
) -> Answer:
    """The answer of the trial's side, run in this process."""
    Request("digits", parameters).write(folder)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    monkeypatch.chdir(folder)
    code = trial_check.main(["--threads", "1", *words])
    answer = read_answer(folder)
    assert answer is not None
    assert code == (0 if answer.passed else 1)
    return answer


@pytest.mark.parametrize(
    ("words", "about", "said"),
    [
        (("--dataset", "cifra10"), "arguments", "did you mean cifar10?"),
        (("--dataset", "digits", "--bach-size", "1"), "arguments", "did you mean --batch-size?"),
        (("--dataset", "digits", "--epochs", "0"), "arguments", "from 1, got '0'"),
        (("--dataset", "digits", "--mu", "nan"), "arguments", "--mu: must be a number"),
        (("--dataset", "digits", "--help"), "arguments", "only print a help"),
        (("--dataset", "cifar10"), "surroundings", "set network to cifar10"),
        (("--dataset", "digits", "--reward", "own:gone"), "surroundings", "no module own"),
        (("--dataset", "digits", "--device", "cuda:99"), "surroundings", "device cuda:99"),
    ],
)
def test_the_trials_side_answers(
    words: tuple[str, ...], about: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = rehearsed(tmp_path, monkeypatch, *words)
    assert (answer.passed, answer.about, said in answer.message) == (False, about, True), answer


def test_the_trials_side_times_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = "[[1,1,3,0,0],[2,7,0,0,0]]"
    parameters = {"block": block, "repeats": 1, "network": "digits"}
    words = ("--dataset", "digits", "--batch-size", "64")
    answer = rehearsed(tmp_path, monkeypatch, *words, parameters=parameters)
    assert (answer.passed, answer.device, answer.threads) == (True, "cpu", 1)
    assert answer.message.startswith("digits: 1294 training, 144 validation and 359 test images")
    assert 0 < (answer.trial_seconds or 0) < 600


def test_files_that_hide_what_a_trial_imports_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nni.py", "rewards.py", "os.py", "smtpd.py"):
        (tmp_path / name).touch()
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    # in this process they are loaded already; a trial's Python would load them now
    monkeypatch.setattr(trial_check, "modules_at_start", lambda: {"os"})
    answer = rehearsed(tmp_path, monkeypatch, "--dataset", "digits")
    assert answer.message == (
        f"{tmp_path / 'nni.py'} hides the library nni; {tmp_path / 'torch'} hides the library "
        "torch: rename it"
    )


def test_a_trials_time_is_that_of_the_median_finalist(tmp_path: Path) -> None:
    blocks = [Block.parse([[1, 1, kernel, 0, 0]]) for kernel in (5, 1, 3)]
    path = tmp_path / "finalists.yml"
    config = {
        "searchSpace": finalists_space(blocks, 1, "digits"),
        "trialCommand": "true",
        "trialConcurrency": 1,
        "tuner": {"name": "GridSearch"},
        "trainingService": {"platform": "local"},
    }
    path.write_text(yaml.safe_dump(config))
    sample = sample_of(load_config(path))
    assert Block.parse(sample.median["block"]) == blocks[2]
    assert list(sample.flops) == sorted(sample.flops)


@pytest.mark.slow
def test_a_real_trial_beside_a_file_that_hides_pythons_own(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("print('not the one')")
    config = {
        "searchSpace": {
            "block": {"_type": "nsc", "_value": {"max_layers": 5}},
            "network": {"_type": "choice", "_value": ["digits"]},
        },
        "trialCommand": "touch ran; python -m nni_blockqnn.trial --dataset digits | tee log  # x",
        "trialConcurrency": 1,
        "tuner": {"name": "Random"},
        "trainingService": {"platform": "local"},
    }
    path = tmp_path / "search.yml"
    path.write_text(yaml.safe_dump(config))
    (trial,) = [one for one in check_config(path, None).findings if one.subject == "trial"]
    assert trial.message.startswith(f"{tmp_path / 'random.py'} hides Python's own module random")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "log").exists()
