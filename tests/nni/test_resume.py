"""A search that is stopped or killed midway, and resumed, repeats nothing and loses nothing."""

from __future__ import annotations

from pathlib import Path

import psutil
from drawn_shapes import NETWORK, write_shapes
from nni_shell import DIGITS_TRIAL, Nni, Running, final_metric, search_config, write_config

TRIALS = 9


def test_resume_goes_on_where_the_search_ended(nni: Nni, tmp_path: Path) -> None:
    """Of a search for another task than classification: only its trial's command is another."""
    write_shapes(tmp_path / "shapes", 60)
    own = f"--task segmentation --dataset mask-folder --data-dir {tmp_path / 'shapes'} --resident"
    config = search_config(5, TRIALS, trialCommand=DIGITS_TRIAL.replace("--dataset digits", own))
    config["searchSpace"]["network"]["_value"] = [NETWORK]
    running = nni.create(write_config(tmp_path, config), with_blockqnn=True)
    wait_for_results(running, 2)
    nni.stop(running.id)
    when_stopped = running.journal("result")

    running = nni.resume(running)
    wait_for_results(running, len(when_stopped) + 2)
    processes = nni.processes(running.id)
    processes[0].kill()
    when_killed = running.journal("result")
    assert len(when_killed) < TRIALS

    running = nni.resume(running, with_blockqnn=True)
    assert not psutil.wait_procs(processes, timeout=60)[1]
    running.wait_for_end()

    results = running.journal("result")
    assert when_killed[: len(when_stopped)] == when_stopped
    assert results[: len(when_killed)] == when_killed
    episodes = [event["episode"] for event in results]
    assert len(set(episodes)) == len(episodes)
    handed_out = [event["episode"] for event in running.journal("suggestion")]
    assert handed_out == list(range(len(handed_out)))

    jobs = running.trials()
    assert [job["status"] for job in jobs] == ["SUCCEEDED"] * TRIALS
    reported = [final_metric(job) for job in jobs]
    assert {(event["episode"], event["block"], event["reward"]) for event in results} == {
        (metric["episode"], metric["block"], metric["default"]) for metric in reported
    }
    assert all(metric["default"] == metric["mean_iou"] for metric in reported)
    assert "mean IoU %" in nni.run("blockqnn", "top", running.id).stdout


def wait_for_results(running: Running, count: int) -> None:
    running.wait_until(
        lambda: len(running.journal("result")) >= count and running.trials("RUNNING"),
        f"{count} results and a trial under way",
    )
