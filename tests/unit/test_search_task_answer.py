"""``blockqnn search`` of other tasks than classification: its progress and its answer."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from found_searches import ANSWER, CONFIG, FOUND, REQUEST, ROW, experiment, metric
from other_tasks import ERROR, NUMBERS, OWN, Brightness, grey
from PIL import Image

from nni_blockqnn.automl._chosen import Winner, read_winners, write_winners
from nni_blockqnn.automl._finals import write_finals
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl._outputs import export_winner, write_outputs
from nni_blockqnn.automl._progress import SearchProgress
from nni_blockqnn.automl._winners import train_winner, winner_arguments
from nni_blockqnn.automl.answer import Answer, answer_lines, row_of
from nni_blockqnn.automl.found import Found
from nni_blockqnn.automl.request import Request
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.cli import main
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.results.experiment import Results, find_experiment, read_results
from nni_blockqnn.tasks import KEY_POINTS
from nni_blockqnn.training.evaluation import score_interval


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


class Shown:
    """A display that keeps what it is to show."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, line: str) -> None:
        pass

    def show(
        self, stage: str, done: int, total: int, unit: str, text: str = "", *more: Any
    ) -> None:
        self.texts.append(text)


def test_progress_names_the_measure(tmp_path: Path) -> None:
    error = metric(0, FOUND, -3.256) | {"measure": ERROR.to_json()}
    for name, one in (("abcd1234", metric(0, FOUND, 96.0)), ("efgh5678", error)):
        experiment(SearchFolder(tmp_path), name, CONFIG, one)
        shown = Shown()
        SearchProgress(shown, REQUEST, None)(read_results(find_experiment(name)), "url")  # type: ignore[arg-type]
        (text,) = shown.texts
        value = "96.00 %" if name == "abcd1234" else "mean error 3.256 levels"
        assert text == f"best: {value} on validation images"


ERRORS = Answer(
    **{
        **vars(ANSWER),
        "task": OWN,
        "measure": ERROR.to_json(),
        "rows": (
            replace(
                ROW, accuracy=-3.2, low=-3.5, high=-2.9, balanced_accuracy=None,
                measured={"grey_error": 3.2, "near": 99.0},
            ),
            replace(
                ROW, name="residual", accuracy=-4.4, low=-4.9, high=-4.0, balanced_accuracy=None,
                measured={"grey_error": 4.4, "near": 97.0},
            ),
        ),
    }
)  # fmt: skip


def test_the_answer_is_in_the_measures_own_direction() -> None:
    assert Answer.from_json(ERRORS.to_json()) == ERRORS
    first, head, winner, residual, *rest = answer_lines(ERRORS, Path("found"))
    assert first == "Mean error 3.2 levels on 359 test images, by a found block, trained 30 epochs"
    assert "test mean error   95 % interval" in head
    assert winner.split()[1:6] == ["3.2", "levels", "2.9", "to", "3.5"]
    assert residual.split()[1:6] == ["4.4", "levels", "4", "to", "4.9"]
    text = "\n".join(rest)
    assert "intervals: by a bootstrap over the test images" in text
    assert "1.2 levels better than residual at equal cost\n" in text
    assert f"predict found photo.jpg photos/ --task {OWN} > answers.jsonl" in text
    near = replace(ERRORS, rows=(ERRORS.rows[0], replace(ERRORS.rows[1], high=-3.4)))
    assert "so this may be chance" in "\n".join(answer_lines(near, Path("found")))
    assert "%" not in text.replace("95 %", "")


def test_its_table_has_a_column_for_each_measure() -> None:
    winner, residual = csv.DictReader(io.StringIO(ERRORS.to_csv()))
    assert (winner["test_grey_error"], residual["test_near"]) == ("3.2", "97.0")
    assert (winner["accuracy"], winner["balanced_accuracy"]) == ("-3.2", "")
    assert winner["block"] == FOUND


def test_a_row_has_the_measures_and_the_bootstraps_interval(tmp_path: Path) -> None:
    facts = {
        "task": OWN,
        "measure": ERROR.to_json(),
        "test_accuracy": -0.0123456,
        "test_grey_error": 0.0123456,
        "test_near": 99.0,
        "test_class_accuracies": {"0": 3.0},
        "test_interval": [-0.02, -0.01],
    }
    row = row_of(_winner(), facts, 300)
    assert (row.low, row.high, row.balanced_accuracy) == (-0.02, -0.01, None)
    assert row.measured == {"grey_error": 0.012346, "near": 99.0}
    assert row.accuracy == -0.012346


def _winner() -> Winner:
    task = read_task({"block": FOUND, "repeats": 1, "network": "digits", "episode": 0})
    return Winner("winner", "winner", Block.parse(FOUND), task, -0.02, None)


def test_the_bootstrap_is_that_of_the_mean() -> None:
    """Of a mean, the normal distribution's interval is nearly the bootstrap's."""
    errors = torch.from_numpy(np.random.default_rng(3).exponential(2.0, (400, 1))).float()
    low, high = score_interval(Brightness(), errors, errors[:, 0])
    half = 1.96 * errors.std().item() / 20
    assert (low, high) == score_interval(Brightness(), errors, errors[:, 0])
    assert low == pytest.approx(-errors.mean().item() - half, abs=0.1 * half)
    assert high == pytest.approx(-errors.mean().item() + half, abs=0.1 * half)


def test_the_score_of_key_points_is_their_first_measure() -> None:
    rng = torch.Generator().manual_seed(0)
    targets = torch.rand(20, 16, 3, generator=rng) * 40
    targets[:, 14] = torch.tensor([400.0, 30.0, 0.0])
    targets[:, 15] = torch.tensor([0.0, 0.0, 1.0])
    judged = (targets[:, :14] + 20 * torch.rand(20, 14, 3, generator=rng)).flatten(1)
    score = KEY_POINTS.score_of(judged, targets)
    assert 5 < score < 95
    assert score == KEY_POINTS.score(KEY_POINTS.measure(judged, targets))


SMALL = '{"input_shape": [1, 4, 4], "classes": 1, "filters": [8], "repeats": 1}'


def finals_of_grey(folder: SearchFolder, request: Request) -> tuple[Results, Results]:
    """A search and its finalists' trainings, as NNI would have left them."""
    space = CONFIG["searchSpace"] | {"network": {"_type": "choice", "_value": [SMALL]}}
    command = f"python -m nni_blockqnn.trial --task {OWN} --dataset {__name__}:grey --device cpu"
    tuner = {"className": "nni_blockqnn.tuner.BlockQNNTuner"}
    config = CONFIG | {"searchSpace": space, "trialCommand": command, "tuner": tuner}
    residual = NAMED_BLOCKS["residual"].to_json()
    errors = [
        metric(number, block, score) | {"measure": ERROR.to_json(), "task": OWN}
        for number, (block, score) in enumerate(((FOUND, -3.0), (residual, -5.0)))
    ]
    experiment(folder, "abcd1234", config, *errors)
    searched = read_results(find_experiment("abcd1234"))
    write_finals(folder, request, NUMBERS, searched)
    written = yaml.safe_load(folder.finalists.with_suffix(".yml").read_text())
    space = json.loads(folder.finalists.read_text())
    experiment(folder, "efgh5678", written | {"searchSpace": space}, *errors)
    return searched, read_results(find_experiment("efgh5678"))


def test_what_a_search_leaves_is_in_the_tasks_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SearchFolder(tmp_path / "found")
    folder.path.mkdir()
    (folder.path / "search.json").write_text("{}")
    request = Request(f"{__name__}:grey", 1.0, task=OWN, final_epochs=2)
    searched, finals = finals_of_grey(folder, request)
    write_winners(folder, finals)
    arguments = winner_arguments(finals.experiment.config)
    rows = []
    for winner in read_winners(folder):
        facts = train_winner(folder, winner, arguments, lambda epoch, epochs: None)
        assert facts["test_interval"][0] <= facts["test_accuracy"] <= facts["test_interval"][1]
        rows.append(row_of(winner, facts, 10))
        export_winner(folder, winner)
    assert [row.name for row in rows] == ["winner", "residual"]
    answer = replace(ERRORS, rows=tuple(rows), tested=10)
    write_outputs(folder, request, answer, searched, finals)
    error = f"{rows[0].measured['grey_error']:.4g} levels"
    assert f"| test mean error | {error} |" in (folder.path / "network" / "README.md").read_text()
    report = (folder.path / "report.html").read_text()
    assert "Test mean error, winner" in report
    assert error in report
    assert f"--task {OWN}" in (folder.path / "reproduce.sh").read_text()

    found = Found(folder.path, answer)
    assert found.measured == rows[0].measured
    assert found.accuracy == -found.measured["grey_error"]
    images = grey(Path()).test_images[:, None]
    outputs = found.predict(images)
    assert isinstance(outputs, np.ndarray)
    assert outputs.shape == (10, 1)
    Image.fromarray(images[0, 0]).save(tmp_path / "a.png")
    (said,) = found.predict(tmp_path / "a.png")
    assert said.says["outputs"] == pytest.approx(outputs[0].tolist(), abs=1e-5)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"must be of shape \(N, 1, 4, 4\), got \(3, 4\)"):
        found.predict(np.zeros((3, 4)))

    command = ["predict", str(folder.path), str(tmp_path / "a.png")]
    assert main(command) == 1
    assert f"name it: --task {OWN}" in capsys.readouterr().err
    assert main([*command, "--task", OWN]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == pytest.approx(
        outputs[0].tolist(), abs=1e-5
    )
