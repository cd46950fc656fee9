"""Experiments as NNI leaves them on disk are found by its list, and their results are read."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_experiments import (
    ONE_CONV,
    RESIDUAL,
    THE_SAME_RENUMBERED,
    TWO_BRANCHES,
    final,
    make_experiment,
    results_of,
    write_list,
)

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.kept_results import ResultFile
from nni_blockqnn.results.experiment import (
    ExperimentDatabaseError,
    ExperimentNotFoundError,
    Problem,
    distinct_best,
    find_experiment,
    read_results,
)


def test_a_result_is_read_whole(tmp_path: Path) -> None:
    events = [(10_000, "trial0", "RUNNING"), (17_500, "trial0", "SUCCEEDED")]
    make_experiment(tmp_path, finals=[("trial0", final(extra="x"))], events=events)

    results = read_results(find_experiment("abcd1234", tmp_path))

    (trial,) = results.trials
    assert trial.block == Block.parse(RESIDUAL)
    assert (trial.episode, trial.reward, trial.accuracy) == (1, 60.5, 62.0)
    assert (trial.flops, trial.params, trial.density, trial.repeats) == (4_000_000, 1_000, 1.0, 4)
    assert (trial.trial_id, trial.finished, trial.seconds) == ("trial0", 0, 7.5)
    assert trial.metric["extra"] == "x"
    assert (results.started, results.seconds) == (5.0, 90)  # of the last revision


@pytest.mark.parametrize(
    ("named", "searched", "encoding"),
    [
        ({}, {}, "pcc"),
        ({"encoding": "separate"}, {}, "separate"),
        ({}, {"encoding": "separate"}, "separate"),
        ({"encoding": "pcc"}, {"encoding": "separate"}, "pcc"),
    ],
)
def test_the_encoding_is_the_metrics_or_else_the_search_spaces(
    tmp_path: Path, named: dict[str, str], searched: dict[str, str], encoding: str
) -> None:
    config = {"searchSpace": {"block": {"_type": "nsc", "_value": searched}}}
    (trial,) = results_of(tmp_path, final(**named), config=config).trials
    assert trial.block == Block.parse(RESIDUAL, encoding=encoding)


def test_the_block_is_the_metrics_and_not_the_recorded_parameters(tmp_path: Path) -> None:
    database = make_experiment(tmp_path, finals=[("trial0", final(episode=7))])
    wrong = {"parameter_id": 0, "parameters": {"block": ONE_CONV, "repeats": 1, "episode": 3}}
    with closing(sqlite3.connect(database)) as connection, connection:
        row = (1, "trial0", "RUNNING", json.dumps(wrong), None, 0, None, None)
        connection.execute("insert into TrialJobEvent values (?,?,?,?,?,?,?,?)", row)

    (trial,) = read_results(find_experiment("abcd1234", tmp_path)).trials

    assert (trial.block, trial.episode, trial.repeats) == (Block.parse(RESIDUAL), 7, 4)


@pytest.mark.parametrize(
    ("metric", "named"),
    [
        ("not json", "JSON"),
        ("0.5", "0.5"),
        (json.dumps("0.5"), "0.5"),
        (final(default=float("nan")), "default"),
        (final(accuracy=float("inf")), "accuracy"),
        (final(accuracy="62 %"), "accuracy"),
        (final(accuracy=10**400), "accuracy"),
        (final(flops="many"), "flops"),
        (final(flops=0), "flops"),
        (final(flops=10**400), "flops"),
        (final(params=-1), "params"),
        (final(density="x"), "density"),
        (final(block="[[1,9,0,0,0]]"), "block"),
        (final(block=None), "block"),
        (final(episode=None), "episode"),
    ],
)
def test_metrics_that_cannot_be_read_are_counted(tmp_path: Path, metric: Any, named: str) -> None:
    results = results_of(tmp_path, metric, final())

    assert [trial.trial_id for trial in results.trials] == ["trial1"]
    assert results.trials[0].finished == 0
    (problem,) = results.malformed
    assert problem.trial_id == "trial0"
    assert named in problem.reason


@pytest.mark.parametrize("missing", ["left out", None])
def test_reward_episode_and_block_are_enough(missing: str | None, tmp_path: Path) -> None:
    """All that a trial of the user's own must report."""
    metric = {name: final()[name] for name in ("default", "episode", "block")}
    if missing is None:
        metric |= dict.fromkeys(("accuracy", "flops", "params", "repeats"))
    several = {"_type": "choice", "_value": [1, 2]}
    space = {"block": {"_type": "nsc", "_value": {"max_layers": 9}}, "repeats": several}

    (trial,) = results_of(tmp_path, metric, config={"searchSpace": space}).trials

    assert (trial.reward, trial.episode, trial.block.to_json()) == (60.5, 1, RESIDUAL)
    assert (trial.accuracy, trial.flops, trial.params, trial.repeats) == (None,) * 4
    assert trial.density == 1.0  # the block's own: 6 edges over 6 dots


def test_the_only_repeats_of_a_space_are_those_of_its_networks(tmp_path: Path) -> None:
    space = {"block": {"_type": "nsc", "_value": {"max_layers": 9}}}
    space["repeats"] = {"_type": "choice", "_value": [3]}
    metrics = [final(repeats=None), final(repeats=2)]

    trials = results_of(tmp_path, *metrics, config={"searchSpace": space}).trials

    assert [trial.repeats for trial in trials] == [3, 2]


def test_results_without_flops_rank_behind_and_pass_no_limit(tmp_path: Path) -> None:
    short = {"default": 60.5, "episode": 1}
    results = results_of(
        tmp_path, {**short, "block": ONE_CONV}, {**short, "block": RESIDUAL, "flops": 5}
    )
    assert [one.flops for one in distinct_best(results, 9)] == [5, None]
    assert [one.flops for one in distinct_best(results, 9, max_flops=9)] == [5]


def test_flops_beyond_64_bits_stay_exact(tmp_path: Path) -> None:
    (trial,) = results_of(tmp_path, final(flops=10**25 + 1)).trials
    assert trial.flops == 10**25 + 1


def test_of_several_final_metrics_of_a_trial_the_first_readable_counts(tmp_path: Path) -> None:
    finals = [("t", final(default=float("nan"))), ("t", final(episode=2)), ("t", final(episode=3))]
    make_experiment(tmp_path, finals=finals)

    results = read_results(find_experiment("abcd1234", tmp_path))

    assert [trial.episode for trial in results.trials] == [2]
    assert len(results.malformed) == 1


def test_each_trial_counts_with_its_last_status(tmp_path: Path) -> None:
    events = [
        (1, "a", "WAITING"),
        (2, "a", "RUNNING"),
        (3, "b", "RUNNING"),
        (4, "a", "SUCCEEDED"),
        (5, "b", "USER_TO_CANCEL"),
        (6, "", "IMPORT_DATA"),
        (7, "c", "RUNNING"),
        (8, "d", "FAILED"),
        (9, "c", "ADD_HYPERPARAMETER"),
        (10, "e", "SUCCEEDED"),
    ]
    make_experiment(tmp_path, events=events)

    statuses = read_results(find_experiment("abcd1234", tmp_path)).statuses

    assert statuses == {"SUCCEEDED": 2, "USER_CANCELED": 1, "RUNNING": 1, "FAILED": 1}


def test_a_trial_that_ran_again_after_a_resume_took_its_last_run(tmp_path: Path) -> None:
    events = [(1_000, "t", "RUNNING"), (50_000, "t", "RUNNING"), (53_000, "t", "SUCCEEDED")]
    make_experiment(tmp_path, finals=[("t", final())], events=events)

    (trial,) = read_results(find_experiment("abcd1234", tmp_path)).trials

    assert trial.seconds == 3.0


def test_a_result_that_its_trial_kept_and_could_not_report_is_read(tmp_path: Path) -> None:
    """NNI ran the trial "again" never again, since its manager died twice (docs/faults.md)."""
    events = [(1_000, "t", "RUNNING"), (2_000, "again", "RUNNING"), (3_000, "again", "ADD_RESUMED")]
    make_experiment(tmp_path, finals=[("t", final())], events=[*events, (4_000, "t", "SUCCEEDED")])
    for trial, episode in (("t", 7), ("again", 8)):
        folder = tmp_path / "abcd1234" / "environments" / "local-env" / "trials" / trial
        folder.mkdir(parents=True)
        ResultFile(folder, {}, []).write(final(episode=episode))

    results = read_results(find_experiment("abcd1234", tmp_path))

    assert [(trial.trial_id, trial.episode) for trial in results.trials] == [("t", 1), ("again", 8)]


def test_reading_waits_for_a_lock(tmp_path: Path) -> None:
    database = make_experiment(tmp_path, finals=[("t", final())])
    experiment = find_experiment("abcd1234", tmp_path)
    writer = sqlite3.connect(database, check_same_thread=False)
    writer.execute("begin exclusive")
    release = threading.Timer(0.3, writer.commit)
    release.start()

    results = read_results(experiment)

    release.join()
    writer.close()
    assert len(results.trials) == 1


def test_a_write_that_a_kill_cut_off_is_read_past_and_left_alone(tmp_path: Path) -> None:
    database = make_experiment(tmp_path / "live", finals=[("t", final())])
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("pragma cache_size = 1")  # so that it writes before it commits
        writer.execute("begin exclusive")
        for number in range(2_000):
            row = (1, f"x{number}", "0", "FINAL", 0, json.dumps(json.dumps(final())))
            writer.execute("insert into MetricData values (?,?,?,?,?,?)", row)
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
        writer.rollback()
    directory = tmp_path / "killed" / "abcd1234" / "db"
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert "nni.sqlite-journal" in before

    results = read_results(find_experiment("abcd1234", tmp_path / "killed"))

    assert [trial.trial_id for trial in results.trials] == ["t"]
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_a_broken_database_is_named(tmp_path: Path) -> None:
    database = make_experiment(tmp_path)
    database.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(ExperimentDatabaseError, match=r"nni\.sqlite"):
        find_experiment("abcd1234", tmp_path)


def test_an_experiment_is_found_where_its_list_entry_says(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    make_experiment(elsewhere, "custom01", config={"experimentName": "from config", "x": 1})
    entry = {"port": 8081, "status": "DONE", "startTime": 3, "logDir": str(elsewhere)}
    write_list(home, custom01=entry | {"experimentName": "mine"})

    experiment = find_experiment("custom01", home)

    assert (experiment.id, experiment.name, experiment.port) == ("custom01", "mine", 8081)
    assert experiment.directory == elsewhere / "custom01"
    assert experiment.status == "DONE"
    assert experiment.config["x"] == 1


def test_without_an_id_the_last_started_one_is_taken(tmp_path: Path) -> None:
    for name in ("first", "latest", "second"):
        make_experiment(tmp_path, name)
    started = {"first": 10, "latest": 30, "second": 20, "deleted": 40}
    write_list(tmp_path, **{name: {"startTime": time} for name, time in started.items()})
    assert find_experiment(home=tmp_path).id == "latest"  # the deleted one has no database


def test_an_unknown_id_lists_the_known_ones(tmp_path: Path) -> None:
    make_experiment(tmp_path, "aaaa")
    make_experiment(tmp_path, "bbbb")
    write_list(tmp_path, aaaa={"experimentName": "digits"}, bbbb={"startTime": 5})
    with pytest.raises(ExperimentNotFoundError, match=r"'nope'.*bbbb \(unnamed\), aaaa \(digits\)"):
        find_experiment("nope", tmp_path)


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    for number in range(13):
        make_experiment(tmp_path, f"e{number:02}")
    with pytest.raises(ExperimentNotFoundError, match="and 3 more"):
        find_experiment("nope", tmp_path)


@pytest.mark.parametrize("experiment_id", [None, "nope"])
def test_without_any_experiment_the_way_to_one_is_said(
    tmp_path: Path, experiment_id: str | None
) -> None:
    with pytest.raises(ExperimentNotFoundError, match="blockqnn create"):
        find_experiment(experiment_id, tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", '{"abcd1234": {"po', "[]"])
def test_a_broken_list_does_not_hide_the_directories(tmp_path: Path, text: str) -> None:
    make_experiment(tmp_path)
    (tmp_path / "_latest").symlink_to(tmp_path / "abcd1234")
    (tmp_path / ".experiment").write_text(text)

    assert find_experiment("abcd1234", tmp_path).status == "UNKNOWN"
    with pytest.raises(ExperimentNotFoundError, match=r"known are, newest first: abcd1234 \(unn"):
        find_experiment("_latest", tmp_path)


def test_distinct_best_takes_one_result_a_network(tmp_path: Path) -> None:
    results = results_of(
        tmp_path,
        final(block=TWO_BRANCHES, default=50.0),
        final(block=THE_SAME_RENUMBERED, default=52.0),
        final(block=RESIDUAL, default=51.0),
        final(block=TWO_BRANCHES, default=49.0, repeats=2),
        final(block=ONE_CONV, default=10.0),
    )
    assert [trial.trial_id for trial in distinct_best(results, 3)] == ["trial1", "trial2", "trial3"]
    assert len(distinct_best(results, 99)) == 4


def test_distinct_best_breaks_ties_by_flops_and_keeps_to_limits(tmp_path: Path) -> None:
    results = results_of(
        tmp_path,
        final(block=ONE_CONV, accuracy=70.0, default=1.0, flops=300, params=30),
        final(block=RESIDUAL, accuracy=60.0, default=2.0, flops=200, params=20),
        final(block=TWO_BRANCHES, accuracy=60.0, default=2.0, flops=100, params=None),
    )

    def best(**arguments: Any) -> list[str]:
        return [trial.trial_id for trial in distinct_best(results, 3, **arguments)]

    assert best() == ["trial2", "trial1", "trial0"]
    assert best(by="accuracy") == ["trial0", "trial2", "trial1"]
    assert best(max_flops=200) == ["trial2", "trial1"]
    assert best(max_params=20) == ["trial1"]
    with pytest.raises(ValueError, match="by must be reward, accuracy or expected, got 'flops'"):
        best(by="flops")


def test_a_minimised_reward_is_best_when_small(tmp_path: Path) -> None:
    config = {"tuner": {"classArgs": {"optimize_mode": "minimize"}}}
    metrics = [final(default=3.0, accuracy=1.0), final(default=2.0, accuracy=2.0, block=ONE_CONV)]
    results = results_of(tmp_path, *metrics, config=config)
    assert [trial.reward for trial in distinct_best(results, 2)] == [2.0, 3.0]
    assert [trial.accuracy for trial in distinct_best(results, 2, by="accuracy")] == [2.0, 1.0]


def test_a_failed_trial_is_no_result_and_its_reason_is_kept(tmp_path: Path) -> None:
    failed = {
        "default": float("nan"),
        "failure": "no data in /x",
        "failure_of_block": False,
        "episode": 3,
        "block": "[[1,1,3,0,0]]",
    }
    results = results_of(tmp_path, failed)
    assert results.trials == () == results.malformed
    block = Block.parse([[1, 1, 3, 0, 0]])
    assert results.failures == (Problem("trial0", "no data in /x", block),)
