"""The report opens in a browser that has no network, and shows its pictures."""

from __future__ import annotations

from pathlib import Path

from browser import Browser
from nni_shell import SEARCH_TRIALS, Search


def test_the_report_shows_everything_without_a_network(
    search: Search, browser: Browser, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    written = search.nni.run("blockqnn", "report", search.running.id, "-o", report)
    assert written.returncode == 0, written.stderr

    browser.open(report.as_uri())
    browser.wait_for("summary svg", SEARCH_TRIALS)
    browser.screenshot("report")
    assert "BlockQNN quick start" in browser.text
    assert len(browser.all(".best svg")) == 1
    assert len(browser.all(".charts svg")) == 3
    assert len(browser.all("summary svg")) == SEARCH_TRIALS
    pictures = [svg.size for svg in browser.all(".best svg, .charts svg, summary svg")]
    assert all(size["width"] > 40 and size["height"] > 20 for size in pictures), pictures
    assert browser.driver.execute_script(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    ), "the page is wider than the window"

    browser.click(browser.all("summary")[0])
    (in_full,) = browser.wait_for(".full svg")
    browser.screenshot("report_row")
    assert in_full.size["height"] > 100

    assert browser.console_errors() == []
    requested = browser.requested()
    assert requested
    assert {url.partition(":")[0] for url in requested} <= {"file", "data"}, requested
