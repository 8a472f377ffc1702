"""The dirt of a catalogue: entities, tags, glued words, boilerplate.

There are two kinds of it. `spell_title` and `spell_content` write the same text in another way: cleaning undoes it, and
two spellings of one text are duplicates. `damage` changes the text, and no cleaning can undo it.
"""

import html.entities
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from synth.text import BREAK, EDGE, Draw

# Stands for `&rsquo` without its semicolon, which HTML5 does not know: cleaning leaves the word `rsquo` behind.
_DEAD_REFERENCE = "\ue000"

# Fields that look filled and are empty after cleaning.
BLANKS = (
    " ", "\t\n", "&nbsp; <br>", "&#160;", "<br><br/>", "<p>&nbsp;</p>", "&lt;br&gt;", "<!-- no description -->",
    "\u200b", "***", "--", '""', "&quot;&quot;", "&amp;nbsp;", "!!!", "&#8226;", "\u2028", "<b> </b>", "\u3000",
)  # fmt: skip

_VISIBLE = {
    name: re.compile(pattern)
    for name, pattern in {
        "entities_hex": r"&#[xX]",
        "entities_decimal": r"&#[0-9]",
        "entities_named": r"&[A-Za-z]+;",
        "unterminated_entity": r"&(?:copy|reg|amp|rsquo|#[0-9]+)(?![0-9A-Za-z;])",
        "windows_1252": r"&#(?:x[89][0-9a-fA-F]|12[89]|1[345][0-9]);",
        "double_escape": r"&amp;(?:amp;)?(?:[A-Za-z]+|#[0-9]+);",
        "escaped_tag": r"&(?:(?:amp;)*lt|#60|#x3C);/?[A-Za-z]",
        "raw_tag": r"</?[A-Za-z]",
        "comment": r"<!--",
    }.items()
}
_DECOMPOSED = re.compile("[\u0300-\u036f]")
_CJK = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_EMOJI = re.compile("[\U0001f300-\U0001faff]")
_STRAY_SPACES = ("  ", "\n", "\t", "\u2028", "\u200b")
_INCH_MARK = re.compile(r'[0-9](?:"|\u2033|&quot;|&#34;)')


def visible_defects(title: str, content: str) -> Iterator[str]:
    """Names of the defects a reader of the two raw fields can see, each once."""
    both = f"{title}\n{content}"
    if "&" in both or "<" in both:
        yield from (name for name, pattern in _VISIBLE.items() if pattern.search(both))
    if not both.isascii():
        yield "non_ascii"
        if _DECOMPOSED.search(both):
            yield "decomposed"
        if _CJK.search(both):
            yield "cjk"
        if _EMOJI.search(both):
            yield "emoji"
    if any(text != text.strip() or any(space in text for space in _STRAY_SPACES) for text in (title, content)):
        yield "stray_space"
    if _INCH_MARK.search(title):
        yield "inch_mark"


@dataclass(frozen=True)
class DamageRates:
    """Shares of the contents that get each damage."""

    glued: float
    boilerplate: float
    mojibake: float = 0.004
    dead_reference: float = 0.006


def damage(content: str, random: Draw, *, rates: DamageRates, boilerplate: str) -> tuple[str, list[str]]:
    """The content as cleaning can restore it at best, and the names of the damages in it."""
    done = []
    content = content.replace(EDGE + ".", ".").replace(EDGE + ",", ",")
    if random() < rates.boilerplate:
        content += BREAK + boilerplate
        done.append("boilerplate")
    if random() < rates.glued and (BREAK in content or EDGE in content):
        content = _glue(content, random)
        done.append("glued")
    if random() < rates.mojibake and (garbled := _read_as_windows_1252(content)) != content:
        content = garbled
        done.append("mojibake")
    if random() < rates.dead_reference and "\u2019" in content:
        content = content.replace("\u2019", _DEAD_REFERENCE + " ", 1)
        done.append("dead_reference")
    return content, done


def _glue(content: str, random: Draw) -> str:
    """The content without its inline tags and some tags between sentences, and without blanks in their stead."""
    first, *others = content.replace(EDGE, "").split(BREAK)
    seams = ["" if random() < 0.4 else BREAK for _ in others]
    if EDGE not in content and BREAK in seams:
        seams[0] = ""
    return first + "".join(seam + sentence for seam, sentence in zip(seams, others, strict=True))


def _read_as_windows_1252(text: str) -> str:
    """The text with each byte of its accented letters and apostrophes read as a character: caf\u00c3\u00a9."""
    return re.sub("[\u00c0-\u017f\u2019\u201c]", lambda match: match[0].encode().decode("cp1252", "replace"), text)


def spell_title(title: str, random: Draw) -> str:
    """The title as the catalogue writes it; the cleaned title stays the same."""
    style = random()
    if style < 0.16:
        title = _with_entities(title, random)
    elif style > 0.25:
        title = _plain(title)
    if random() < 0.004:
        title = f"<i>{title}</i>"
    if random() < 0.004:
        title = f" {title.replace(' ', '  ', 1)} "
    return title


def spell_content(content: str, random: Draw) -> str:
    """The content as the catalogue writes it; the cleaned content stays the same."""
    if random() < 0.015:
        content = unicodedata.normalize("NFD", content)
    if random() < 0.3:
        content = content.replace("\u201c", "\u2018").replace("\u201d", "\u2019")
    style = random()
    if style < 0.21 or ("\u00c3" in content and style < 0.8):
        spelled = _with_entities(content, random)
        content = spelled if spelled != content else _with_no_break_space(content, random)
    elif style > 0.3:
        content = _plain(content)
    if random() < 0.002:
        content += _one_of((" \U0001f381", " \U0001f44d\U0001f44d", " \u2605\u2605\u2605", "\U0001f600 "), random)
    return _with_seams(content, random).replace(_DEAD_REFERENCE, "&rsquo")


def _with_no_break_space(content: str, random: Draw) -> str:
    offset = content.find(" ", int(random() * len(content)))
    return content if offset < 0 else content[:offset] + _one_of(_NO_BREAK_SPACES, random) + content[offset + 1 :]


def _plain(text: str) -> str:
    """The text with the signs of an English typewriter; accents stay."""
    if text.isascii():
        return text
    for char, typed in _TYPED:
        text = text.replace(char, typed)
    return text


_TYPED = (
    ("\u2019", "'"), ("\u2018", "'"), ("\u201c", '"'), ("\u201d", '"'), ("\u2033", '"'), ("\u2014", "--"),
    ("\u2013", "-"), ("\u2026", " --"),
)  # fmt: skip
_SPELLED = re.compile(f'[&"]|[^\\x00-\\x7f{_DEAD_REFERENCE}]')
# How a text with entities spells most of them: the share of such texts up to and with each scheme.
_SCHEMES = (
    (0.75, "hex"), (0.84, "decimal"), (0.93, "named"), (0.95, "double"), (0.955, "triple"), (0.97, "windows_decimal"),
    (0.98, "windows_hex"), (1.0, "unterminated"),
)  # fmt: skip


def _with_entities(text: str, random: Draw) -> str:
    draw = random()
    scheme = next(name for share, name in _SCHEMES if draw < share)

    def spell(match: re.Match[str]) -> str:
        if scheme == "unterminated" and not text[match.end() : match.end() + 1].isspace():
            return _entity(match[0], "hex")
        return _entity(match[0], scheme if random() < 0.95 else "named")

    return _SPELLED.sub(spell, text)


@cache
def _entity(char: str, scheme: str) -> str:
    """A reference to the character, or to the straight quote for a typographic one: cleaning drops both."""
    code = ord(char)
    if scheme.startswith("windows") and (byte := char.encode("cp1252", "replace")[0]) in range(0x80, 0xA0):
        return f"&#{byte};" if scheme == "windows_decimal" else f"&#x{byte:x};"
    if scheme == "decimal":
        return {"\u201c": "&#34;", "\u201d": "&#34;", "\u2033": "&#34;", "\u2019": "&#39;"}.get(char, f"&#{code};")
    if scheme in ("named", "double", "triple"):
        name = "quot" if char in "\u201c\u201d\u2033" else html.entities.codepoint2name.get(code, f"#{code}")
        return "&" + "amp;" * ("named", "double", "triple").index(scheme) + name + ";"
    if scheme == "unterminated" and char in "&\u00a9\u00ae\u2019":
        return {"&": "&amp", "\u00a9": "&copy", "\u00ae": "&reg", "\u2019": "&#8217"}[char]
    return f"&#x{code:X};"


_TAGS = ("<br>", "<br />", "<BR><BR>", "<p>", "</p><p>", " <li>", "</li>\n<li>", " <hr/> ", '<div class="d">')
_ESCAPED_TAGS = (
    "&lt;br&gt;", "&#60;br&#62;", "&#x3C;br&#x3E;", "&#x3C;/li&#x3E;", "&lt;/p&gt;&lt;p&gt;", "&amp;lt;br&amp;gt;",
    "&amp;amp;lt;li&amp;amp;gt;",
)  # fmt: skip
_SPACES = ("  ", "\n", "\r\n", "\t", "\n\n", " \u2028", "\u200b ", "    ")
_NO_BREAK_SPACES = ("&#xA0;", "&#xA0;", "&#xA0; ", "&#xA0;", "&#xA0; ", "&#160;", "&#160; ", "&nbsp;", "&nbsp; ")


def _with_seams(content: str, random: Draw) -> str:
    """The content with a blank, white space, a tag or a comment for each break and each edge."""
    style = random()
    if style < 0.86:
        return content.replace(BREAK, " ").replace(EDGE, " ")
    if style < 0.90:
        return content.replace(BREAK, _one_of(_SPACES, random)).replace(EDGE, " ") + "  "
    if style < 0.95:
        seam, edge = _one_of(_TAGS, random), _edges("<i>", "</i>")
    elif style < 0.965:
        seam, edge = _one_of(_ESCAPED_TAGS, random), _edges("&#60;b&#62;", "&lt;/b&gt;")
    elif style < 0.985:
        seam, edge = _one_of(_NO_BREAK_SPACES, random), _edges(" ", " ")
    else:
        seam, edge = " <!-- next paragraph -->", _edges("<em>", "</em>")
    content = re.sub(EDGE, lambda _: next(edge), content)
    return content.replace(BREAK, seam) if BREAK in content else f"<p>{content}</p>"


def _edges(opening: str, closing: str) -> Iterator[str]:
    """Opening and closing tags in turn, each with a blank outside; edges come in pairs."""
    while True:
        yield " " + opening
        yield closing + " "


def _one_of(choices: Sequence[str], random: Draw) -> str:
    return choices[int(random() * len(choices))]
