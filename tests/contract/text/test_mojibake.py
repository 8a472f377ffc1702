"""The shortcuts of cleaning around ftfy's detector change nothing of what it says."""

import ftfy.badness
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.text.joined import beyond_ascii, join, texts_at
from contract.text.mojibake import is_mojibake, suspect_offsets

# Characters that ftfy's rules speak of, and plain ones to stand beside them.
_CHARACTERS = sorted({character for text in ftfy.badness.MOJIBAKE_CATEGORIES.values() for character in text})
_FRAGMENTS = st.one_of(
    st.sampled_from([*_CHARACTERS, *"aZé漢 .!5\n\u00a0Œœ°×²³√≈‚ÄàâóвЂГўВРСβΒΓΞΟĀāÃÂØÙ"]),
    # Text whose bytes were taken for another encoding.
    st.builds(
        lambda text, encoding: text.encode().decode(encoding, "replace"),
        st.sampled_from(["é", "à", "“x”", "–", "ж", "ü ", "©", "العربية", "עב", "日本"]),
        st.sampled_from(["latin-1", "cp1252", "cp1251", "cp1253", "cp1257", "cp437", "mac_roman"]),
    ),
)


@settings(max_examples=800, deadline=None)
@given(st.lists(st.lists(_FRAGMENTS, max_size=6).map("".join), max_size=20))
def test_what_ftfy_calls_bad_is_suspect(texts: list[str]) -> None:
    joined = join(pa.array(texts, pa.string()))
    suspects = set(texts_at(joined, suspect_offsets(beyond_ascii(joined))).tolist())
    assert {position for position, text in enumerate(texts) if ftfy.badness.is_bad(text)} <= suspects


@settings(max_examples=800, deadline=None)
@given(st.lists(st.lists(st.one_of(_FRAGMENTS, st.text("aZ .!5", max_size=12)), max_size=12).map("".join), max_size=20))
def test_the_faster_pattern_says_what_ftfy_says(texts: list[str]) -> None:
    assert is_mojibake(pa.array(texts, pa.string())).to_pylist() == [ftfy.badness.is_bad(text) for text in texts]
