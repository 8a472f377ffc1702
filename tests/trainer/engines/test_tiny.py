"""The tiny base trains on batches that take about the same time for any catalogue."""

import itertools
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from trainer.engines.tiny import TinyShape, _content_batches
from trainer.examples.encoder import Record

SHAPE = TinyShape(records_per_step=8, tokens_per_step=300, max_length=128)


@pytest.fixture(name="tokenizer", scope="module")
def _tokenizer(micro_base: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(micro_base)


@pytest.mark.parametrize(("num_words", "num_records"), [(4, 8), (60, 4), (1_000, 2)])
def test_a_batch_holds_as_many_records_as_its_tokens_allow(
    tokenizer: PreTrainedTokenizerBase, num_words: int, num_records: int
) -> None:
    records = [Record(row, f"Kettle {row}", "steel kettle " * (num_words // 2)) for row in range(24)]

    def sizes(seed: int) -> list[tuple[list[int], int]]:
        batches = itertools.islice(_content_batches(tokenizer, records, shape=SHAPE, seed=seed), 9)
        return [
            ([example.row for pack in batch for example in pack.examples], sum(pack.num_tokens for pack in batch))
            for batch in batches
        ]

    assert [len(rows) for rows, _ in sizes(0)] == [num_records] * 9
    assert all(num_tokens <= SHAPE.tokens_per_step for _, num_tokens in sizes(0))
    assert sizes(0) == sizes(0)
    assert sizes(0) != sizes(1)
