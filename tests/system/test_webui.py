"""What a user sees of a search in NNI's web UI."""

from __future__ import annotations

import json
from io import BytesIO

from browser import Browser
from nni_shell import SEARCH_TRIALS, Search
from PIL import Image
from selenium.webdriver.remote.webelement import WebElement

from nni_blockqnn import Block

FONT_HOSTS = ("https://res.cdn.office.net/", "https://res-1.cdn.office.net/")
"""Where NNI's UI gets its fonts and icons; offline it does without them."""

ROWS = ".ms-DetailsRow"


def test_the_overview_shows_the_search_and_its_best_trial(search: Search, browser: Browser) -> None:
    best = max(final["default"] for final in search.finals().values())
    browser.open(f"http://127.0.0.1:{search.running.port}/oview")
    browser.wait_for(ROWS, SEARCH_TRIALS)
    browser.screenshot("webui_overview")
    for shown in (
        "BlockQNN quick start",
        "DONE",
        "nni_blockqnn.tuner.BlockQNNTuner",
        f"{best:.6f}",
    ):
        assert shown in browser.text
    assert own_errors(browser) == []


def test_the_trial_table_shows_metrics_and_readable_blocks(
    search: Search, browser: Browser
) -> None:
    browser.open(f"http://127.0.0.1:{search.running.port}/detail")
    rows = [row.text for row in browser.wait_for(ROWS, SEARCH_TRIALS)]
    browser.screenshot("webui_detail")
    by_trial = search.finals()
    assert len(rows) == len(by_trial) == SEARCH_TRIALS
    for trial_id, final in by_trial.items():
        (row,) = [row for row in rows if trial_id in row]
        assert "SUCCEEDED" in row
        assert f"{round(final['default'], 6)} (FINAL)" in row

    trial_id = next(trial_id for trial_id in by_trial if trial_id in rows[0])
    browser.click(browser.wait_for(f"{ROWS} [data-automation-key=_expand] i", SEARCH_TRIALS)[0])
    (parameters,) = browser.wait_for(".bgHyper")
    browser.screenshot("webui_parameters")
    shown = dict(line.split(":", 1) for line in parameters.text.splitlines() if ":" in line)
    assert json.loads(shown["episode"]) == by_trial[trial_id]["episode"]
    block = json.loads(json.loads(shown["block"]))
    assert Block.parse(block) == Block.parse(by_trial[trial_id]["block"])
    assert own_errors(browser) == []


def test_every_chart_of_the_trials_is_drawn(search: Search, browser: Browser) -> None:
    browser.open(f"http://127.0.0.1:{search.running.port}/detail")
    for tab in ("Default metric", "Hyper-parameter", "Duration", "Intermediate result"):
        (button,) = browser.wait_for(f"[role=tab][name='{tab}']")
        browser.click(button)
        browser.wait_for(f"[role=tab][name='{tab}'][aria-selected=true]")
        (chart, *_) = browser.wait_for("[role=tabpanel][aria-hidden=false] canvas")
        browser.screenshot(f"webui_{tab.replace(' ', '_').lower()}")
        assert colours(chart) > 5, f"the chart of {tab} is blank"
        if tab == "Hyper-parameter":
            axes = {axis.text for axis in browser.wait_for("[role=tabpanel] .dimension .label")}
            assert {"layers", "convolutions", "flops", "accuracy"} <= axes
    assert own_errors(browser) == []


def colours(element: WebElement) -> int:
    picture = Image.open(BytesIO(element.screenshot_as_png)).convert("RGB")
    return len(picture.getcolors(picture.width * picture.height) or ())


def own_errors(browser: Browser) -> list[str]:
    return [error for error in browser.console_errors() if not error.startswith(FONT_HOSTS)]
