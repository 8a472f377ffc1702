"""The compiled pass changes nothing of what cleaning says. VITRINE_FUZZ_TEXTS=300000 makes more texts."""

import html.entities
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest

from contract.text import markup
from contract.text.clean import clean_array
from contract.text.profiles import PROFILES, SEED, Profile

pytest.importorskip("numba", reason="texts are cleaned without numba where it is not installed")

from contract.text.compiled.clean import clean_compiled

_NUM_TEXTS = int(os.environ.get("VITRINE_FUZZ_TEXTS", "4000"))
_BATCH = 5_000
_PIECES = [
    *"&<>;#/!?\\'\"`’“”…–•®°×.,:-_ \t\n\u00a0aZ5",
    *("&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#x2019;", "&#150;", "&#0;", "&#xD800;", "&#1114112;", "&nbsp;"),
    *(
        "&copyright",
        "&amp;amp;",
        "&amp;#39;",
        "&lt;b&gt;",
        "&am",
        "p;",
        "AT&T",
        "&T;",
        "R&amp;D",
        "&notit;",
        "&#",
        "&#x",
    ),
    *("&nGt;", "&Mu;", "&bne;", "&oelig;", "&Atilde;", "&ccedil;&atilde;o", "&#231;&#227;o", "&shy;", "&zwj;", "&#38;"),
    *(
        "<b>",
        "</b>",
        "<BR>",
        "<br/>",
        "<br />",
        "</p>",
        "<T>",
        "<5 mg",
        "< 5",
        "<p class='x'>",
        "<script>",
        "</script>",
    ),
    *(
        "<!-- x -->",
        "<!--x--",
        "<!-->",
        "<!--->",
        "<!---->",
        "<!--a-b-->",
        "<!--\\n-->",
        "-->",
        "<![CDATA[",
        "]]>",
        "<o:p>",
        "<a href=x>",
        "<title>",
        "</title>",
        "<b",
        "</",
        "<sub>2</sub>",
    ),
    *(
        "Coração",
        "Núñez",
        "Çã",
        "EDIÇÃO",
        "œuvre",
        "œ",
        "Ã",
        "Â ",
        "Ã©",
        "â€™",
        "é’s",
        "naïve",
        "Ω",
        "Привет",
        "ВЂ",
        "β€",
    ),
    *(
        "e\u0301",
        "\u0301",
        "\u200b",
        "\u00ad",
        "\u200d",
        "\ufe0f",
        "क्\u200dष",
        "京都散歩",
        "한국",
        "ｱﾊﾟ",
        "🎉",
        "👩‍🚀",
        "ﬁ",
        "İ",
    ),
    *("\\n", "\\u2019", '\\"', "C:\\new", "\x00", "\x7f", "\x85", "\ufeff", "\u2028", "ㅤ", "³", "²", "‚Ä", "√±", "à²"),
]


def texts() -> Iterator[str]:
    """Texts of pieces that act on each other, of random characters, and real ones of which a piece was exchanged."""
    rng = random.Random(int(os.environ.get("VITRINE_FUZZ_SEED", "0")))
    entities, tags = [f"&{name}" for name in html.entities.html5], [tag.decode() for tag in markup.PLAIN_TAGS]
    real = _real_texts()
    while True:
        yield "".join(rng.choices(_PIECES, k=rng.randint(1, 8)))
        yield "".join(rng.choice((rng.choice(entities), rng.choice(tags), rng.choice(_PIECES))) for _ in range(4))
        most = rng.choice((0x7F, 0xFF, 0x2FF, 0x2FFF, 0xD7FF, 0x1FFFF))
        codes = (rng.randint(0, most) for _ in range(rng.randint(1, 30)))
        yield "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)
        text = rng.choice(real)
        cut = rng.randint(0, len(text))
        yield text[:cut] + rng.choice(_PIECES) + text[cut + rng.randint(0, 3) :]


def _real_texts() -> list[str]:
    """Texts of the file that VITRINE_REAL_SAMPLE names, and a few that are always there."""
    found = [
        "Rich&amp;Famous: 10&quot; pan <b>new</b>",
        "Don Casmurro, Edi&#231;&#227;o de bolso",
        "Tom &amp; Jerry, <br>5 cm",
    ]
    if path := os.environ.get("VITRINE_REAL_SAMPLE"):
        lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
        found += [line[name] for line in lines for name in ("title", "content") if line.get(name)]
    return found


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_compiled_pass_changes_nothing(profile: Profile) -> None:
    made = texts()
    for _ in range(0, _NUM_TEXTS, _BATCH):
        batch = pa.array(islice(made, min(_BATCH, _NUM_TEXTS)), pa.string())
        expected, found = clean_array(batch, profile), clean_compiled(batch, profile)
        assert [
            (text, fast, slow)
            for text, fast, slow in zip(batch.to_pylist(), found.to_pylist(), expected.to_pylist(), strict=True)
            if fast != slow
        ] == []


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_mojibake_is_found_on_both_sides_of_what_a_profile_deletes(profile: Profile) -> None:
    """Two characters may be mojibake together that are neighbours here, or only once what is between them is gone."""
    signs, between = "ÃÂâçãéïœ€™©°ªºß¿±Ω√‚Äàвђр", ("", "'", "’", '"', "*", "&quot;", "<b>", "®")
    batch = pa.array([f"a{left}{gap}{right}b" for left in signs for gap in between for right in signs], pa.string())

    assert clean_compiled(batch, profile).equals(clean_array(batch, profile))


def test_slices_nulls_and_batches_without_texts_are_cleaned() -> None:
    batch = pa.array(["x", "a &amp; b", None, "", "é<br>é", "京", "<script>x</script>y"], pa.string())
    for sliced in (batch, batch[1:], batch[2:4], batch[:0], pa.array([None], pa.string())):
        assert clean_compiled(sliced, SEED).equals(clean_array(sliced))


@pytest.mark.slow
def test_code_is_compiled_once_and_used_from_then_on(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    told = "from contract.text.compiled.cache import is_ready; print(is_ready())"
    for is_ready in ("False", "True"):
        assert subprocess.check_output([sys.executable, "-c", told], env=environment, text=True).strip() == is_ready
        subprocess.run([sys.executable, "-m", "contract.text.compiled"], env=environment, check=True)
    code = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    cleaned = "from contract.text.compiled.clean import *; print(clean_many(pa.array(['a &amp; b']))[0])"
    assert subprocess.check_output([sys.executable, "-c", cleaned], env=environment, text=True).strip() == "a b"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")} == code
