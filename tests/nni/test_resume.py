"""A search that is stopped midway and resumed repeats nothing and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nni_shell import PATIENCE_SECONDS, Nni, search_config, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_SECONDS)]

TRIALS = 8


def test_resume_goes_on_where_the_search_was_stopped(nni: Nni, tmp_path: Path) -> None:
    running = nni.create(write_config(tmp_path, search_config(5, TRIALS)))
    running.wait_until(
        lambda: len(running.journal("result")) >= 3 and running.trials("RUNNING"),
        "three results and a trial under way",
    )
    nni.stop(running.id)
    before = running.journal("result")
    assert len(before) < TRIALS

    running = nni.resume(running)
    running.wait_for_end()

    results = running.journal("result")
    assert results[: len(before)] == before
    episodes = [event["episode"] for event in results]
    assert len(set(episodes)) == len(episodes)
    handed_out = [event["episode"] for event in running.journal("suggestion")]
    assert handed_out == list(range(len(handed_out)))

    jobs = running.trials()
    assert [job["status"] for job in jobs] == ["SUCCEEDED"] * TRIALS
    reported = [json.loads(json.loads(job["finalMetricData"][0]["data"])) for job in jobs]
    assert {(event["episode"], event["block"], event["reward"]) for event in results} == {
        (metric["episode"], metric["block"], metric["default"]) for metric in reported
    }
