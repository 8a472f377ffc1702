"""Answers come in whole characters, as the tokenizer decodes them together, and end before a stop text."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from transformers import AutoTokenizer

from trainer.generation.text import TextStream

TEXT = "Chá de maçã, 茶 & 🫖 — 2 kg: “ótimo” não é?  Sim."


def streamed(decoder, ids, *, stop=()) -> list[str]:
    stream, texts = TextStream(decoder, stop=stop), []
    for token in ids:
        texts.append(stream.push(token))
        if stream.is_stopped:
            return texts
    return [*texts, stream.finish()]


@pytest.fixture(name="by_blanks", scope="module")
def _by_blanks() -> Tokenizer:
    """Of the SentencePiece kind: blanks as `▁`, unknown characters as bytes."""
    words = ["▁Red", "▁", "Red", "é", "▁Kettle", "<s>"]
    vocabulary = {word: number for number, word in enumerate([*words, *(f"<0x{byte:02X}>" for byte in range(256))])}
    tokenizer = Tokenizer(BPE(vocabulary, [], byte_fallback=True))
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


@pytest.mark.parametrize("text", [TEXT, "", "a", " b", "\n\n", "👩‍👩‍👧"])
def test_the_texts_together_are_the_text_that_all_tokens_decode_to(smollm2: str, micro_base: Path, text: str) -> None:
    for folder in (smollm2, micro_base):
        decoder = AutoTokenizer.from_pretrained(folder).backend_tokenizer
        ids = decoder.encode(text, add_special_tokens=False).ids
        texts = streamed(decoder, ids)
        assert "".join(texts) == decoder.decode(ids)
        assert not any("\ufffd" in part for part in texts)


@settings(max_examples=300, deadline=None)
@given(ids=st.lists(st.integers(0, 261), max_size=30))
def test_no_order_of_tokens_breaks_a_stream(by_blanks: Tokenizer, ids: list[int]) -> None:
    text = "".join(streamed(by_blanks, ids))
    whole = by_blanks.decode(ids)

    assert "\ufffd" in whole or text == whole


def test_a_character_comes_when_its_last_byte_has_come(by_blanks: Tokenizer) -> None:
    ids = [0, *(6 + byte for byte in "茶".encode()), 4]
    assert streamed(by_blanks, ids) == ["Red", "", "", "茶", " Kettle", ""]
    assert streamed(by_blanks, ids[:3]) == ["Red", "", "", ""]  # cut in the middle of a character


def test_a_special_token_is_no_text_and_takes_no_blank_away(by_blanks: Tokenizer) -> None:
    assert streamed(by_blanks, [5, 0, 5, 5, 4]) == ["", "Red", "", "", " Kettle", ""]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (("Kettle",), "Redé "),
        ((" Kettle", "Red"), ""),
        (("dé",), "Re"),
        (("Kettles",), "Redé Kettle"),
        (("é K", "é"), "Red"),
    ],
)
def test_an_answer_ends_before_the_first_stop_text(by_blanks: Tokenizer, stop, expected: str) -> None:
    texts = streamed(by_blanks, [0, 3, 4], stop=stop)
    assert "".join(texts) == expected


def test_text_that_could_begin_a_stop_text_is_held_until_it_does_not(by_blanks: Tokenizer) -> None:
    assert streamed(by_blanks, [0, 3, 4], stop=("é Red",)) == ["Red", "", "é Kettle", ""]
