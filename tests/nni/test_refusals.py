"""What a user is told when something is wrong, and that a search survives it."""

from __future__ import annotations

from pathlib import Path

from nni_shell import DIGITS_TRIAL, Nni, search_config, write_config

from nni_blockqnn import Block


def test_a_trial_without_data_says_so_and_the_search_goes_on(nni: Nni, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    command = f"python -m nni_blockqnn.trial --dataset image-folder --data-dir {missing}"
    running = nni.create(write_config(tmp_path, search_config(3, 3, trialCommand=command)))
    running.wait_for_end()

    assert running.statuses() == {0: "FAILED", 1: "FAILED", 2: "FAILED"}
    for trial_id in [job["trialJobId"] for job in running.trials()]:
        # The web UI shows the one under "View trial log", the other under "View trial error".
        (line,) = running.printed(trial_id)
        assert line.startswith("trial failed: ")
        assert str(missing) in line
        assert line in running.get_text(f"trial-file/{trial_id}/stderr").splitlines()

    shown = nni.run("blockqnn", "top", running.id).stdout
    assert str(missing) in "".join(shown.split())  # whatever the width of the terminal


def test_nnictl_shows_a_refused_argument_in_the_dispatchers_log(nni: Nni, tmp_path: Path) -> None:
    running = nni.create(write_config(tmp_path, with_wrong_argument()))
    running.wait_until(lambda: running.status() == "ERROR", "the tuner's refusal", or_error=True)
    last = running.log("dispatcher.log").strip().splitlines()[-1]
    assert last == "ValueError: tuner argument discount must be a number in [0, 1], got 2"


def test_blockqnn_create_refuses_before_anything_starts(nni: Nni, tmp_path: Path) -> None:
    config = write_config(tmp_path, with_wrong_argument())
    refused = nni.run("blockqnn", "create", config)
    assert refused.returncode == 1
    assert "tuner argument discount must be a number in [0, 1], got 2" in refused.stdout
    assert nni.listed() == {}


def test_an_exhausted_space_ends_the_search(nni: Nni, tmp_path: Path) -> None:
    """Six blocks of one layer compute different functions."""
    running = nni.create(
        write_config(tmp_path, search_config(2, 20, trialCommand=f"{DIGITS_TRIAL} --resident"))
    )
    running.wait_until(running.is_given_up, "the tuner to have no more blocks")
    assert set(running.statuses().values()) == {"SUCCEEDED"}
    blocks = [Block.parse(event["block"]) for event in running.journal("result")]
    assert len({block.key for block in blocks}) == len(blocks) == 6
    log = running.log("dispatcher.log")
    assert "The search ends: all blocks of the space are trained" in log
    assert "Traceback" not in log


def with_wrong_argument() -> dict:
    config = search_config(3, 3)
    config["tuner"]["classArgs"]["discount"] = 2
    return config
