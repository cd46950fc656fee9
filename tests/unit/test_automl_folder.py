"""The output folder: whose it is, which experiments are its stages, and its results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from made_experiments import final, make_experiment

from nni_blockqnn.automl._chosen import by_cost, read_winners, write_winners
from nni_blockqnn.automl._finals import trial_epochs, write_finals
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl._sizing import cost_name
from nni_blockqnn.automl._winners import winner_arguments
from nni_blockqnn.automl._words import in_words, interval
from nni_blockqnn.automl.answer import Answer, Row, answer_lines
from nni_blockqnn.automl.found import Found
from nni_blockqnn.automl.request import Request, RequestError
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.commands._tuner_checks import check_tuner
from nni_blockqnn.data.outline import outline_of
from nni_blockqnn.results.experiment import find_experiment, read_results
from nni_blockqnn.space.search_space import SearchSpace

REQUEST = Request("digits", 0.5)
CONFIG: dict[str, Any] = {
    "experimentName": 'BlockQNN on "digits"',
    "searchSpace": {
        "block": {"_type": "nsc", "_value": {"max_layers": 10}},
        "repeats": {"_type": "choice", "_value": [1]},
        "network": {"_type": "choice", "_value": ['{"preset": "digits", "filters": [12, 24]}']},
    },
    "trialCommand": "python -m nni_blockqnn.trial --dataset digits --data-dir '/my data' "
    "--recipe early-stop --epochs 8 --batch-size 64 --seed 3 --limit 1000 --mu 0 --rho 0 "
    "--device cpu --threads 1",
    "trialConcurrency": 2,
    "maxTrialNumber": 40,
    "tuner": {
        "className": "nni_blockqnn.tuner.BlockQNNTuner",
        "classArgs": {"match": {"flops": 340_000}},
    },
}
FOUND = "[[1,1,3,0,0],[2,1,3,1,0],[3,1,1,2,0],[4,7,0,0,0]]"
OTHER = "[[1,1,5,0,0],[2,1,3,1,0],[3,7,0,0,0]]"
ROW = Row("winner", FOUND, 97.0, 96.0, 93.4, 97.6, 95.9, 340_000, 4_000, 11)
ANSWER = Answer(
    data="digits",
    rows=(ROW, replace(ROW, name="residual", accuracy=95.0, low=92.2, high=96.8)),
    tested=359,
    epochs=30,
    trials=40,
    seconds=1_000.0,
    experiments={"search": "abcd1234", "finalists": "efgh5678"},
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return SearchFolder(tmp_path / "found")


def metric(episode: int, block: str, accuracy: float, flops: int = 340_000) -> dict[str, Any]:
    """Of a trial at equal cost, as the search's reports it."""
    return final(
        flops=flops,
        default=accuracy,
        accuracy=accuracy,
        episode=episode,
        block=block,
        repeats=1,
        width=12,
        epoch_seconds=2.0,
    )


def experiment(folder: SearchFolder, name: str, config: dict[str, Any], *metrics: Any) -> str:
    """One of this home's, which the folder keeps as a stage's."""
    home = Path.home() / "nni-experiments"
    make_experiment(
        home, name, finals=[(f"trial{n}", one) for n, one in enumerate(metrics)], config=config
    )
    return name


def searched(folder: SearchFolder) -> Any:
    hand_made = [block.to_json() for block in NAMED_BLOCKS.values()]
    blocks = zip((hand_made[0], hand_made[1], FOUND, OTHER), (93.0, 94.0, 96.0, 91.0), strict=True)
    metrics = [metric(number, *one) for number, one in enumerate(blocks)]
    experiment(folder, "abcd1234", CONFIG, *metrics)
    return read_results(find_experiment("abcd1234"))


def test_the_folder_of_a_search_takes_its_arguments_again(folder: SearchFolder) -> None:
    folder.check(REQUEST)
    folder.claim(REQUEST, "data")
    folder.release()
    again = SearchFolder(folder.path)
    again.check(REQUEST)
    again.claim(REQUEST, "data")
    again.release()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "cifar10"}, "data was 'digits', now it is 'cifar10'"),
        ({"hours": 2.0}, "hours was 0.5, now it is 2.0"),
        ({"trials": 20}, "trials was None, now it is 20"),
        ({"seed": 1}, "seed was 0, now it is 1"),
        ({"budget": "40M"}, "budget was 'auto', now it is '40M'"),
    ],
)
def test_another_search_is_refused_by_name(
    folder: SearchFolder, change: dict[str, Any], said: str
) -> None:
    folder.claim(REQUEST, "data")
    folder.release()
    with pytest.raises(RequestError, match="is the folder of another search") as refused:
        SearchFolder(folder.path).check(replace(REQUEST, **change))
    assert said in str(refused.value)
    assert str(folder.path) in str(refused.value)


def test_changed_data_is_refused(folder: SearchFolder) -> None:
    folder.claim(REQUEST, "data")
    folder.release()
    with pytest.raises(RequestError, match="'digits' has changed since"):
        SearchFolder(folder.path).claim(REQUEST, "other")
    SearchFolder(folder.path).claim(REQUEST, "data")  # it is not left locked


def test_two_searches_in_one_folder_are_refused(folder: SearchFolder) -> None:
    folder.claim(REQUEST, "data")
    with pytest.raises(RequestError, match="another search is at work in"):
        SearchFolder(folder.path).claim(REQUEST, "data")
    folder.release()


@pytest.mark.parametrize("damage", ["{", "[]", '{"request": 3}'])
def test_a_damaged_record_is_named(folder: SearchFolder, damage: str) -> None:
    folder.path.mkdir()
    (folder.path / "search.json").write_text(damage)
    with pytest.raises(RequestError, match=r"search\.json is damaged"):
        folder.check(REQUEST)


def test_a_folder_of_something_else_is_refused(folder: SearchFolder, tmp_path: Path) -> None:
    folder.path.mkdir()
    (folder.path / "holiday.jpg").write_text("")
    with pytest.raises(RequestError, match=r"not empty, it holds 'holiday\.jpg'"):
        folder.check(REQUEST)
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="is a file"):
        SearchFolder(tmp_path / "file").check(REQUEST)


def test_a_kill_before_the_claim_leaves_the_folder_free(folder: SearchFolder) -> None:
    folder.path.mkdir()
    for name in ("search.lock", "search.json.tmp"):
        (folder.path / name).touch()
    folder.check(REQUEST)
    folder.claim(REQUEST, "data")
    folder.release()
    assert not (folder.path / "search.json.tmp").exists()


def test_a_configuration_of_the_users_own_is_taken(folder: SearchFolder) -> None:
    folder.path.mkdir()
    folder.config.write_text("maxTrialNumber: 3\n")
    folder.check(REQUEST)


def test_a_full_disk_is_refused(folder: SearchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10 * 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(RequestError, match="with 10 MiB left, and a search needs 500"):
        folder.claim(REQUEST, "data")


def test_an_experiment_is_found_again_by_what_is_kept(folder: SearchFolder) -> None:
    folder.claim(REQUEST, "data")
    assert folder.experiment("search") is None
    experiment(folder, "abcd1234", CONFIG)
    assert folder.experiment("search") is None  # of some other folder
    folder.keep_experiment("search", "abcd1234")
    found = folder.experiment("search")
    assert found is not None
    assert found.id == "abcd1234"
    assert folder.experiment("finalists") is None
    folder.release()


def test_an_experiment_whose_id_a_kill_has_lost_is_known_by_its_folder(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 4.0)  # that of NNI's records is 5
    folder.claim(REQUEST, "data")
    tuner = CONFIG["tuner"] | {"codeDirectory": str(folder.path)}
    experiment(folder, "abcd1234", CONFIG | {"tuner": tuner})
    finals = {"className": "nni_blockqnn.finalists_tuner.FinalistsTuner"}
    experiment(folder, "efgh5678", {"tuner": tuner | finals})
    for stage, name in (("search", "abcd1234"), ("finalists", "efgh5678")):
        found = folder.experiment(stage)
        assert found is not None
        assert found.id == name


def test_an_earlier_experiment_of_a_folder_of_this_name_is_left_alone(
    folder: SearchFolder,
) -> None:
    folder.claim(REQUEST, "data")  # now, and NNI's record says 1970
    tuner = CONFIG["tuner"] | {"codeDirectory": str(folder.path)}
    experiment(folder, "abcd1234", CONFIG | {"tuner": tuner})
    assert folder.experiment("search") is None


def test_finalists_are_the_best_found_and_the_hand_made(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results = searched(folder)
    outline = outline_of("digits", Path("unused"))
    epochs = write_finals(folder, replace(REQUEST, finalists=1), outline, results)

    space = json.loads(folder.finalists.read_text())
    hand_made = [block.to_json() for block in NAMED_BLOCKS.values()]
    assert [json.loads(one) for one in space["block"]["_value"]] == [
        json.loads(one) for one in (FOUND, *hand_made)
    ]
    config = load_config(folder.finalists.with_suffix(".yml"))
    assert [one.level for one in check_tuner(config)] == ["ok", "ok"]
    assert config.max_trial_number == 3
    written = {"trialCommand": config.trial_command}
    assert trial_epochs(written) == epochs >= 4
    arguments = winner_arguments(written)
    assert (arguments.dataset, arguments.data_dir) == ("digits", Path("/my data"))
    assert (arguments.seed, arguments.limit, arguments.threads) == (3, None, None)
    assert (arguments.validation, arguments.test) == ("test", True)
    assert arguments.chosen_recipe().augment is False


def test_finalists_train_where_the_search_did(folder: SearchFolder) -> None:
    folder.path.mkdir()
    service = {"platform": "remote", "machineList": [{"host": "a: #", "user": "me"}]}
    written = {"nniManagerIp": "10.0.0.1", "trainingService": service}
    folder.config.write_text(yaml.safe_dump(written))
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    write_finals(folder, REQUEST, outline, results)
    finals = yaml.safe_load(folder.finalists.with_suffix(".yml").read_text())
    assert {name: finals[name] for name in written} == written


def test_epochs_follow_from_the_time_that_is_left(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    few, many = (
        write_finals(folder, Request("digits", hours), outline, results) for hours in (0.1, 1.0)
    )
    assert few < many
    assert write_finals(folder, Request("digits", 0.1, final_epochs=7), outline, results) == 7


def test_the_best_finalist_wins_and_hand_made_ones_go_with_it(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    write_finals(folder, REQUEST, outline, results)
    residual = NAMED_BLOCKS["residual"].to_json()
    space = json.loads(folder.finalists.read_text())
    config = {"searchSpace": space, "tuner": {"className": "x.FinalistsTuner"}}
    scores = ((residual, 95.0), (OTHER, 94.0), (FOUND, 97.5))
    metrics = [metric(number, *one) for number, one in enumerate(scores)]
    experiment(folder, "efgh5678", config, *metrics)

    write_winners(folder, read_results(find_experiment("efgh5678")))
    first, second = read_winners(folder)
    assert (first.name, first.block.to_json(), first.validated) == ("winner", FOUND, 97.5)
    assert (second.name, second.block) == ("residual", NAMED_BLOCKS["residual"])
    assert first.task.spec.filters[0] != second.task.spec.filters[0]  # each at the same cost


def test_where_time_allows_finalists_are_chosen_twice(folder: SearchFolder) -> None:
    folder.path.mkdir()
    rng = np.random.default_rng(0)
    space = SearchSpace.from_json(CONFIG["searchSpace"])
    texts = [block.to_json() for block in NAMED_BLOCKS.values()]
    texts += [space.random_block(rng).to_json() for _ in range(30)]
    metrics = [metric(n, text, 90 + float(rng.normal())) for n, text in enumerate(texts)]
    metrics = [{**one, "flops": 330_000, "params": 4_000} for one in metrics]
    experiment(folder, "abcd1234", CONFIG, *metrics)
    results = read_results(find_experiment("abcd1234"))
    write_finals(
        folder, replace(REQUEST, finalists=4), outline_of("digits", Path("unused")), results
    )
    config = load_config(folder.finalists.with_suffix(".yml"))
    assert [one.level for one in check_tuner(config)] == ["ok", "ok"]
    following = {"search": "abcd1234", "more": 1, "again": 2, "seeds": 3}
    assert (config.tuner.class_args, config.max_trial_number) == (following, 3 + 2 + 1 + 4)

    finalists = json.loads(folder.finalists.read_text())
    first, second, third, *_ = finalists["block"]["_value"]
    scores = [(first, 97.0), (second, 95.0), (third, 94.0)]
    scores += [(first, 93.0), (first, 93.5), (second, 96.0), (second, 95.8)]
    long = [metric(number, *one) for number, one in enumerate(scores)]
    tuner = {"className": "nni_blockqnn.finalists_tuner.FinalistsTuner", "classArgs": following}
    experiment(folder, "efgh5678", {"searchSpace": finalists, "tuner": tuner}, *long)
    write_winners(folder, read_results(find_experiment("efgh5678")))
    (winner,) = read_winners(folder)
    assert winner.block.to_json() == second, "the first one was lucky once"
    assert winner.validated == pytest.approx((95.0 + 96.0 + 95.8) / 3)


def test_a_hand_made_winner_is_not_trained_twice(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    write_finals(folder, REQUEST, outline, results)
    residual, inception = (block.to_json() for block in NAMED_BLOCKS.values())
    space = json.loads(folder.finalists.read_text())
    scores = ((residual, 99.0), (inception, 98.0), (FOUND, 97.5))
    metrics = [metric(number, *one) for number, one in enumerate(scores)]
    experiment(folder, "efgh5678", {"searchSpace": space}, *metrics)
    write_winners(folder, read_results(find_experiment("efgh5678")))
    assert [winner.name for winner in read_winners(folder)] == ["winner", "inception"]


def test_a_frontier_has_a_winner_for_each_cost(folder: SearchFolder) -> None:
    folder.path.mkdir()
    results, outline = searched(folder), outline_of("digits", Path("unused"))
    write_finals(folder, replace(REQUEST, frontier=True, finalists=1), outline, results)
    config = load_config(folder.finalists.with_suffix(".yml"))
    assert [one.level for one in check_tuner(config)] == ["ok", "ok"]
    space = json.loads(folder.finalists.read_text())
    costs = [json.loads(match)["flops"] for match in space["match"]["_value"]]
    assert costs[0] == 340_000
    assert costs[1] < costs[0] < costs[2]
    assert config.max_trial_number == 3 * 3

    residual = NAMED_BLOCKS["residual"].to_json()
    scores = [
        *((FOUND, 97.5, costs[0]), (residual, 95.0, costs[0])),
        *((residual, 94.0, costs[1]), (FOUND, 93.0, int(0.9 * costs[1]))),
        (FOUND, 98.5, int(1.04 * costs[2])),
    ]
    metrics = [metric(number, *one) for number, one in enumerate(scores)]
    experiment(folder, "efgh5678", {"searchSpace": space}, *metrics)
    finals = read_results(find_experiment("efgh5678"))
    assert [len(one.results.trials) for one in by_cost(finals)] == [2, 2, 1]
    write_winners(folder, finals)
    small, large = (f"-{cost_name(cost)}" for cost in costs[1:])
    winners = read_winners(folder)
    assert [(one.folder, one.cost) for one in winners] == [
        *(("winner", costs[0]), ("residual", costs[0])),
        *((f"winner{small}", costs[1]), (f"winner{large}", costs[2])),
    ]
    assert [one.exported for one in winners] == [
        *("network", None, f"network{small}", f"network{large}")
    ]
    assert winners[2].block == NAMED_BLOCKS["residual"]
    narrow, own, wide = (winners[at].task.spec.filters[0] for at in (2, 1, 3))
    assert narrow < own < wide


def test_a_frontier_needs_a_cost_of_the_search(folder: SearchFolder) -> None:
    folder.path.mkdir()
    searched(folder)
    without = CONFIG | {"tuner": {"classArgs": {"match": {"params": 9_000}}}}
    results = read_results(find_experiment("abcd1234"))
    other = replace(results, experiment=replace(results.experiment, config=without))
    with pytest.raises(ValueError, match=r"must have a match such as .* got \{'params': 9000\}"):
        write_finals(
            folder, replace(REQUEST, frontier=True), outline_of("digits", Path("unused")), other
        )


def test_the_answer_has_a_frontier() -> None:
    own = replace(ROW, cost=340_000, exported="network")
    small = replace(ROW, cost=170_000, exported="network-170k", accuracy=90.0, low=86.5, high=92.7)
    beside = replace(small, name="residual", exported=None, accuracy=80.0, low=75.6, high=83.8)
    answer = replace(ANSWER, rows=(own, small, beside))
    assert [one.winner.cost for one in answer.frontier] == [170_000, 340_000]
    assert answer.frontier[0].rows == (small, beside)
    assert Answer.from_json(answer.to_json()) == answer
    text = "\n".join(answer_lines(answer, Path("found")))
    assert "96.00 % of 359 test images" in text
    assert "  network-170k/: 10.00 points above residual at equal cost\n" in text
    assert "  network/: nothing to compare it with\n" in text
    found = Found(Path("found"), answer)
    assert [one.accuracy for one in (found, *found.frontier)] == [96.0, 90.0, 96.0]
    assert [row["name"] for row in found.frontier[0].table] == ["winner", "residual"]


def test_the_answer_is_read_as_it_was_written() -> None:
    assert Answer.from_json(ANSWER.to_json()) == ANSWER
    earlier = json.loads(ANSWER.to_json())
    for entry in (earlier, *earlier["rows"]):
        for name in ("planned_seconds", "cost", "exported"):
            entry.pop(name, None)
    assert Answer.from_json(json.dumps(earlier)) == ANSWER
    header, *rows = ANSWER.to_csv().splitlines()
    assert header.startswith("name,validated,accuracy,low,high")
    assert len(rows) == 2
    for text in ("{}", "[]", "{", '{"rows": [{}]}'):
        with pytest.raises(ValueError, match=r"no result of blockqnn search|Expecting"):
            Answer.from_json(text)


def test_the_answer_in_ten_lines() -> None:
    lines = list(answer_lines(ANSWER, Path("/my found")))
    assert len(lines) <= 10
    text = "\n".join(lines)
    assert "96.00 % of 359 test images" in text
    assert "1.00 points above residual at equal cost; the intervals overlap" in text
    assert "it took           17 min\n" in text
    planned = replace(ANSWER, planned_seconds=900.0)
    assert "17 min; planned were 15 min" in "\n".join(answer_lines(planned, Path("found")))
    assert "blockqnn predict '/my found'" in text
    clear = replace(ANSWER, rows=(replace(ROW, low=96.9), ANSWER.rows[1]))
    assert "overlap" not in "\n".join(answer_lines(clear, Path("found")))


def test_the_mean_of_the_classes_is_said_where_it_is_another() -> None:
    assert "mean of the classes" not in "\n".join(answer_lines(ANSWER, Path("found")))
    far = replace(ANSWER, rows=(replace(ROW, balanced_accuracy=60.0), *ANSWER.rows[1:]))
    lines = list(answer_lines(far, Path("found")))
    assert len(lines) <= 10
    assert "  mean of the classes' accuracies: found 60.00 %, found 95.90 %" in lines


def test_a_hand_made_winner_is_called_so() -> None:
    residual = replace(ROW, block=NAMED_BLOCKS["residual"].to_json())
    text = next(iter(answer_lines(replace(ANSWER, rows=(residual, ROW)), Path("found"))))
    assert "by the hand-made block residual" in text


@pytest.mark.parametrize(
    ("percent", "count", "expected"),
    [
        (100.0, 359, (98.94, 100.0)),
        (0.0, 100, (0.0, 3.70)),
        (50.0, 100, (40.38, 59.62)),  # as R's prop.test without correction says
    ],
)
def test_the_interval_of_an_accuracy(
    percent: float, count: int, expected: tuple[float, float]
) -> None:
    assert interval(percent, count) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (45, "45 s"), (360, "6 min"), (7_500, "2 h 5 min"), (3_599, "1 h 0 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
