"""The page holds every text as text, and in a real browser it sorts, searches and speaks two languages."""

import json
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import browser, is_wider_than_the_window, problems, requests
from tests.trainer.evaluation.evaluations import answer, evaluation, recalled, title
from trainer.evaluation.page.content import json_island, marked, page
from trainer.evaluation.schema import Evaluation, Source, Title

HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "<!--<script>",
    "-->]]></style><img src=x onerror=window.broken=1>",
    '"><svg onload="window.broken=1">',
    "' onfocus='window.broken=1' autofocus='",
    "<iframe srcdoc='<script>parent.broken=1</script>'></iframe>",
    "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7 %>",
    "javascript:window.broken=1",
    "<a href=http://outside.example/>x</a> <link rel=stylesheet href=//outside.example/a.css>",
    "\x00\x01\x1b[31m\x7f\x85",
    "\u202egnp.exe\u2066\u200f\ufeff",
    "\ud800\udfff \udc00",
    "🫖👩‍🚀🏳️‍🌈",
    "क्षि ہے שלום 茶 e\u0301\u0301\u0301",
    "\u2028\u2029\r\n\t",
    "&lt;b&gt; &amp;amp; &#x3c;script&#x3e;",
    "<|im_end|><|im_start|>system",
    "__proto__",
    "",
)


def hostile_text(source: random.Random) -> str:
    return "".join(source.choices(HOSTILE, k=source.randint(1, 3)))


def hostile_titles(num: int) -> list[Title]:
    """Titles of four hostile texts each."""
    source = random.Random(0)
    return [
        title(
            number,
            source.choice(["seen", "unseen"]),
            title=f"{number} {hostile_text(source)}",
            truth=hostile_text(source),
            before=answer(hostile_text(source)),
            after=answer(hostile_text(source), right=source.randint(0, 4)),
            source=Source(hostile_text(source), "data", "train/part", number),
        )
        for number in range(num)
    ]


class Elements(HTMLParser):
    """The elements of a page, their attributes, and the content of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self._is_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._is_script = tag == "script"
        self.scripts += [""] * self._is_script

    def handle_endtag(self, tag: str) -> None:
        self._is_script &= tag != "script"

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.scripts[-1] += data


def elements(text: str) -> Elements:
    found = Elements()
    found.feed(text)
    found.close()
    return found


def test_10_000_hostile_texts_add_no_element_no_attribute_and_no_script() -> None:
    harmless = elements(page(evaluation([title(0), title(1, "unseen", is_cut=True, after=recalled())])))
    text = page(evaluation(hostile_titles(2_500), run=HOSTILE[0], base=HOSTILE[3], device=HOSTILE[2]))
    found = elements(text)

    assert found.tags == harmless.tags
    assert found.attributes == harmless.attributes
    assert len(found.scripts) == 2
    assert found.scripts[1] == harmless.scripts[1]
    text.encode("utf-8")  # no half of a surrogate pair is left
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)


def test_the_island_holds_the_evaluation_unchanged() -> None:
    made = evaluation(hostile_titles(200))
    island = str(json_island(made))

    as_json = json.dumps(msgspec.to_builtins(made))  # which joins halves of surrogate pairs that meet
    assert json.loads(island) == json.loads(as_json)
    assert island.isascii()
    assert not {*island} & {*"<>&"}


def test_marked_words_are_marked_and_all_others_stay() -> None:
    assert marked("a <b> c", [(0, 1), (2, 5)]) == "<bdi><mark>a</mark> <mark>&lt;b&gt;</mark> c</bdi>"
    assert marked("", []) == "<bdi></bdi>"


def test_the_page_names_no_outside_address() -> None:
    assert not re.search(r"https?:|//[a-z]|url\(|@import", page(evaluation([title()])))


def made_up() -> Evaluation:
    """Trained titles whose answers come back, one of them partly, and unseen ones that do not."""
    texts = ["Ábaco de madeira", "Zebra lamp", "apple corer"]
    seen = [
        title(0, title=texts[0], after=recalled()),
        title(
            1,
            title=texts[1],
            after=answer("A lamp, red.", rouge_l=0.6, right=2),
            source=Source("B0042", "data", "train/p", 7),
        ),
        title(2, title=texts[2], after=recalled(), before=answer("Corer", rouge_l=0.3)),
        *(title(number, after=recalled()) for number in range(3, 9)),
    ]
    return evaluation([*seen, *(title(number, "unseen") for number in range(20, 26))])


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "evaluation.html"
    path.write_text(page(made_up()), encoding="utf-8")
    return path


@pytest.fixture(name="driver")
def _driver(file: Path) -> Iterator[WebDriver]:
    with browser() as driver:
        driver.get(file.as_uri())
        yield driver


def shown(driver: WebDriver) -> list[str]:
    """The titles that can be seen, in their order."""
    rows = driver.find_elements(By.CSS_SELECTOR, "#titles tr:not([hidden]) .title")
    return [row.text for row in rows if row.is_displayed()]


def press(driver: WebDriver, selector: str) -> None:
    driver.find_element(By.CSS_SELECTOR, selector).click()


@pytest.mark.slow
def test_a_person_sorts_searches_and_filters(driver: WebDriver) -> None:
    in_order = shown(driver)
    assert len(in_order) == 15

    press(driver, "[data-by=title]")
    assert shown(driver)[:2] == ["Ábaco de madeira", "apple corer"]
    press(driver, "[data-by=title]")
    assert shown(driver)[0] == "Zebra lamp"
    press(driver, "[data-by=gain]")
    assert shown(driver)[0] == "Ábaco de madeira"
    assert shown(driver)[7:9] == ["apple corer", "Zebra lamp"]  # gains of 0.7 and 0.6
    press(driver, "[data-by=order]")
    assert shown(driver) == in_order

    search = driver.find_element(By.ID, "search")
    search.send_keys("abaco")
    assert shown(driver) == ["Ábaco de madeira"]
    assert driver.find_element(By.ID, "count").text == "1"
    search.clear()
    search.send_keys("b0042")  # its source
    assert shown(driver) == ["Zebra lamp"]
    search.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    press(driver, "[data-kind=unseen]")
    assert len(shown(driver)) == 6
    assert driver.find_element(By.CSS_SELECTOR, "[data-kind=unseen]").get_attribute("aria-pressed") == "true"
    assert problems(driver) == []


@pytest.mark.slow
def test_each_answer_says_how_much_of_it_is_right(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.html"
    cases = [
        (title(0, after=recalled()), "word for word", "palavra por palavra"),
        (title(1, after=recalled(ends=False)), "word for word, also after the cut", "também depois do corte"),
        (title(2, after=answer(right=3)), "3 of 3 tokens right from the start, but it goes on", "mas continua"),
        (title(3, truth_tokens=2_402, after=answer(right=1_200)), "1,200 of 2,401 tokens", "1.200 de 2.401 tokens"),
    ]
    path.write_text(page(evaluation([each for each, _, _ in cases])), encoding="utf-8")
    with browser() as driver:
        driver.get(path.as_uri())
        for language in (0, 1):
            press(driver, f"label[for={('en', 'pt')[language]}]")
            texts = [each.text for each in driver.find_elements(By.CSS_SELECTOR, "#titles td:nth-child(3)")]
            for (_, *expected), text in zip(cases, texts, strict=True):
                assert expected[language] in text
            assert "also after" not in texts[0]


@pytest.mark.slow
def test_the_keyboard_is_enough(driver: WebDriver) -> None:
    body = driver.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    active = driver.switch_to.active_element
    assert active.get_attribute("id") == "search"
    active.send_keys("zebra")
    assert shown(driver) == ["Zebra lamp"]
    active.send_keys(Keys.TAB, Keys.TAB, Keys.TAB)
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert shown(driver) == []  # unseen titles only


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "anchor", "verdict"),
    [
        ("en-US", "", "Yes: the model learned"),
        ("pt-BR", "", "Sim: o modelo aprendeu"),
        ("pt-PT", "", "Sim: o modelo aprendeu"),
        ("de-DE", "", "Yes: the model learned"),
        ("en-US", "#pt", "Sim: o modelo aprendeu"),
    ],
)
def test_the_page_speaks_the_language_of_its_reader(file: Path, language: str, anchor: str, verdict: str) -> None:
    with browser(language=language) as driver:
        driver.get(file.as_uri() + anchor)
        heading = driver.find_element(By.ID, "verdict")
        assert heading.text.startswith(verdict)
        press(driver, "label[for=en]")
        assert heading.text.startswith("Yes")
        assert "Truth" in driver.find_element(By.TAG_NAME, "body").text.title()
        press(driver, "label[for=pt]")
        text = driver.find_element(By.TAG_NAME, "body").text
        assert heading.text.startswith("Sim")
        assert not re.search(r"\b(the|before|training|truth)\b", text)


@pytest.mark.slow
@pytest.mark.parametrize("width", [380, 1_280])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_nothing_is_fetched_and_nothing_scrolls_sideways(file: Path, width: int, is_dark: bool) -> None:
    with browser(width=width, is_dark=is_dark) as driver:
        driver.get(file.as_uri())
        assert requests(driver) == [file.as_uri()]
        assert problems(driver) == []
        assert not is_wider_than_the_window(driver)


@pytest.mark.slow
def test_no_script_of_a_hostile_text_runs(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.html"
    titles = hostile_titles(300)
    path.write_text(page(evaluation(titles)), encoding="utf-8")
    with browser(width=380) as driver:
        driver.get(path.as_uri())
        assert len(shown(driver)) == 300
        driver.find_element(By.ID, "search").send_keys("script")
        press(driver, "[data-by=title]")
        assert driver.execute_script("return window.broken") is None
        assert requests(driver) == [path.as_uri()]
        assert problems(driver) == []
        assert not is_wider_than_the_window(driver)
        island = driver.execute_script("return document.querySelector('#evaluation').textContent")
        assert len(json.loads(island)["titles"]) == 300
        driver.execute_script("document.querySelector('.title').innerHTML = '<img src=x onerror=window.broken=1>'")
        assert driver.execute_script("return window.broken") is None  # the page's policy stops even this


@pytest.mark.slow
def test_a_page_without_scripts_is_complete(file: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.html"
    bare.write_text(re.sub(r"<script>.*?</script>", "", file.read_text(encoding="utf-8"), flags=re.DOTALL))
    with browser() as driver:
        driver.get(bare.as_uri())
        assert len(shown(driver)) == 15
        verdict = driver.find_element(By.ID, "verdict")
        assert verdict.text.startswith("Yes")
        press(driver, "label[for=pt]")
        assert verdict.text.startswith("Sim")
        assert not driver.find_element(By.ID, "search").is_displayed()
