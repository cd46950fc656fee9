"""Every result belongs to the block that its trial trained, in NNI's own records too.

NNI hands a trial the next queued parameters; one trial that dies early shifts all later ones.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from nni_shell import DIGITS_TRIAL, Nni, Running, final_metric, search_config, write_config

from nni_blockqnn import Block

TRIALS = 9
DIES_EARLY = """
import os, runpy, sys

if os.environ["NNI_TRIAL_SEQ_ID"] == "3":
    sys.exit("dies before it has asked for its parameters")
runpy.run_module("nni_blockqnn.trial", run_name="__main__", alter_sys=True)
"""


def test_every_result_is_the_trained_blocks(nni: Nni, tmp_path: Path) -> None:
    (tmp_path / "dies_early.py").write_text(DIES_EARLY)
    command = DIGITS_TRIAL.replace("-m nni_blockqnn.trial", "dies_early.py")
    config = search_config(4, TRIALS, trialCommand=command, trialConcurrency=4)
    running = nni.create(write_config(tmp_path, config))
    running.wait_for_end()

    succeeded, failed = running.trials("SUCCEEDED"), running.trials("FAILED")
    assert len(succeeded) == TRIALS - 1
    assert [job["sequenceId"] for job in failed] == [3]

    finals = {job["trialJobId"]: final_metric(job) for job in succeeded}
    in_database = recorded_in_database(running)
    for job in succeeded:
        trial_id = job["trialJobId"]
        trained = json.loads(running.printed(trial_id)[-1])
        assert finals[trial_id] == trained
        for recorded in (parameters_of(job["hyperParameters"]), in_database[trial_id]):
            assert Block.parse(recorded["block"]) == Block.parse(trained["block"])
            assert recorded["episode"] == trained["episode"]

    episodes = [final["episode"] for final in finals.values()]
    assert len(set(episodes)) == len(episodes)
    assert history(running) == {
        final["episode"]: (final["block"], final["default"]) for final in finals.values()
    }

    nni.stop(running.id)
    best = json.loads(nni.run("blockqnn", "top", running.id, "--format", "json").stdout)
    by_reward = sorted((final["default"] for final in finals.values()), reverse=True)
    assert [row["reward"] for row in best] == by_reward[: len(best)]
    assert {row["episode"]: row["block"] for row in best}.items() <= {
        final["episode"]: final["block"] for final in finals.values()
    }.items()


def history(running: Running) -> dict[int, tuple[str, float]]:
    results = running.journal("result")
    by_episode = {event["episode"]: (event["block"], event["reward"]) for event in results}
    assert len(by_episode) == len(results)
    return by_episode


def parameters_of(records: list[str]) -> dict[str, Any]:
    (record,) = records
    return json.loads(record)["parameters"]


def recorded_in_database(running: Running) -> dict[str, dict[str, Any]]:
    """Each trial's parameters in the database, found as NNI finds them: by the trial's id."""
    database = running.directory / "db" / "nni.sqlite"
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=60)) as opened:
        rows = opened.execute(
            "select trialJobId, data from TrialJobEvent where data is not null"
        ).fetchall()
    found = {trial_id: json.loads(data)["parameters"] for trial_id, data in rows}
    assert len(found) == len(rows)
    return found
