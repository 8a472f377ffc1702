"""A real browser without a window, for tests of pages: headless Chromium through Selenium.

    with browser(width=380, is_dark=True, language="pt-BR") as driver:
        driver.get(page.as_uri())          # or "http://127.0.0.1:8000/"
        assert problems(driver) == []      # what its console complains of
        assert requests(driver) == [...]   # addresses that were asked for since the last call, `data:` and `blob:` not

Tests that use it are marked `slow`; they are skipped, with the reason, where there is no Chromium or no chromedriver.
No name but those of this machine can be looked up.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_NAMES = (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))


@contextmanager
def browser(
    *, width: int = 1_280, height: int = 900, is_dark: bool = False, language: str = "en-US"
) -> Iterator[webdriver.Chrome]:
    """A browser whose page is so wide (in CSS pixels), in this scheme of colours, for a user of this language."""
    found = [next(filter(None, map(shutil.which, names)), None) for names in _NAMES]
    if None in found:
        pytest.skip("there is no Chromium with chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", f"lang={language}"):
        options.add_argument(f"--{argument}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1")
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, Service(found[1]))
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.execute_cdp_cmd("Emulation.setLocaleOverride", {"locale": language})
        yield driver
    finally:
        driver.quit()


def requests(driver: webdriver.Chrome) -> list[str]:
    """The addresses that the page asked for since the last call, in order."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("data:", "blob:"))]


def problems(driver: webdriver.Chrome) -> list[str]:
    """What the console complains of since the last call: errors of scripts, files that are missing, what is blocked."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def screenshot(driver: webdriver.Chrome, path: Path, *, height: int | None = None) -> None:
    """A picture of the page, whole or so many pixels of its top."""
    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(height or size["height"], size["height"]), "scale": 1}
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(picture["data"]))


def is_wider_than_the_window(driver: webdriver.Chrome) -> bool:
    """Whether the page scrolls sideways."""
    return driver.execute_script("return document.documentElement.scrollWidth > window.innerWidth")
