"""What a search is planned to do in its hours, and the configuration of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from search_plans import CIFAR, DIGITS, PHOTOS, plan_of

from nni_blockqnn.automl._parts import Data
from nni_blockqnn.automl._recipes import final_options, metric_of, trial_batch
from nni_blockqnn.automl._schedule import (
    FEWEST_FINAL_EPOCHS,
    MOST_FINAL_EPOCHS,
    Finals,
    LongTime,
    schedule,
)
from nni_blockqnn.automl._winners import winner_arguments
from nni_blockqnn.automl.configuration import configuration, plan_lines
from nni_blockqnn.automl.request import (
    Request,
    RequestError,
)
from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.commands._tuner_checks import check_budget, check_tuner
from nni_blockqnn.data.outline import Outline
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.results.trial_command import trial_arguments, trial_option

IMAGES = Data(images=1_438, classes=10)
MANY = Data(images=50_000, classes=10)


def test_a_frontier_takes_from_the_hours_of_the_search() -> None:
    alone, frontier = (plan_of(DIGITS, frontier=wanted) for wanted in (False, True))
    assert frontier.schedule.search_seconds < alone.schedule.search_seconds
    assert frontier.schedule.final_epochs < alone.schedule.final_epochs
    assert frontier.schedule.seconds == pytest.approx(alone.schedule.seconds, rel=0.1)
    assert len(frontier.costs) == 3
    costs = ", ".join(f"{cost:,}" for cost in sorted(frontier.costs))
    assert f"frontier: finalists and winners at {costs} multiply-accumulates each" in (
        configuration(frontier).replace("\n#     ", " ")
    )


def test_more_hours_give_longer_and_more_trials() -> None:
    few, some, many = (
        schedule(Request("digits", hours), IMAGES, 1e-3, 2) for hours in (0.1, 1.0, 10.0)
    )
    assert few.trials < some.trials < many.trials
    assert few.epochs * few.part.trained < some.epochs * some.part.trained
    assert (many.epochs, many.part.limit) == (12, None)
    assert FEWEST_FINAL_EPOCHS <= few.final_epochs < some.final_epochs
    assert many.final_epochs == MOST_FINAL_EPOCHS
    for hours, found in ((0.1, few), (1.0, some)):
        assert 0.85 * 3600 * hours < found.seconds <= 3600 * hours


def test_too_few_hours_are_refused_with_enough() -> None:
    with pytest.raises(
        RequestError, match=r"hours must be at least about [\d.]+ .* got 0.01"
    ) as one:
        schedule(Request("digits", 0.01), IMAGES, 1e-3, 2)
    enough = float(str(one.value).split("about ")[1].split()[0])
    assert schedule(Request("digits", enough), IMAGES, 1e-3, 2).trials >= 8


def test_given_numbers_are_kept() -> None:
    request = Request("digits", 1.0, trials=33, finalists=4, final_epochs=21)
    found = schedule(request, IMAGES, 1e-3, 2)
    assert (found.trials, found.finalists, found.final_epochs) == (33, 4, 21)


def test_long_trainings_are_chosen_twice_where_time_allows() -> None:
    hours = Request("cifar10", 1.0)
    found = schedule(hours, IMAGES, 1e-5, 2)
    assert found.finals == Finals(5, 3, 2)
    assert found.finals.further == 3 + 2 * 2
    assert found.final_epochs >= 12
    assert schedule(replace(hours, finalists=3), IMAGES, 1e-5, 2).finals == Finals(3)
    assert schedule(replace(hours, frontier=True), IMAGES, 1e-5, 2).finals == Finals(8)
    asked = schedule(replace(hours, finalists=8, final_epochs=60), IMAGES, 2e-3, 2)
    assert asked.finals == Finals(8), "there is no time for more trainings of so many epochs"
    short = schedule(replace(hours, hours=0.5, finalists=8), IMAGES, 5e-3, 2)
    assert short.finals == Finals(8), "epochs would be too few"


@pytest.mark.parametrize(
    "given",
    [
        {"final_epochs": 1},
        {"final_epochs": 5_000},
        {"trials": 1},
        {"trials": 100_000},
        {"finalists": 1_000},
        {"trials": 1, "final_epochs": 1, "finalists": 1},
    ],
)
@pytest.mark.parametrize("pace", [1e-6, 1e-3, 1e-2])
def test_whatever_is_given_some_hours_are_enough(given: dict[str, int], pace: float) -> None:
    request = Request("digits", 0.001, **given)
    with pytest.raises(RequestError, match="hours must be at least about") as refused:
        schedule(request, IMAGES, pace, 2)
    enough = float(str(refused.value).split("about ")[1].split()[0].replace(",", ""))
    found = schedule(replace(request, hours=min(1.01 * enough, 10_000)), IMAGES, pace, 2)
    assert all(getattr(found, name) == value for name, value in given.items())


def test_affordable_epochs_fill_the_time() -> None:
    time = LongTime(300, [1e-3] * 5, [1e-3] * 3, at_a_time=2)
    whole = IMAGES.part(None, 12)
    epochs = time.affordable_epochs(whole, IMAGES)
    assert sum(time.needed(epochs, whole, IMAGES)) <= 300
    assert sum(time.needed(epochs + 1, whole, IMAGES)) > 300
    assert replace(time, seconds=-5).affordable_epochs(whole, IMAGES) == 0
    assert time.affordable_epochs(IMAGES.part(700, 12), IMAGES) > epochs


def test_finalists_get_fewer_images_rather_than_too_few_epochs() -> None:
    hour = Request("cifar10", 1.0)
    ample, short = (schedule(hour, MANY, pace, 2) for pace in (1e-4, 7e-4))
    assert ample.final_part.limit is None
    assert short.final_part.limit in (6_250, 12_500, 25_000)
    limit = f"--limit {short.final_part.limit}"
    assert short.final_part.options == [limit, "--validation-images 10000"]
    assert ample.final_epochs >= 12
    assert short.final_epochs >= 12
    assert (short.part.limit or MANY.images) <= short.final_part.limit
    assert 0.85 * 3600 < short.seconds <= 3600


@pytest.mark.parametrize(
    ("data", "images", "epochs", "trained", "validated"),
    [
        (MANY, None, 12, 45_000, 5_000),
        (MANY, 50_000, 12, 45_000, 5_000),
        (MANY, 1_000, 3, 1_000, 1_350),  # not 100, a tenth of them
        (MANY, 1_000, 1, 1_000, 1_000),
        (MANY, 6_250, 12, 6_250, 10_000),
        (MANY, 25_000, 12, 25_000, 10_000),
        (IMAGES, 1_000, 12, 1_000, 288),
        (replace(MANY, validated=20_000), None, 12, 50_000, 20_000),
        (replace(MANY, validated=20_000), 1_000, 3, 1_000, 1_350),
        (replace(MANY, validated=300), 1_000, 3, 1_000, 300),
        (Data(images=30, classes=3), 25, 12, 24, 6),
    ],
)
def test_images_of_a_training(
    data: Data, images: int | None, epochs: int, trained: int, validated: int
) -> None:
    part = data.part(images, epochs)
    assert (part.trained, part.validated) == (trained, validated)
    has_limit = images is not None and images < data.images
    assert bool(part.options) == has_limit
    sample = min(validated, 1_000) if has_limit else validated
    validations = (epochs - 1) * sample + validated
    assert part.steps(epochs) == pytest.approx(epochs * trained + validations / 3)


def test_classes_of_unequal_sizes_are_rewarded_for_their_mean() -> None:
    assert metric_of(PHOTOS) == "balanced_accuracy"
    assert metric_of(replace(PHOTOS, counts=(100, 90, 60))) == "accuracy"


def test_only_photos_are_flipped_and_cropped() -> None:
    assert final_options(DIGITS, (1, 8, 8))[0] == "--recipe final-plain"
    assert final_options(CIFAR, (3, 32, 32))[0] == "--recipe final"
    assert final_options(PHOTOS, (3, 28, 36))[0] == "--recipe final"
    assert final_options(PHOTOS, (3, 16, 20))[0] == "--recipe final-plain"
    assert final_options(PHOTOS, (1, 28, 36))[0] == "--recipe final-plain"
    assert final_options(DIGITS, (1, 8, 8))[1:] == ["--batch-size 64", "--learning-rate 0.05"]


def test_small_data_gets_small_batches() -> None:
    assert [trial_batch(count) for count in (50, 1_000, 5_000, 50_000)] == [32, 64, 128, 256]


@pytest.mark.parametrize("outline", [DIGITS, CIFAR, PHOTOS], ids=lambda one: one.dataset)
def test_the_configuration_is_one_that_nni_and_the_checks_accept(
    outline: Outline, tmp_path: Path
) -> None:
    plan = plan_of(outline, hours=30.0)
    path = tmp_path / "search.yml"
    path.write_text(configuration(plan), encoding="utf-8")
    config = load_config(path)
    findings = [*check_tuner(config), *check_budget(config)]
    assert [one for one in findings if one.level != "ok"] == []
    trained = winner_arguments(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert (trained.dataset, trained.data_dir) == (outline.dataset, outline.data_dir)
    space = config.search_space
    parameters = {"block": "[[1,1,3,0,0]]", "network": space["network"]["_value"][0]}
    assert read_task(parameters).spec.classes == outline.classes


def test_the_configuration_says_what_was_chosen_and_why() -> None:
    plan = plan_of(PHOTOS, hours=30.0)
    text = configuration(plan)
    comments = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    for said in (
        "3 classes, 550 images to train on (60 to 400 a class)",
        "359 test images",
        "classes: of very different sizes",
        "note: 6 files in cat are not read: .heic",
        "input: 36x28 pixels",
        f"{plan.size.flops:,} multiply-accumulates",
    ):
        assert said in comments
    assert "--metric balanced_accuracy" in text
    assert yaml.safe_load(text)["maxTrialNumber"] == plan.schedule.trials
    assert len(plan_lines(plan)) == 9


@pytest.mark.parametrize(("trials", "by_chance"), [(8, 10), (33, 16), (400, 200)])
def test_half_of_the_blocks_are_drawn_by_chance(trials: int, by_chance: int) -> None:
    written = yaml.safe_load(configuration(plan_of(DIGITS, trials=trials, hours=30.0)))
    arguments = written["tuner"]["classArgs"]
    assert (arguments["predictor"], arguments["candidates"]) == ("wl", {"first_results": by_chance})


def test_a_search_of_given_trials_may_take_all_the_hours() -> None:
    def most_seconds(**asked: Any) -> float:
        text = configuration(plan_of(DIGITS, **asked))
        return float(yaml.safe_load(text)["maxExperimentDuration"].rstrip("s"))

    found = plan_of(DIGITS, trials=20, final_epochs=12).schedule
    assert most_seconds(trials=20, final_epochs=12) == pytest.approx(
        3600 - found.seconds + found.search_seconds, abs=2
    )
    planned = plan_of(DIGITS).schedule.search_seconds
    assert most_seconds() == pytest.approx(1.1 * planned, abs=2)


@pytest.mark.parametrize(
    "name", ["it's #1: {a}", "two\nlines", "Füße 照片", "  spaces  ", "$HOME `x`"]
)
def test_any_folder_can_be_named(name: str, tmp_path: Path) -> None:
    outline = replace(PHOTOS, data_dir=Path("/photos") / name)
    text = configuration(plan_of(replace(outline), hours=30.0, data=f"/photos/{name}"))
    words = trial_arguments(yaml.safe_load(text))
    assert words is not None
    assert trial_option(words, "--data-dir", "") == f"/photos/{name}"
