"""Made HTML, sound and broken, and its words as html5lib's tree gives them: a parser that follows HTML's rules."""

import html
import random
import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

import html5lib

WORDS: Final = ("Oak", "stool", "café", "40", "cm", "x", "ÄÖ", "漢字", "it", "2,5", "wide.")
TEXTS: Final = (
    *WORDS,
    "5 < 6",
    "a<3",
    "R&amp;D",
    "<T>",
    "List<String>",
    "K,V>",
    "&lt;3",
    "5 &gt; 4",
    "--",
    "]]>",
    "&#8211;",
)
INLINE: Final = (
    "b",
    "i",
    "em",
    "strong",
    "u",
    "s",
    "span",
    "a",
    "sub",
    "sup",
    "small",
    "font",
    "mark",
    "code",
    "o:p",
    "my-box",
)
BLOCKS: Final = ("div", "p", "ul", "header", "blockquote", "section", "center", "pre", "table", "article", "figure")
VOID: Final = {"br": " ", "hr": " ", "img": " ", "wbr": "", "meta": "", "input": " ", "link": ""}
RAW: Final = ("script", "style", "title", "iframe", "noscript", "noembed")
VALUES: Final = (
    '"x"',
    "'y z'",
    "plain",
    '"a > b"',
    "'<b>'",
    '"it\'s"',
    "'\"'",
    '""',
    "a'b",
    "x/y",
    '"&gt;&quot;"',
    "'a\n=b'",
)
NAMES: Final = ("class", "href", "title", "data-x", "ALT", "onclick", "x", '"', "it's", "@click")
HIDDEN: Final = (
    "var a = '<b>' + 1 < 2;",
    "p{margin:0}",
    "if (a<b) c('</p>')",
    "<!-- -->",
    "&lt;/script&gt;",
    "a </ b",
    "",
)
_PARTS: Final = {"table": "td", "ul": "li"}  # of elements that are always closed
INSIDE_COMMENT: Final = ("", " a ", "<b>", ">", " - ", "--", "<!--", "-- >", "</p>", "<script>", "a -> b", '"')


def document(draw: random.Random) -> str:
    """A document of about 200 characters; some end in the middle."""
    made = "".join(_pieces(draw, depth=0))
    if draw.random() < 0.2:
        return made[: draw.randrange(len(made) + 1)]
    if draw.random() < 0.05:
        return f"<!DOCTYPE html><html><head><title>x</title><meta charset='utf-8'></head><body>{made}</body></html>"
    return made


def _pieces(draw: random.Random, *, depth: int) -> Iterator[str]:
    for _ in range(draw.randint(1, 5 - depth)):
        kind = draw.random()
        if kind < 0.45 or depth > 3:
            yield draw.choice(TEXTS) + draw.choice(("", "", " ", "\n"))
        elif kind < 0.80:
            yield from _element(draw, draw.choice(INLINE if draw.random() < 0.6 else BLOCKS), depth=depth)
        elif kind < 0.90:
            yield _tag(draw, draw.choice([*VOID]))
        elif kind < 0.95:
            name = draw.choice(RAW)
            yield f"{_tag(draw, name)}{draw.choice(HIDDEN)}</{_case(draw, name)}{draw.choice(('', ' ', ' x'))}>"
        else:
            inside = "".join(draw.choices(INSIDE_COMMENT, k=2))
            yield draw.choice((f"<!--{inside}-->", f"<!--{inside}--!>", "<!-->", "<?php a ?>", "<!x>", "</3 y>", "</>"))


def _element(draw: random.Random, name: str, *, depth: int) -> Iterator[str]:
    inside = list(_pieces(draw, depth=depth + 1))
    if name in _PARTS:
        part = _tag(draw, _PARTS[name])
        inside = ["<tr>" if name == "table" else "", part, *inside, part, draw.choice(WORDS)]
    yield _tag(draw, name)
    yield from inside
    if draw.random() < 0.9 or name in _PARTS:
        yield f"</{_case(draw, name)}{draw.choice(('', ' ', chr(10), ' a=b'))}>"


def _tag(draw: random.Random, name: str) -> str:
    attributes = "".join(
        draw.choice((" ", "\n", " ", " / "))
        + draw.choice(NAMES)
        + (draw.choice(("=", " = ", "=\n")) + draw.choice(VALUES) if draw.random() < 0.8 else "")
        for _ in range(draw.choice((0, 0, 0, 1, 2)))
    )
    return f"<{_case(draw, name)}{attributes}{draw.choice(('', '', '', ' ', ' /'))}>"


def _case(draw: random.Random, name: str) -> str:
    return name.upper() if draw.random() < 0.1 and "-" not in name else name


def shown(document: str) -> str:
    """The text of a document by its tree, with a blank where a block begins or ends; escaped, so that it is no HTML."""
    text = re.sub(r"<(?=/?([A-Za-z][^\s/>]*))", lambda tag: "<" if _is_element(tag[1].lower()) else "&lt;", document)
    tree = html5lib.parseFragment(text, treebuilder="etree", namespaceHTMLElements=False, scripting=True)
    return html.escape("".join(_texts(tree)))


def _is_element(name: str) -> bool:
    others = ("html", "head", "body", "tr", "td", "li")
    return name in (*INLINE, *BLOCKS, *VOID, *RAW, *others) or re.fullmatch(r"[a-z]+[:-][a-z-]*[a-z]", name) is not None


def _texts(element: Element) -> Iterator[str]:
    if not isinstance(element.tag, str):  # a comment
        return
    is_inline = (element.tag in (*INLINE, *RAW) and element.tag != "iframe") or "-" in element.tag
    edge = VOID.get(element.tag, "" if is_inline else " ")
    yield edge
    if element.tag not in RAW:
        yield element.text or ""
        for child in element:
            yield from _texts(child)
            yield child.tail or ""
    yield edge
