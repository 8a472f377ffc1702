r"""HTML becomes the text that a browser shows.

Tags go, and comments, doctypes, processing instructions, CDATA marks, scripts, styles, titles. Blocks leave a blank,
inline elements nothing. `<T>`, which is no element of HTML, is text. The rules are those of HTML's tokenizer
(https://html.spec.whatwg.org/#tokenization), in regular expressions over the bytes of all texts: a text ends at
SEPARATOR, `\xff`. It takes linear time: whatever a pattern passes over, it takes, or passes over only once more.
Repeated choices are atomic groups: Python before 3.11.5 fails on possessive ones (python/cpython#106052).
"""

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

from contract.text.elements import APART, HIDDEN, HIDDEN_TEXT, INLINE
from contract.text.joined import SEPARATOR, replace_pieces

_BLANK: Final = rb"\t\n\f\r "


def without_markup(joined: bytes) -> bytes:
    """The texts as a browser shows them. What is cut off at the end of a text, such as `<a href="x`, is not shown."""
    return _replace(joined, _WRITTEN)


def without_escaped_markup(joined: bytes) -> bytes:
    """The texts, whose markup was written in entities, as a browser shows them where it is not.

    `&lt;title&gt;` may be markup that was escaped, or text about HTML. So tags, comments and hidden texts that have no
    end are text here, except for a tag with an attribute that is cut off at the end of a text.
    """
    return _replace(joined, _ESCAPED)


def with_parted_markup(joined: bytes) -> bytes:
    """The texts with a blank after each `<` from which a piece of markup could be read, if they were cleaned again."""
    while (parted := replace_pieces(joined, b"<", _parted_at)) != joined:
        joined = parted
    return joined


def _parted_at(joined: bytes, offset: int) -> tuple[bytes, int] | None:
    is_markup = joined.startswith(_CDATA, offset) or any(
        reading.piece.match(joined, offset) for reading in (_WRITTEN, _ESCAPED)
    )
    return (b"< ", offset + 1) if is_markup else None


@dataclass(frozen=True)
class _Reading:
    """How markup is read."""

    piece: re.Pattern[bytes]  # a tag, whose name is the first group if it opens an element; or anything not shown
    hidden_to_the_end: frozenset[bytes]  # names of elements that hide all that follows where they are not closed


def _replace(joined: bytes, reading: _Reading) -> bytes:
    return replace_pieces(joined, b"<", partial(_replacement_at, reading=reading))


def _replacement_at(joined: bytes, offset: int, *, reading: _Reading) -> tuple[bytes, int] | None:
    """What a browser shows in place of the piece of markup that begins here, and where the piece ends."""
    if joined[offset + 1] not in _BEGINS_MARKUP:
        return None
    end = joined.find(b">", offset, offset + _LONGEST_PLAIN) + 1
    if (shown := PLAIN_TAGS.get(joined[offset:end])) is not None:
        return shown, end
    if joined.startswith(_CDATA, offset):
        end = joined.index(SEPARATOR, offset)
        # A piece of markup that shows nothing, so that what stands on either side makes no new mark.
        rest = joined[offset:end].replace(_CDATA, b"<!>").replace(b"]]>", b"<!>")
        return _replace(rest + SEPARATOR, reading)[:-1], end
    if not (found := reading.piece.match(joined, offset)):
        return None
    return _shown(found[0]), _end_of_hidden(joined, found, reading=reading)


def _end_of_hidden(joined: bytes, opening: re.Match[bytes], *, reading: _Reading) -> int:
    """Where the element ends, if it is hidden with all that stands in it; otherwise where its tag ends.

    An element that must be closed is hidden only if none of its name begins in between: so no text is searched twice.
    """
    name, end = (opening[1] or b"").lower(), opening.end()
    if name not in _ALL_HIDDEN or (opening[0].endswith(b"/>") and name not in _HIDDEN_TEXT):
        return end
    to_the_end = name in reading.hidden_to_the_end
    edge = _edge_of(name, closing=to_the_end).search(joined, end)
    assert edge, "every text ends at a separator"
    if edge[0] == SEPARATOR:
        return edge.start() if to_the_end else end
    closing = reading.piece.match(joined, edge.start()) if edge[0].startswith(b"</") else None
    return closing.end() if closing else end


@cache
def _edge_of(name: bytes, *, closing: bool) -> re.Pattern[bytes]:
    """A pattern of the next tag of this name, or of the next closing one, or of the end of the text."""
    return re.compile(rb"\xff|<%b%b(?=[%b/>])" % (b"/" if closing else b"/?", name, _BLANK), re.IGNORECASE)


def _shown(markup: bytes) -> bytes:
    """What a browser shows of a piece of markup: a blank or nothing."""
    name = _NAME_OF.match(markup)
    return b" " if name and name[1].lower().decode() in APART else b""


_NAME_OF: Final = re.compile(rb"</?([A-Za-z][A-Za-z0-9]*)")
_CDATA: Final = b"<![CDATA["
_BEGINS_MARKUP: Final = frozenset(b"/!?" + string.ascii_letters.encode())  # after a `<`
_HIDDEN_TEXT: Final = frozenset(name.encode() for name in HIDDEN_TEXT)
_ALL_HIDDEN: Final = _HIDDEN_TEXT | {name.encode() for name in HIDDEN}

# Nearly all tags are among these.
PLAIN_TAGS: Final = {
    tag: _shown(tag)
    for name in INLINE | APART
    for form in ("<%s>", "</%s>", "<%s/>", "<%s />")
    for tag in ((form % name).encode(), (form % name.upper()).encode())
    if form[1] == "/" or name not in {*HIDDEN_TEXT, *HIDDEN}
}
_LONGEST_PLAIN: Final = max(map(len, PLAIN_TAGS))


def _any_case(name: str) -> bytes:
    """A pattern of the name. Unlike the flag of `re`, a set at its start lets `re` pass over it at once.

    >>> _any_case("h1")
    b'[hH]1'
    """
    return b"".join(f"[{char}{char.upper()}]".encode() if char.isalpha() else char.encode() for char in name)


def _any_of(names: Iterable[str]) -> bytes:
    """A pattern of these names, by first letters, and of names with a colon or a hyphen: `o:p`, `my-box`."""
    by_letter: dict[str, list[str]] = {}
    for name in sorted(names):
        by_letter.setdefault(name[0], []).append(name[1:])
    known = b"|".join(
        _any_case(letter) + b"(?:" + b"|".join(map(_any_case, rests)) + b")" + _NAME_ENDS
        for letter, rests in by_letter.items()
    )
    return known + rb"|(?:[A-Za-z][A-Za-z0-9]*+:[A-Za-z][A-Za-z0-9]*+|[a-z][a-z0-9]*+(?:-[a-z0-9]++)++)" + _NAME_ENDS


_NAME_ENDS: Final = rb"(?=[%b/>\xff])" % _BLANK


def _attributes(*, not_in_names: bytes) -> bytes:
    """A pattern of all that may follow a tag's name, up to its `>` or to the end of the text."""
    name = rb"[^%b/>\xff%b][^%b/>=\xff%b]*+" % (_BLANK, not_in_names, _BLANK, not_in_names)
    bare = rb"[^%b>\"'\xff%b][^%b>\xff%b]*+" % (_BLANK, not_in_names, _BLANK, not_in_names)
    value = rb"[%b]*+=[%b]*+(?>(?:\"[^\"\xff]*+\"?+|'[^'\xff]*+'?+|%b)?)" % (_BLANK, _BLANK, bare)
    return rb"(?>(?:[%b/]++|%b(?:%b)?)*)" % (_BLANK, name, value)


def _pieces_as_written() -> re.Pattern[bytes]:
    """A pattern of one piece of markup. Where it has no end, it goes on to the end of the text."""
    attributes, end = _attributes(not_in_names=b""), rb"(?:>|(?=\xff))"
    return _alternatives(
        rb"!--(?:-?>|(?>(?:[^-\xff]++|-(?!-!?>))*)(?:--!?>)?+)",
        rb"(?:[!?]|/[^A-Za-z\xff])(?:(?<=>)|[^>\xff]*+%b)" % end,
        rb"(?:(%b)|/(?:%b))%b%b" % (_NAMES, _NAMES, attributes, end),
    )


def _pieces_once_escaped() -> re.Pattern[bytes]:
    """A pattern of one piece of markup that has an end.

    No piece but a quoted value passes over a `<` that may begin another one: so a text without ends takes linear time.
    """
    attributes = _attributes(not_in_names=b"<")
    return _alternatives(
        rb"!--(?:-?>|(?>(?:[^<\xff-]++|<(?!!--)|-(?!-!?>))*)--!?>)",
        rb"(?:[!?]|/[^A-Za-z\xff])(?:(?<=>)|[^<>\xff]*+>)",
        rb"(?:(%b)|/(?:%b))%b>" % (_NAMES, _NAMES, attributes),
        rb"(?:%b)[%b/]++[^%b/<>=\"'\xff]++=%b(?=\xff)" % (_NAMES, _BLANK, _BLANK, attributes),
    )


def _alternatives(*patterns: bytes) -> re.Pattern[bytes]:
    return re.compile(b"<(?:" + b"|".join(patterns) + b")")


_NAMES: Final = _any_of(INLINE | APART)
_WRITTEN: Final = _Reading(_pieces_as_written(), hidden_to_the_end=_HIDDEN_TEXT)
_ESCAPED: Final = _Reading(_pieces_once_escaped(), hidden_to_the_end=frozenset())
