"""What a user changes while a search runs, and what NNI lets through to it (docs/nni.md)."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from nni_shell import Nni, Running, write_config
from soak import notes, soak_config
from soak_outcome import examine
from soak_trial import reward_of

from nni_blockqnn import Block

OTHER_BLOCK = "[[1,1,5,0,0],[2,1,5,1,0],[3,1,5,2,0],[4,7,0,0,0]]"
TRIALS = 10


def test_changes_of_a_running_search_and_a_warm_start(nni: Nni, tmp_path: Path) -> None:
    """One search for all changes, since each takes a while to start."""
    truth = tmp_path / "truth.jsonl"
    running = nni.create(write_config(tmp_path, assessed_config(truth)))
    running.wait_until(lambda: running.journal("result"), "a result")
    copy = run_a_copy_with_another_block(running)
    update(running, "TRIAL_CONCURRENCY", "trialConcurrency", 3)
    running.wait_for_end()
    assert len(running.trials()) == 4
    update(running, "MAX_TRIAL_NUM", "maxTrialNumber", TRIALS)
    running.wait_until(lambda: len(running.trials()) == TRIALS, "the trials added")
    running.wait_for_end()
    assert 1 < most_at_a_time(running.trials()) <= 3  # NNI may start them seconds apart

    check_the_copy_and_the_assessed(running, notes(truth), copy)
    exported = tmp_path / "exported.json"
    nni.run("nnictl", "experiment", "export", running.id, "--type", "json", "-f", exported)
    nni.stop(running.id)
    check_a_warm_start(nni, tmp_path, json.loads(exported.read_text()))


def check_the_copy_and_the_assessed(
    running: Running, noted: list[dict[str, Any]], copy: str
) -> None:
    """The copy does not count. What the assessor ended counts if it reported all the same."""
    assert [note["block"] for note in noted if note["trial"] == copy][-1] == OTHER_BLOCK
    own = [note for note in noted if note["trial"] != copy]
    outcome = examine(running, own)
    assert outcome.finished == outcome.counted
    assert not any((outcome.twice, outcome.mistaken, outcome.reused, outcome.unlisted))

    reported = episodes(own, "reported")
    late = episodes(own, "asked to end") & reported
    ended = episodes(own, "begun") - reported
    assert late
    assert ended
    assert {event["episode"] for event in running.journal("release")} == ended
    assert {running.statuses()[job["sequenceId"]] for job in running.trials()} <= {
        "SUCCEEDED",
        "USER_CANCELED",
        "EARLY_STOPPED",
    }


def check_a_warm_start(nni: Nni, directory: Path, exported: list[dict[str, Any]]) -> None:
    """Another search learns all results, under numbers of its own, and trains none again."""
    folder = directory / "warm"
    folder.mkdir()
    truth = folder / "truth.jsonl"
    truth.touch()
    (folder / "data.json").write_text(json.dumps(exported))
    # one at a time, so that some blocks surely go out after the import
    config = soak_config(truth, trials=8, seed=1, seconds=1.5, trialConcurrency=1)
    running = nni.create(write_config(folder, config))
    for _ in range(2):  # the second time brings nothing new
        nni.run("nnictl", "experiment", "import", running.id, "-f", folder / "data.json")
    running.wait_until(lambda: len(running.journal("result")) >= len(exported), "the import")
    sent_before = len(running.journal("suggestion"))
    running.wait_for_end()
    nni.stop(running.id)

    imported = [json.loads(record["value"]) for record in exported]
    trained = [note for note in notes(truth) if note["phase"] == "reported"]
    results = running.journal("result")
    assert len(imported) >= 5
    assert len(trained) == 8
    assert sorted((event["block"], event["reward"]) for event in results) == sorted(
        [(metric["block"], reward_of(metric["block"])) for metric in imported]
        + [(note["block"], note["reward"]) for note in trained]
    )
    assert len({event["episode"] for event in results}) == len(results)
    known = {Block.parse(metric["block"]).key for metric in imported}
    sent_after = running.journal("suggestion")[sent_before:]
    assert sent_after
    assert not known & {Block.parse(event["block"]).key for event in sent_after}


def assessed_config(truth: Path) -> dict[str, Any]:
    """One trial at a time, four in all, and those below the median are told to end.

    Rewards with this seed: 21, 84, 89, 16, 78, 7, 55, 89, 68; those of even episodes are deaf.
    """
    config = soak_config(truth, trials=4, seed=26, seconds=1.5, trialConcurrency=1)
    config["trialCommand"] += " deaf"
    config["assessor"] = {"name": "Medianstop", "classArgs": {"start_step": 1}}
    return config


def episodes(noted: list[dict[str, Any]], phase: str) -> set[int]:
    return {note["episode"] for note in noted if note["phase"] == phase}


def most_at_a_time(jobs: list[dict[str, Any]]) -> int:
    """From NNI's own records: a glance at a running search may come too late to see it."""
    return max(
        sum(job["startTime"] <= moment < job["endTime"] for job in jobs)
        for moment in (job["startTime"] for job in jobs)
    )


def run_a_copy_with_another_block(running: Running) -> str:
    """As "Copy trial" in the web UI does; the new trial's ID."""
    (job, *_) = running.trials()
    parameters = json.loads(job["hyperParameters"][0])["parameters"] | {"block": OTHER_BLOCK}
    number = send(running, "POST", "trial-jobs", parameters)["sequenceId"]
    running.wait_until(lambda: number in running.statuses(), "the copy")
    (copy,) = [job["trialJobId"] for job in running.trials() if job["sequenceId"] == number]
    return copy


def update(running: Running, kind: str, name: str, value: int) -> None:
    """As the web UI does."""
    profile = running.get("experiment")
    profile["params"][name] = value
    send(running, "PUT", f"experiment?update_type={kind}", profile)


def send(running: Running, method: str, path: str, content: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/api/v1/nni/{path}",
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")
