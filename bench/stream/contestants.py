"""The contestants: ways to stream prepared records as tokens, each with its best settings. A batch: (records, tokens).

All encode with the encoder of `trainer`, so that only the reading of records differs. The peers also run with
`FastCall`, the fastest call that tokenizers offers. The peers read in stored order, which costs them least, except "HF
datasets, shuffled"; ours reads in its own random order. Only ours packs, except "ours, without packs".
A contestant resumes at a position: a cursor, or a number of records. Locations may be URLs of an object store.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import fsspec
from transformers import PreTrainedTokenizerBase

from trainer.config import DEFAULT_WORDING
from trainer.examples.encoder import Encoder, Example, Record
from trainer.examples.prompt import prompt_form
from trainer.examples.wordings import draw, find_wordings
from trainer.plan.data_sets import open_data
from trainer.plan.order import Rank, num_lanes, plan_epoch
from trainer.shards.row_groups import RowGroups
from trainer.stream.cursor import Cursor
from trainer.stream.lanes import LaneReader
from trainer.stream.packs import PackStream

BATCH_TOKENS: Final = 32_768
_BATCH_RECORDS: Final = 512  # encoded at once by a peer

Batch = tuple[int, int]


class FastCall:
    """Encodes to the same ids as `trainer`, by one call of the tokenizer for all texts."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._forms = [prompt_form(tokenizer, wording) for wording in find_wordings(DEFAULT_WORDING)]
        self._end, self.max_length = tokenizer.eos_token_id, max_length

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """One example a record."""
        drawn = draw([record.key for record in records], epoch=0, num=len(self._forms))
        prompts = [self._forms[number].prompt(record.title) for number, record in zip(drawn, records, strict=True)]
        texts = prompts + [record.content for record in records]
        ids = [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        examples = []
        for record, prompt, answer in zip(records, ids[: len(records)], ids[len(records) :], strict=True):
            whole = [*prompt, *answer, self._end]
            num_cut = max(0, len(whole) - self.max_length)
            examples.append(Example(record.row, whole[: self.max_length], len(prompt), num_cut))
        return examples


@dataclass(frozen=True)
class Setting:
    """The inputs, and how they are encoded. The peers' copies are made by bench/stream/inputs.py."""

    data: str
    litdata: str  # folder of links to the shards, with LitData's index
    mds: str
    copies: str  # folder of the files that peers fetch from an object store
    encoder: Encoder | FastCall
    max_length: int
    num_records: int  # of the train split


def ours(setting: Setting, position: Any) -> Iterator[Batch]:
    """Steps of packs, for one rank."""
    for step in our_stream(setting).epoch(Cursor.from_json(position) if position else Cursor.start()):
        if step.num_records:
            yield step.num_records, sum(pack.num_tokens for pack in step.packs)
        if step.is_over:
            return


def our_stream(setting: Setting) -> PackStream:
    """The stream as one process of a training run on one GPU reads it."""
    return PackStream(
        open_data([setting.data]),
        setting.encoder,
        Rank(0, 1),
        packs_per_step=BATCH_TOKENS // setting.max_length,
    )


def ours_without_packs(setting: Setting, position: Any) -> Iterator[Batch]:
    """The blocks of all lanes in turn, read and encoded."""
    if position:
        raise ValueError("lanes alone do not resume")
    data = open_data([setting.data])
    groups = RowGroups(data)
    lanes = plan_epoch(
        [each.rows for each in data],
        lanes=num_lanes(setting.num_records, max_length=setting.max_length),
        seed=0,
        epoch=0,
    )
    readers = [(lane, LaneReader(groups, lane, seed=0)) for lane in lanes]
    for block in itertools.count():
        found = [
            list(reader.read(lane.addresses(block)).values()) for lane, reader in readers if block < lane.num_blocks
        ]
        if not found:
            return
        yield from (_encoded(records, setting.encoder) for records in found)


def hf_datasets(setting: Setting, position: Any) -> Iterator[Batch]:
    """Arrow tables from the Parquet reader. `skip` is right from datasets 5 on.

    In 4.8.5, on a stream of Parquet files, it skips at most one row group, whatever number it is given.
    """
    stream = _hf_stream(setting)
    return _encoded_tables((stream.skip(position) if position else stream).iter(batch_size=_BATCH_RECORDS), setting)


def hf_datasets_shuffled(setting: Setting, position: Any) -> Iterator[Batch]:
    """The same in random order of shards, and shuffled within a buffer of the default size."""
    stream = _hf_stream(setting).shuffle(seed=0)
    return _encoded_tables((stream.skip(position) if position else stream).iter(batch_size=_BATCH_RECORDS), setting)


def hf_datasets_state(setting: Setting, position: Any) -> Iterator[Batch]:
    """The same, resumed by `load_state_dict`."""
    stream = _hf_stream(setting)
    if position:
        stream.load_state_dict(position)
    return _encoded_tables(stream.iter(batch_size=_BATCH_RECORDS), setting)


def hf_state_at(setting: Setting, num_records: int) -> Any:
    """The state of the stream after at least so many records."""
    stream, seen = _hf_stream(setting), 0
    for table in stream.iter(batch_size=_BATCH_RECORDS):
        seen += table.num_rows
        if seen >= num_records:
            break
    return stream.state_dict()


def hf_datasets_tokenised(setting: Setting, position: Any) -> Iterator[Batch]:
    """Resumed as a Trainer replays its stream: records are skipped after they were tokenised."""
    rest = position or 0
    for records, tokens in _encoded_tables(_hf_stream(setting).iter(batch_size=_BATCH_RECORDS), setting):
        rest -= records
        if rest <= 0:
            yield records, tokens


def _hf_stream(setting: Setting) -> Any:
    from datasets import load_dataset

    files = [file.full_name for file in fsspec.open_files(f"{setting.data}/train/*.parquet")]
    stream = load_dataset("parquet", data_files=files, split="train", streaming=True, columns=["title", "content"])
    return stream.with_format("arrow")


def _encoded_tables(tables: Iterable[Any], setting: Setting) -> Iterator[Batch]:
    for table in tables:
        texts = zip(table["title"].to_pylist(), table["content"].to_pylist(), strict=True)
        yield _encoded([Record(0, *both) for both in texts], setting.encoder)


def litdata(setting: Setting, position: Any) -> Iterator[Batch]:
    """The shards themselves through LitData's Parquet loader, which is faster than its own format."""
    from litdata import StreamingDataset
    from litdata.streaming.item_loader import ParquetLoader

    def stream() -> Any:
        return StreamingDataset(
            setting.litdata,
            item_loader=ParquetLoader(low_memory=True),
            shuffle=False,
            cache_dir=setting.copies if _is_remote(setting.litdata) else None,
        )

    found = stream()
    if position:
        state = found.state_dict(position, num_workers=1, batch_size=1)
        found = stream()
        found.load_state_dict(state)
    return _rows(found, setting)


def mosaicml(setting: Setting, position: Any) -> Iterator[Batch]:
    """MDS shards without compression or hashes."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    where = {"remote": setting.mds, "local": setting.copies} if _is_remote(setting.mds) else {"local": setting.mds}
    if "AWS_ENDPOINT_URL" in os.environ:
        os.environ["S3_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]  # as this library calls it
    found = StreamingDataset(**where, shuffle=False, batch_size=_BATCH_RECORDS)
    if position:
        found.load_state_dict(found.state_dict(position, from_beginning=True))
    return _rows(found, setting)


def _is_remote(location: str) -> bool:
    return "://" in location


def _rows(rows: Iterable[Any], setting: Setting) -> Iterator[Batch]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, _BATCH_RECORDS)):
        yield _encoded([Record(0, row["title"], row["content"]) for row in batch], setting.encoder)


def _encoded(records: Sequence[Record], encoder: Encoder | FastCall) -> Batch:
    examples = encoder.encode(records)
    return len(examples), sum(len(example.ids) for example in examples)


CONTESTANTS: Final[dict[str, Callable[[Setting, Any], Iterator[Batch]]]] = {
    "ours": ours,
    "ours, without packs": ours_without_packs,
    "HF datasets": hf_datasets,
    "HF datasets, shuffled": hf_datasets_shuffled,
    "HF datasets, state": hf_datasets_state,
    "HF datasets, replayed": hf_datasets_tokenised,
    "LitData": litdata,
    "MosaicML Streaming": mosaicml,
}
