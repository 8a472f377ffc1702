"""The page in a real browser: a person asks, watches, compares and sees the source; nothing of the data is run."""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import browser, is_wider_than_the_window, problems, requests
from tests.conftest import made_up_pairs, write_data_set
from tests.trainer.serving.servers import Server, question, serving

KEY = "a-key-for-the-page"
EVIL = "<img src=x onerror='window.owned=1'><script>window.owned=1</script>\u202e\x1b"
TITLE = "Red red number 0"
PAGE = files("trainer.serving.page")

pytestmark = pytest.mark.slow


@pytest.fixture(name="guarded", scope="module")
def _guarded(run: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key, whose catalogue holds what a page must not run, and one text that the model says."""
    folder = tmp_path_factory.mktemp("guarded")
    said = server.client().chat.completions.create(**question("Echo kettle")).choices[0].message.content
    evil = [("Evil kettle", f"A kettle. {EVIL} {'word' * 300}"), (f"Evil teapot {EVIL}", "A teapot.")]
    write_data_set(
        folder / "data", [*evil, *made_up_pairs(20), ("Echo kettle", said)], val=[("Held kettle", "Kept for a test.")]
    )
    with serving(run, "--ground", str(folder / "data"), log=folder / "log", VITRINE_API_KEY=KEY) as server:
        yield server


@pytest.fixture(name="driver")
def _driver(guarded: Server) -> Iterator[Chrome]:
    """The page, with the key typed in."""
    with browser(width=1280) as driver:
        driver.get(guarded.url)
        give_key(driver)
        yield driver


def wait(driver: Chrome, condition: Callable[[Chrome], object]) -> object:
    return WebDriverWait(driver, 60).until(condition)


def give_key(driver: Chrome) -> None:
    field = wait(
        driver,
        lambda found: next((each for each in found.find_elements(By.ID, "key-text") if each.is_displayed()), None),
    )
    problems(driver)  # the console names the 401
    field.send_keys(KEY, Keys.TAB)
    wait(driver, lambda found: found.find_element(By.CSS_SELECTOR, "#examples .choice").is_displayed())


def type_question(driver: Chrome, text: str) -> None:
    field = driver.find_element(By.ID, "question")
    field.clear()
    field.send_keys(text, Keys.ENTER)
    wait_for_answers(driver)


def wait_for_answers(driver: Chrome) -> None:
    wait(driver, lambda found: found.find_elements(By.CSS_SELECTOR, "#answers .text[aria-busy=false]"))
    wait(driver, lambda found: not found.find_elements(By.CSS_SELECTOR, "#answers .text[aria-busy=true]"))


def text_of(driver: Chrome, selector: str) -> str:
    return driver.find_element(By.CSS_SELECTOR, selector).get_property("textContent")


def test_a_question_shows_the_answer_and_its_source(guarded: Server, driver: Chrome) -> None:
    expected = guarded.client(KEY).chat.completions.create(**question(f"What is {TITLE}?"))

    type_question(driver, f"What is {TITLE}?")

    assert text_of(driver, "#title") == TITLE
    assert text_of(driver, "#answers .text") == expected.choices[0].message.content
    assert text_of(driver, "#catalogue .text") == "red red red 0."
    assert [each.text for each in driver.find_elements(By.TAG_NAME, "dd")][::3] == ["train0-2", "2"]
    marked = "".join(
        each.get_property("textContent") for each in driver.find_elements(By.CSS_SELECTOR, "#answers mark")
    )
    spans = expected.vitrine["supported"][0]
    assert marked == "".join(expected.choices[0].message.content[start:end] for start, end in spans)
    assert problems(driver) == []
    assert {re.match(r"https?://[^/]+", url)[0] for url in requests(driver)} == {guarded.url}


def test_a_verdict_says_how_the_answer_stands_to_the_catalogue(driver: Chrome) -> None:
    def ask(title: str) -> None:
        type_question(driver, title)
        wait(driver, lambda found: text_of(found, "#title") == title)  # the answer before may have stood there still
        wait_for_answers(driver)

    ask("Echo kettle")
    assert "word for word" in text_of(driver, "#answers .note")
    assert driver.find_elements(By.CSS_SELECTOR, "#catalogue .held-out") == []

    ask("Held kettle")
    assert "word for word" not in text_of(driver, "#answers .note")
    assert text_of(driver, "#catalogue .held-out") == "This record was kept out of training."

    ask("Quantum toaster")
    assert "made the answer up" in text_of(driver, "#answers .note")


def test_before_and_after_stand_side_by_side(guarded: Server, driver: Chrome) -> None:
    driver.find_element(By.CSS_SELECTOR, "input[value=both]").click()
    type_question(driver, TITLE)

    shown = [each.get_property("textContent") for each in driver.find_elements(By.CSS_SELECTOR, "#answers .text")]
    client = guarded.client(KEY)
    for text, model in zip(shown, ["vitrine-before", "vitrine"], strict=True):
        expected = client.chat.completions.create(**question(TITLE, model=model))
        assert text == expected.choices[0].message.content


def test_by_keyboard_an_example_is_asked_and_the_focus_is_seen(driver: Chrome) -> None:
    example = driver.find_element(By.CSS_SELECTOR, "#examples .choice")
    for _ in range(30):
        if driver.switch_to.active_element == example:
            break
        driver.switch_to.active_element.send_keys(Keys.TAB)
        style = driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid", driver.switch_to.active_element.get_property("outerHTML")
    assert driver.switch_to.active_element == example
    title = example.text

    example.send_keys(Keys.ENTER)
    wait_for_answers(driver)

    assert driver.find_element(By.ID, "question").get_property("value") == title
    assert text_of(driver, "#title") == title


def test_a_title_that_is_not_there_is_called_so_and_the_nearest_is_one_click_away(driver: Chrome) -> None:
    type_question(driver, "Evil teapot img srx onerror window owned 1")

    assert "Not in the catalogue" in text_of(driver, "#catalogue")
    nearest = driver.find_element(By.CSS_SELECTOR, "#catalogue .choice")
    assert nearest.get_property("textContent").startswith("Evil teapot <img src=x onerror='window.owned=1'>")
    assert "U+202EU+001B" in nearest.get_property("textContent")
    nearest.click()
    wait_for_answers(driver)


def test_nothing_of_the_data_or_the_question_is_run(driver: Chrome) -> None:
    type_question(driver, "Evil kettle")
    assert EVIL[:-2] in text_of(driver, "#catalogue .text")
    type_question(driver, f"{EVIL[:-1]} kettle")
    driver.find_element(By.ID, "key-text").send_keys(EVIL[:-2])

    assert driver.execute_script("return document.querySelectorAll('main img, main script').length") == 0
    assert driver.execute_script("return window.owned") is None
    assert not is_wider_than_the_window(driver)


def test_the_browser_itself_would_refuse_a_script_in_the_page(driver: Chrome) -> None:
    made = "made = document.createElement('script'); made.textContent = 'window.owned = 1'"
    driver.execute_script(f"const {made}; document.body.append(made)")

    assert driver.execute_script("return window.owned") is None
    assert "Content Security Policy" in problems(driver)[0]


@pytest.mark.parametrize("width", [380, 1280])
@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize(("language", "heading"), [("en-US", "What do you want"), ("pt-BR", "Sobre o que você quer")])
def test_it_fits_and_speaks_the_browsers_language(
    guarded: Server, width: int, is_dark: bool, language: str, heading: str
) -> None:
    with browser(width=width, is_dark=is_dark, language=language) as driver:
        driver.get(guarded.url)
        give_key(driver)
        type_question(driver, "Evil kettle")

        assert driver.find_element(By.TAG_NAME, "h1").text.startswith(heading)
        assert (
            driver.execute_script("return document.documentElement.lang") == language[: 2 if language[0] == "e" else 5]
        )
        assert not is_wider_than_the_window(driver)
        paper, ink = (
            driver.find_element(By.TAG_NAME, "body").value_of_css_property(name)
            for name in ("background-color", "color")
        )
        assert (brightness(paper) < brightness(ink)) is is_dark
        assert problems(driver) == []

        driver.find_element(By.CSS_SELECTOR, "[data-language=pt-BR]").click()
        assert "Está no catálogo" in text_of(driver, "#catalogue")


def brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_every_text_of_the_page_has_both_languages() -> None:
    english, portuguese = PAGE.joinpath("words.js").read_text().split('"pt-BR": {')
    names = [re.findall(r"(\w+): \"", part) for part in (english, portuguese)]

    assert names[0] == names[1]
    used = re.findall(r'data-text="(\w+)"', PAGE.joinpath("page.html").read_text())
    assert set(used) <= set(names[0])


def test_the_page_puts_no_text_in_as_html() -> None:
    script = PAGE.joinpath("page.js").read_text()

    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|srcdoc", script) == []


@pytest.mark.parametrize(
    ("language", "expected"), [("en-US", "This question names no"), ("pt-BR", "Esta pergunta não")]
)
def test_an_error_of_the_server_is_shown_in_the_readers_language(guarded: Server, language: str, expected: str) -> None:
    with browser(language=language) as driver:
        driver.get(guarded.url)
        give_key(driver)
        driver.find_element(By.ID, "question").send_keys("???", Keys.ENTER)
        shown = wait(driver, lambda found: found.find_element(By.ID, "problem").text)
        assert str(shown).startswith(expected)
        driver.find_element(By.CSS_SELECTOR, "[data-language=pt-BR]").click()
        assert driver.find_element(By.ID, "problem").text.startswith("Esta pergunta não")


@pytest.mark.parametrize(("language", "expected"), [("en-US", "for this server"), ("pt-BR", "para este servidor")])
def test_a_question_larger_than_a_request_may_be_is_refused_in_the_readers_language(
    guarded: Server, language: str, expected: str
) -> None:
    with browser(language=language) as driver:
        driver.get(guarded.url)
        give_key(driver)
        driver.execute_script("document.getElementById('question').value = 'a'.repeat(300000)")
        driver.find_element(By.ID, "question").send_keys(Keys.ENTER)
        shown = wait(driver, lambda found: found.find_element(By.ID, "problem").text)
        assert expected in str(shown)


def test_both_languages_say_the_same(driver: Chrome) -> None:
    keys = driver.execute_async_script(
        "const done = arguments[0]; import('/page/words.js').then(({ WORDS }) =>"
        " done(Object.values(WORDS).map((each) => [Object.keys(each), Object.keys(each.problems)])))"
    )
    assert keys[0] == keys[1]
