r"""HTML becomes the text that a browser shows.

Tags go, and comments, doctypes, processing instructions, CDATA marks, scripts, styles, titles. Blocks leave a blank,
inline elements nothing. `<T>`, which is no element of HTML, is text. The rules are those of HTML's tokenizer
(https://html.spec.whatwg.org/#tokenization), in one regular expression over the bytes of all texts: a text ends at
SEPARATOR, `\xff`. It takes linear time, as whatever it passes over, it either takes or passes over only once more.
"""

import re
import string
from collections.abc import Iterable
from functools import partial
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


def _replacement_at(joined: bytes, offset: int, *, markup: re.Pattern[bytes]) -> tuple[bytes, int] | None:
    """What a browser shows in place of the piece of markup that begins here, and where the piece ends."""
    if joined[offset + 1] not in _BEGINS_MARKUP:
        return None
    end = joined.find(b">", offset, offset + _LONGEST_PLAIN) + 1
    if (shown := _PLAIN_TAGS.get(joined[offset:end])) is not None:
        return shown, end
    if joined.startswith(_CDATA, offset):
        end = joined.index(SEPARATOR, offset)
        # A piece of markup that shows nothing, so that what stands on either side makes no new mark.
        rest = joined[offset:end].replace(_CDATA, b"<!>").replace(b"]]>", b"<!>")
        return _replace(rest + SEPARATOR, markup)[:-1], end
    found = markup.match(joined, offset)
    return (_shown(found[0]), found.end()) if found else None


def _replace(joined: bytes, markup: re.Pattern[bytes]) -> bytes:
    return replace_pieces(joined, b"<", partial(_replacement_at, markup=markup))


def _shown(markup: bytes) -> bytes:
    """What a browser shows of a piece of markup: a blank or nothing."""
    name = _NAME_OF.match(markup)
    return b" " if name and name[1].lower().decode() in APART else b""


_NAME_OF: Final = re.compile(rb"</?([A-Za-z][A-Za-z0-9]*)")
_CDATA: Final = b"<![CDATA["
_BEGINS_MARKUP: Final = frozenset(b"/!?" + string.ascii_letters.encode())  # after a `<`

# Nearly all tags are among these.
_PLAIN_TAGS: Final = {
    tag: _shown(tag)
    for name in INLINE | APART
    for form in ("<%s>", "</%s>", "<%s/>", "<%s />")
    for tag in ((form % name).encode(), (form % name.upper()).encode())
    if form[1] == "/" or name not in {*HIDDEN_TEXT, *HIDDEN}
}
_LONGEST_PLAIN: Final = max(map(len, _PLAIN_TAGS))


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
    value = rb"[%b]*+=[%b]*+(?:\"[^\"\xff]*+\"?+|'[^'\xff]*+'?+|%b)?+" % (_BLANK, _BLANK, bare)
    return rb"(?:[%b/]++|%b(?:%b)?+)*+" % (_BLANK, name, value)


def _markup_as_written() -> re.Pattern[bytes]:
    """A pattern of one piece of markup. Where it has no end, it goes on to the end of the text."""
    attributes, end = _attributes(not_in_names=b""), rb"(?:>|(?=\xff))"
    hidden_texts = [
        rb"%b%b%b>(?:[^<\xff]++|<(?!/%b[%b/>]))*+(?:</%b%b%b)?+"
        % (name, _NAME_ENDS, attributes, name, _BLANK, name, attributes, end)
        for name in map(_any_case, HIDDEN_TEXT)
    ]
    return _alternatives(
        rb"!--(?:-?>|(?:[^-\xff]++|-(?!-!?>))*+(?:--!?>)?+)",
        rb"(?:[!?]|/[^A-Za-z\xff])(?:(?<=>)|[^>\xff]*+%b)" % end,
        *hidden_texts,
        *_hidden(attributes),
        rb"/?(?:%b)%b%b" % (_any_of(INLINE | APART), attributes, end),
    )


def _markup_once_escaped() -> re.Pattern[bytes]:
    """A pattern of one piece of markup that has an end.

    No piece but a quoted value passes over a `<` that may begin another one: so a text without ends takes linear time.
    """
    attributes, names = _attributes(not_in_names=b"<"), _any_of(INLINE | APART)
    return _alternatives(
        rb"!--(?:-?>|(?:[^<\xff-]++|<(?!!--)|-(?!-!?>))*+--!?>)",
        rb"(?:[!?]|/[^A-Za-z\xff])(?:(?<=>)|[^<>\xff]*+>)",
        *_hidden(attributes, names=(*HIDDEN_TEXT, *HIDDEN)),
        rb"/?(?:%b)%b>" % (names, attributes),
        rb"(?:%b)[%b/]++[^%b/<>=\"'\xff]++=%b(?=\xff)" % (names, _BLANK, _BLANK, attributes),
    )


def _hidden(attributes: bytes, *, names: Iterable[str] = HIDDEN) -> list[bytes]:
    """Patterns of elements that are hidden with all between their tags, where none of that name begins in between."""
    return [
        rb"%b%b%b(?<!/)>(?:[^<\xff]++|<(?!/?%b[%b/>]))*+</%b%b%b>"
        % (name, _NAME_ENDS, attributes, name, _BLANK, name, _NAME_ENDS, attributes)
        for name in map(_any_case, names)
    ]


def _alternatives(*patterns: bytes) -> re.Pattern[bytes]:
    return re.compile(b"<(?:" + b"|".join(patterns) + b")")


_WRITTEN: Final = _markup_as_written()
_ESCAPED: Final = _markup_once_escaped()
