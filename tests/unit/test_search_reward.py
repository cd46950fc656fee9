"""What a report says of its search's reward."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any

import pytest
from made_experiments import ONE_CONV, final, results_of

from nni_blockqnn.reports.report import write_report
from nni_blockqnn.results.experiment import Results
from nni_blockqnn.results.rewards import SearchReward, search_reward
from nni_blockqnn.results.trial_command import (
    command_with,
    given_options,
    trial_arguments,
    trial_option,
)

OWN = "python -m nni_blockqnn.trial --dataset digits"
ACCURACY = "The reward is the accuracy itself: μ and ρ are 0."
FUNCTION = "The reward is the search's own, <code>mine:small</code>."
BAL = "balanced_accuracy"
BALANCED = {"metric": BAL, BAL: 62.0}
BALANCED_ACCURACY = "The reward is the balanced accuracy itself: μ and ρ are 0."
LN_FLOPS = "ln(FLOPs / 10<sup>6</sup>)"
FORMULA = "The reward is the paper's: accuracy"
UNKNOWN = "What the reward was computed from, neither the results nor the trial's command say."


def weighted(mu: float, rho: float, **more: Any) -> dict[str, Any]:
    """A final metric whose reward is the paper's with these weights."""
    reward = 62.0 - mu * math.log(4.0) - rho * math.log(1.0)
    return final(default=reward, mu=mu, rho=rho, **more)


def stated(results: Results, tmp_path: Path) -> str:
    """The report's sentence."""
    write_report(results, tmp_path / "r.html")
    text = html.unescape((tmp_path / "r.html").read_text())
    _, _, rest = text.partition("so neighbours in the table may well change places.</p>")
    paragraphs = (" ".join(part.partition("</p>")[0].split()) for part in rest.split("<p>")[1:])
    return next(paragraph for paragraph in paragraphs if "eward" in paragraph)


@pytest.mark.parametrize(
    ("metrics", "command", "reward", "said"),
    [
        ([weighted(0, 0)], OWN, SearchReward((0, 0)), ACCURACY),
        ([weighted(1, 8)], OWN, SearchReward((1, 8)), f"{FORMULA} − 1 {LN_FLOPS} − 8 ln(density)."),
        ([weighted(-2.5, 0)], OWN, SearchReward((-2.5, 0)), f"{FORMULA} + 2.5 {LN_FLOPS}."),
        ([weighted(0, 8)], OWN, SearchReward((0, 8)), f"{FORMULA} − 8 ln(density)."),
        ([final(reward="mine:small")], OWN, SearchReward(function="mine:small"), FUNCTION),
        (
            [weighted(0, 0, accuracy=99.0, **BALANCED)],
            OWN,
            SearchReward((0, 0), measure=BAL),
            BALANCED_ACCURACY,
        ),
        # two rewards, for example of a warm start
        ([weighted(0, 0), weighted(1, 0, block=ONE_CONV)], OWN, SearchReward(), UNKNOWN),
        ([weighted(0, 0), final(block=ONE_CONV)], OWN, SearchReward(), UNKNOWN),
        # the metric names what cannot have been its reward
        ([weighted(1, 8) | {"default": 3.0}], OWN, SearchReward(), UNKNOWN),
        ([final()], "python my_trial.py --mu 0 --rho 0", SearchReward(), UNKNOWN),
        ([final(mu="many", rho=None)], "", SearchReward(), UNKNOWN),
    ],
)
def test_the_reward_that_the_metrics_name(
    tmp_path: Path, metrics: list[Any], command: str, reward: SearchReward, said: str
) -> None:
    results = results_of(tmp_path, *metrics, config={"trialCommand": command})
    assert search_reward(results) == reward
    sentence = stated(results, tmp_path)
    assert sentence.startswith(said)
    assert ("must be measured" in sentence) == (said.startswith(FORMULA))


@pytest.mark.parametrize(
    ("options", "reward"),
    [
        ("", SearchReward((1, 8))),
        (" --mu 0 --rho=0 | tee log", SearchReward((0, 0))),
        (" --reward mine:small", SearchReward(function="mine:small")),
        (" --mu $MU", SearchReward()),
        (" --mu 0 --rho 0 --metric balanced_accuracy", SearchReward((0, 0), measure=BAL)),
    ],
)
def test_metrics_that_name_none_are_of_the_trials_command(
    tmp_path: Path, options: str, reward: SearchReward
) -> None:
    mu, rho = reward.weights or (0, 0)
    metric = weighted(mu, rho)
    del metric["mu"], metric["rho"]
    results = results_of(tmp_path, metric, config={"trialCommand": OWN + options})
    assert search_reward(results) == reward


def test_a_reward_that_is_minimised_is_said_to_be(tmp_path: Path) -> None:
    config = {"tuner": {"classArgs": {"optimize_mode": "minimize"}}}
    assert "looked for a small one" in stated(
        results_of(tmp_path, final(), config=config), tmp_path
    )


def test_a_trial_that_reports_no_accuracy_has_a_report(tmp_path: Path) -> None:
    results = results_of(tmp_path, final(default=1.5), final(default=2.5, block=ONE_CONV))
    for trial in results.trials:
        for name in ("accuracy", "flops", "params", "repeats"):
            object.__setattr__(trial, name, None)
    assert stated(results, tmp_path).startswith(UNKNOWN)
    page = (tmp_path / "r.html").read_text()
    assert "Reward by iteration" in page
    assert "Accuracy by iteration" not in page
    assert "<b>2.50</b><span>best reward" in page
    assert "best early-stop accuracy" not in page
    assert "None" not in page.partition("<script>")[0].partition("</style>")[2]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (f"{OWN} --data-dir='/a b' 2>&1 | tee log", ["--data-dir", "'/a b'"]),
        (f"cd x && {OWN} --limit 5; rm --limit 6", ["--limit", "5"]),
        (f"{OWN} \\\n  --seed 1 # --seed 2", ["--seed", "1"]),
        (f"{OWN} --data-dir a#b > 'x'", ["--data-dir", "a#b"]),
        ("python my_trial.py --seed 1", None),
        ("python 'unfinished", None),
        ("", None),
    ],
)
def test_the_arguments_of_a_trial_end_with_it(command: str, arguments: list[str] | None) -> None:
    expected = None if arguments is None else ["--dataset", "digits", *arguments]
    assert trial_arguments({"trialCommand": command}) == expected


def test_options_are_taken_with_and_without_their_quotes() -> None:
    arguments = ["--data-dir", "'my data'", "--limit", "1", "--limit", "2"]
    assert trial_option(arguments, "--limit", "3") == "2"
    assert trial_option(arguments, "--data-dir", "") == "my data"
    assert trial_option(arguments, "--seed", "3") == "3"
    assert given_options(arguments, ["--limit", "--seed", "--data-dir"]) == [
        *("--limit", "2"),
        *("--data-dir", "'my data'"),
    ]


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        (f"{OWN} 2>&1 | tee log", "python -m nni_blockqnn.trial --x"),
        (f"cd /x; {OWN}", "cd /x && python -m nni_blockqnn.trial --x"),
        ("python my_trial.py", "python -m nni_blockqnn.trial --x"),
    ],
)
def test_a_command_with_other_arguments(command: str, changed: str) -> None:
    assert command_with({"trialCommand": command}, ["--x"]) == changed
