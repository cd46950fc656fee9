"""Chromium without a window and without a network: it reaches 127.0.0.1 and files, nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from components import require
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

_PATIENCE_SECONDS = 60
_STILL_ATTEMPTS = 20
_SWITCHES = (
    "--headless=new",
    "--window-size=1600,1400",
    "--force-color-profile=srgb",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--no-sandbox",  # root has none
    "--disable-dev-shm-usage",  # containers have a small one
)


class Browser:
    """A browser that keeps what its console says and what it asks for."""

    def __init__(self, driver: Chrome, screenshots: Path) -> None:
        self.driver = driver
        self._screenshots = screenshots

    def open(self, url: str) -> None:
        self.driver.get(url)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait_for(self, selector: str, count: int = 1) -> list[WebElement]:
        """At least so many elements that can be seen."""

        def visible(_: object) -> list[WebElement] | Literal[False]:
            seen = [element for element in self.all(selector) if element.is_displayed()]
            return seen if len(seen) >= count else False

        message = f"fewer than {count} of {selector}"
        return WebDriverWait(self.driver, _PATIENCE_SECONDS).until(visible, message)

    def wait_for_text(self, text: str) -> None:
        message = f"the page does not show {text!r}"
        WebDriverWait(self.driver, _PATIENCE_SECONDS).until(lambda _: text in self.text, message)

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def click(self, element: WebElement) -> None:
        """Click it where a page's fixed header does not cover it."""
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def screenshot(self, name: str) -> bytes:
        """The page once its animations have ended, as a PNG that is kept too."""
        picture, before = self.driver.get_screenshot_as_png(), b""
        for _ in range(_STILL_ATTEMPTS):
            if picture == before:
                break
            time.sleep(0.5)
            picture, before = self.driver.get_screenshot_as_png(), picture
        (self._screenshots / f"{name}.png").write_bytes(picture)
        return picture

    def console_errors(self) -> list[str]:
        """Since the last call, uncaught exceptions and failed requests among them."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def requested(self) -> list[str]:
        """The addresses asked for since the last call."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def chromium(screenshots: Path) -> Iterator[Browser]:
    options = Options()
    options.binary_location = str(require("chromium"))
    for switch in _SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(str(require("chromedriver"))))
    try:
        yield Browser(driver, screenshots)
    finally:
        driver.quit()
