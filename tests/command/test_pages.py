"""Every value of a page is escaped unless it is HTML already, and no name without a value is passed over."""

import doctest
import importlib
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from command.pages import render as rendering
from command.pages.render import outside, render

HOSTILE = """</p><script>alert('1')</script>" onclick="alert(1)"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Python package with one template, whose name does not say that it is HTML."""
    folder = tmp_path / "package_of_pages"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page.txt").write_text('<p title="{{ value }}">{{ value }}, {{ value|outside }}</p>\n')
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, folder.name, raising=False)
    return folder.name


def test_a_value_is_escaped_by_default(package: str) -> None:
    page = render(package, "page.txt", value=HOSTILE)
    assert "<script" not in page
    assert page.count('"') == 2


def test_html_stays_html(package: str) -> None:
    assert render(package, "page.txt", value=Markup("<b>1</b>")).startswith('<p title="<b>1</b>"><b>1</b>, <bdi>')


def test_a_name_without_a_value_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="value"):
        render(package, "page.txt", other=1)


@pytest.mark.parametrize("character", ["\ud800", "\0", "\u202e", "\u2029", "\ue000", "\U000e0041"])
def test_a_character_that_cannot_be_seen_is_shown_as_its_code_point(character: str) -> None:
    assert outside(f"a{character}b") == f'<bdi>a<span class="cp">U+{ord(character):04X}</span>b</bdi>'


def test_docstrings_tell_the_truth() -> None:
    result = doctest.testmod(rendering)
    assert (result.failed, result.attempted > 0) == (0, True)
