"""In a real browser the card speaks the language of its reader, fetches nothing, and needs no script for any of it."""

import re
from html import escape
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from contract.names import CARD_HTML
from spark_jobs.card.page import card_html
from tests.browser import browser, is_wider_than_the_window, problems, requests
from tests.spark_jobs import nasty
from tests.spark_jobs.card.test_page import card_of, hostile_lines, plain_lines
from tests.spark_jobs.catalogues import catalogue, write
from tests.spark_jobs.conftest import Prepare

pytestmark = pytest.mark.slow

ENGLISH = re.compile(r"\b(the|of|and|records?|lines?|kept|not|before|after|share)\b", re.IGNORECASE)
PORTUGUESE = re.compile(r"\b(de|dos|das|que|registros?|linhas?|guardados?|não|antes|depois|parte)\b", re.IGNORECASE)


def heading(driver: WebDriver) -> str:
    return driver.find_element(By.TAG_NAME, "h1").text


def words_of_ours(driver: WebDriver) -> str:
    """What is shown, without texts of the catalogue, paths, the command and the settings."""
    driver.execute_script(
        "for (const each of document.querySelectorAll('article .side p + p, pre, code, .id')) each.remove()"
    )
    return driver.find_element(By.TAG_NAME, "body").text


@pytest.mark.spark
def test_the_card_of_a_real_preparation_speaks_both_languages(run: Prepare, tmp_path: Path) -> None:
    lines = [*catalogue(1_200), *(line for line, reason in nasty.NASTY.values() if reason != nasty.KEPT)]
    manifest = run(write(tmp_path / "in.json", lines), tmp_path / "out", max_line_bytes=nasty.MAX_LINE_BYTES)
    card = tmp_path / "out" / CARD_HTML
    kept, read = manifest.rows.kept, manifest.rows.input
    assert min(kept, read) > 1_000
    english, portuguese = (
        f"{kept:,} records from {read:,} lines",
        f"{kept:,} registros de {read:,} linhas".replace(",", "."),
    )

    for language, anchor, expected in (
        ("en-US", "", english),
        ("pt-BR", "", portuguese),
        ("de-DE", "", english),
        ("en-US", "#pt", portuguese),
    ):
        with browser(language=language) as driver:
            driver.get(card.as_uri() + anchor)
            assert heading(driver) == expected
            assert requests(driver) == [card.as_uri()]
            assert problems(driver) == []
            others, own = (PORTUGUESE, ENGLISH) if expected == english else (ENGLISH, PORTUGUESE)
            text = words_of_ours(driver)
            assert len(own.findall(text)) > 50
            assert others.findall(text) == []


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("card") / CARD_HTML
    path.write_text(card_html(card_of([*plain_lines(1_500), *hostile_lines()])), encoding="utf-8")
    return path


def test_a_reader_changes_the_language_by_mouse_and_by_keyboard(file: Path) -> None:
    with browser() as driver:
        driver.get(file.as_uri())
        driver.find_element(By.CSS_SELECTOR, "label[for=pt]").click()
        assert heading(driver).endswith("linhas")
        assert driver.execute_script("return document.documentElement.lang") == "pt-BR"
        driver.switch_to.active_element.send_keys(Keys.LEFT)
        assert heading(driver).endswith("lines")
        assert driver.execute_script("return document.documentElement.lang") == "en"


def test_the_language_can_be_chosen_where_no_script_may_run(file: Path, tmp_path: Path) -> None:
    notebook = tmp_path / "notebook.html"
    page = escape(file.read_text(encoding="utf-8"))
    notebook.write_text(f'<iframe sandbox="allow-same-origin" srcdoc="{page}" width="100%" height="600"></iframe>')
    with browser(language="pt-BR") as driver:
        driver.get(notebook.as_uri())
        driver.switch_to.frame(0)
        assert heading(driver).endswith("lines")
        driver.find_element(By.CSS_SELECTOR, "label[for=pt]").click()
        assert heading(driver).endswith("linhas")


@pytest.mark.parametrize("width", [380, 1_280])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("language", ["en-US", "pt-BR"])
def test_nothing_scrolls_sideways(file: Path, width: int, is_dark: bool, language: str) -> None:
    with browser(width=width, is_dark=is_dark, language=language) as driver:
        driver.get(file.as_uri())
        assert not is_wider_than_the_window(driver)
        scrolled = (
            "return [...document.querySelectorAll('.scroll')].filter((each) => each.scrollWidth > each.clientWidth)"
        )
        assert driver.execute_script(scrolled) == []
        assert problems(driver) == []


def test_nothing_runs_but_the_script_of_the_page(file: Path) -> None:
    with browser() as driver:
        driver.get(file.as_uri())
        assert len(driver.find_elements(By.TAG_NAME, "script")) == 1
        driver.execute_script("document.querySelector('article p').innerHTML = '<img src=x onerror=window.broken=1>'")
        assert driver.execute_script("return window.broken") is None
