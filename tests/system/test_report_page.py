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
    shown = {figure.get_attribute("id") for figure in browser.all(".charts figure")}
    assert {"accuracy-by-iteration", "best-so-far", "accuracy-by-cost", "time-by-slot"} <= shown
    assert len(browser.all(".charts svg")) == len(shown)
    assert len(browser.all("summary svg")) == SEARCH_TRIALS
    pictures = [svg.size for svg in browser.all(".best svg, .charts svg, summary svg")]
    assert all(size["width"] > 40 and size["height"] > 20 for size in pictures), pictures
    assert browser.driver.execute_script(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    ), "the page is wider than the window"

    says_what_one_points_at(browser)
    sorts_by_its_headings(browser)
    browser.click(browser.all("summary")[0])
    (in_full,) = browser.wait_for(".full svg")
    browser.screenshot("report_row")
    assert in_full.size["height"] > 100

    browser.driver.set_window_size(390, 900)
    assert browser.driver.execute_script(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    ), "the page is wider than a phone"
    browser.screenshot("report_phone")

    assert browser.console_errors() == []
    requested = browser.requested()
    assert requested
    assert {url.partition(":")[0] for url in requested} <= {"file", "data"}, requested


def says_what_one_points_at(browser: Browser) -> None:
    """The pointer goes to a point that the page has text for."""
    place = browser.driver.execute_script(
        """
        const chart = document.querySelector("#accuracy-by-iteration .chart");
        chart.scrollIntoView({block: "center"});
        const point = JSON.parse(chart.querySelector("script").textContent)[0];
        const box = chart.querySelector("svg").getBoundingClientRect();
        const x = box.left + point[0] * box.width / 1000;
        const y = box.top + point[1] * box.height / 1000;
        chart.querySelector("svg").dispatchEvent(
            new PointerEvent("pointermove", {clientX: x, clientY: y}));
        return chart.querySelector(".tip").textContent;
        """
    )
    assert place.startswith("trial ")
    assert "%" in place


def sorts_by_its_headings(browser: Browser) -> None:
    def values() -> list[float]:
        return [float(cell.text) for cell in browser.all("td[data-label=Density]")]

    (heading,) = [one for one in browser.all("th") if one.text == "Density"]
    browser.click(heading)
    assert values() == sorted(values())
    browser.click(heading)
    assert values() == sorted(values(), reverse=True)
