"""The grammars as they are read: every mistake in a file is named with its line."""

import json
import subprocess
import sys
from importlib.resources import files

import pytest

from contract.errors import UserError
from synth.kinds import load_kinds, load_mixture, load_names, read_kinds, read_mixture

GRAMMAR = """\
# A comment.
[shared]
boilerplate: About the maker
colour: red | dark blue
    | green
years: 2..4

[novel]
like = shared
mark = person
fixed: place | colour
place: Oslo | Rome
colour+: gold
titles: {Colour} {place}, {other_place}
extras: ({years})
leads: "{mark}" -- it's 5''...
briefs: {mark}.
details: In {place}.
shorts: Short.
"""


def test_a_grammar_is_read_as_its_format_says() -> None:
    novel = read_kinds({"books.txt": GRAMMAR})["novel"]

    assert (novel.name, novel.mark, novel.language) == ("novel", "person", "en")
    assert novel.pools["colour"] == ("red", "dark blue", "green", "gold")
    assert novel.pools["years"] == ("2", "3", "4")
    assert novel.pools["leads"] == ("\u201c{mark}\u201d \u2014 it\u2019s 5\u2033\u2026",)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("In {place}.", "In {plaec}.", "books.txt:18: unknown pool 'plaec': did you mean 'place'?"),
        ("In {place}.", "In {Plaec}.", "books.txt:18: unknown pool 'plaec'"),
        ("In {place}.", "In {other_plaec}.", "books.txt:18: unknown pool 'plaec'"),
        ("In {place}.", "In {place.", "books.txt:18: a brace without its other half in 'In {place.'"),
        ("In {place}.", "In place}.", "books.txt:18: a brace without its other half in 'In place}.'"),
        ("fixed: place", "fixed: plaec", "books.txt:11: unknown pool 'plaec': did you mean 'place'?"),
        ("briefs: {mark}.", "briefs: Brief.", "books.txt:17: 'Brief.' has no {mark}"),
        ("shorts: Short.", "shorts:", "books.txt:8: pools of [novel] without an entry: shorts"),
        ("shorts: Short.\n", "", "books.txt:8: [novel] has no shorts"),
        ("colour+:", "color+:", "books.txt:13: unknown pool 'color': did you mean 'colour'?"),
        ("extras:", "titles:", "books.txt:15: this section has a pool 'titles' already"),
        ("like = shared", "like = share", "books.txt:9: unknown section 'share': did you mean 'shared'?"),
        ("mark = person", "marc = person", "books.txt:10: unknown setting 'marc': did you mean 'mark'?"),
        ("mark = person", "mark = people", "books.txt:10: mark = 'people', expected person or code"),
        ("[novel]", "[shared]", "books.txt:8: there is a section [shared] already"),
        ("# A comment.", "colour: red", "books.txt:1: 'colour: red' is no [section]"),
        ("[novel]", "[novel]\n    Oslo", "books.txt:9: '    Oslo' is no [section]"),
    ],
)
def test_a_mistake_is_named_with_its_line(right: str, wrong: str, message: str) -> None:
    assert GRAMMAR.count(right) == 1
    with pytest.raises(UserError) as error:
        read_kinds({"books.txt": GRAMMAR.replace(right, wrong)})
    assert str(error.value).startswith(message)


def test_a_kind_comes_as_often_as_its_weight_says() -> None:
    kinds = read_kinds({"books.txt": GRAMMAR})

    assert read_mixture("[books]\nnovel = 1.5", part="books", kinds=kinds) == (kinds["novel"],) * 3


@pytest.mark.parametrize("weight", ["0", "0.0", "-1", "0.7", "two", "1e3"])
def test_a_wrong_weight_is_named_with_its_line(weight: str) -> None:
    kinds = read_kinds({"books.txt": GRAMMAR})
    with pytest.raises(UserError, match=rf"weights.txt:2: novel = '{weight}', expected a number such as 4 or 1.5"):
        read_mixture(f"[books]\nnovel = {weight}", part="books", kinds=kinds)


def test_a_weight_needs_a_kind() -> None:
    kinds = read_kinds({"books.txt": GRAMMAR})
    with pytest.raises(UserError, match=r"weights.txt:2: unknown setting 'novle': did you mean 'novel'"):
        read_mixture("[books]\nnovle = 1", part="books", kinds=kinds)


def test_every_kind_in_the_files_has_a_weight() -> None:
    assert {*load_mixture("books"), *load_mixture("all kinds")} == set(load_kinds().values())
    assert {len(set(names)) == len(names) for names in load_names()} == {True}


def test_the_command_line_reads_no_grammar() -> None:
    code = "import json, sys, launch.cli; print(json.dumps([name for name in sys.modules if name.startswith('synth')]))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(json.loads(loaded.stdout)) == {"synth", "synth.config"}


def test_the_files_are_package_data() -> None:
    assert {"words.txt", "weights.txt"} < {file.name for file in files("synth.grammars").iterdir()}
