"""Fields become rows: cleaned, judged, keyed. Pure functions on Arrow, no Spark."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import CONTENT, KEY, KEY_BYTES, OFFSET, RAW, REASON, SOURCE, TITLE, UID
from contract.keys import offset_keys, record_keys, splits_of
from contract.reasons import KEPT, REASON_CODE
from contract.text.clean import clean_array
from contract.text.compiled.clean import clean_many
from contract.text.escapes import num_with_escapes
from contract.text.profiles import PROFILES
from spark_jobs.counts.records import ReadBatch, ReadStatistics, count_read
from spark_jobs.filters import Filters, filter_records
from spark_jobs.input.fields import Fields
from spark_jobs.input.records.values import without_no_values

SPLIT: Final = "split"
RAW_TITLE: Final = "raw_title"

# One row is one input line, kept or rejected, on its way through the shuffle.
ROW_SCHEMA: Final = pa.schema(
    [
        pa.field(KEY, pa.binary(KEY_BYTES), nullable=False),  # of the cleaned text; of (source, offset) if rejected
        pa.field(UID, pa.string()),  # null where it could not be read
        pa.field(SOURCE, pa.int32(), nullable=False),  # index in the sorted list of inputs
        pa.field(OFFSET, pa.int64(), nullable=False),
        pa.field(REASON, pa.int8(), nullable=False),  # REASON_CODE, or KEPT
        pa.field(SPLIT, pa.int8(), nullable=False),  # index in SPLITS
        pa.field(TITLE, pa.string(), nullable=False),  # cleaned
        pa.field(CONTENT, pa.string(), nullable=False),  # cleaned; empty if rejected
        pa.field(RAW_TITLE, pa.string()),  # as it was read; null where cleaning changed nothing
        pa.field(RAW, pa.binary()),  # start of a line that could not be parsed
    ]
)


@dataclass(frozen=True)
class CleaningRules:
    """The settings by which a line is cleaned, kept or rejected, and given a split."""

    text_profile: str
    val_share: float
    test_share: float
    seed: int
    filters: Filters = field(default_factory=Filters)
    sample_one_in: int = 1  # characters are counted in one record of this many
    is_compiled: bool = True  # by compiled code where there is some: to load it takes as long as 200,000 lines save


def rows_of_fields(fields: Fields, *, source: int, rules: CleaningRules) -> tuple[pa.RecordBatch, ReadStatistics]:
    """One row of ROW_SCHEMA for each line, in order, and their statistics for the data card.

    About 10 us a line of 800 bytes, half of it cleaning.
    """
    fields = _noted(fields)
    clean = clean_many if rules.is_compiled else clean_array
    cleaned = clean(pa.concat_arrays([fields.titles, fields.contents]), PROFILES[rules.text_profile])
    titles, contents = cleaned[: len(fields.titles)], cleaned[len(fields.titles) :]
    reasons = _judge(fields.reasons, titles=titles, contents=contents)
    reasons = filter_records(titles, contents, reasons=reasons, filters=rules.filters)
    is_kept = reasons == KEPT
    mask = pa.array(is_kept)

    kept_titles = titles.filter(mask)
    kept_keys = record_keys(kept_titles, contents.filter(mask))
    keys = _all_keys(kept_keys, is_kept, source=source, offsets=fields.offsets)
    uids = _all_uids(fields.uids, kept_keys, mask)
    splits = np.zeros(len(reasons), np.int8)
    splits[is_kept] = splits_of(kept_titles, val_share=rules.val_share, test_share=rules.test_share, seed=rules.seed)
    rows = pa.RecordBatch.from_arrays(
        [
            keys,
            uids,
            pa.array(np.full(len(reasons), source, np.int32)),
            pa.array(fields.offsets, pa.int64()),
            pa.array(reasons),
            pa.array(splits),
            titles,
            pc.if_else(mask, contents, ""),
            pc.if_else(pc.equal(fields.titles, titles), None, fields.titles),
            fields.raws,
        ],
        schema=ROW_SCHEMA,
    )
    batch = ReadBatch(
        raw_titles=fields.titles,
        raw_contents=fields.contents,
        titles=titles,
        contents=contents,
        keys=keys,
        uids=uids,
        offsets=fields.offsets,
        is_kept=is_kept,
        source=source,
        num_unreadable=int(np.count_nonzero(fields.reasons != KEPT)),
        notes=fields.notes,
    )
    return rows, count_read(batch, one_in=rules.sample_one_in)


def _noted(fields: Fields) -> Fields:
    """The fields with nothing where they hold only a word for nothing; the notes say how many did, or hold escapes."""
    titles, num_titles = without_no_values(fields.titles)
    contents, num_contents = without_no_values(fields.contents)
    uids, num_uids = without_no_values(fields.uids)
    num_escaped = num_with_escapes(fields.titles) + num_with_escapes(fields.contents)
    found = {"no_value": num_titles + num_contents, "unusable_id": num_uids, "escapes": num_escaped}
    return fields._replace(
        uids=uids,
        titles=pc.fill_null(titles, "") if num_titles else titles,
        contents=pc.fill_null(contents, "") if num_contents else contents,
        notes=Counter(fields.notes) + Counter(found),
    )


def _judge(reasons: np.ndarray, *, titles: pa.StringArray, contents: pa.StringArray) -> np.ndarray:
    is_read = reasons == KEPT
    has_title = pc.not_equal(titles, "").to_numpy(zero_copy_only=False)
    has_content = pc.not_equal(contents, "").to_numpy(zero_copy_only=False)
    judged = np.select(
        [~is_read, ~has_title, ~has_content],
        [reasons, REASON_CODE["no_title"], REASON_CODE["no_content"]],
        default=KEPT,
    )
    return judged.astype(np.int8)


def _all_keys(keys: list[bytes], is_kept: np.ndarray, *, source: int, offsets: np.ndarray) -> pa.FixedSizeBinaryArray:
    """Keys of all rows: of kept rows as given, of rejected rows by source and offset."""
    words = np.empty((len(is_kept), 2), ">u8")
    words[is_kept] = np.frombuffer(b"".join(keys), ">u8").reshape(-1, 2)
    words[~is_kept] = offset_keys(offsets[~is_kept], source=source)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY_BYTES), len(words), [None, pa.py_buffer(words.tobytes())])


def _all_uids(uids: pa.StringArray, keys: list[bytes], is_kept: pa.BooleanArray) -> pa.StringArray:
    """The uids of all rows: null where there is none, but a kept row without one gets its key in hex."""
    uids = pc.if_else(pc.equal(uids, ""), None, uids)
    is_made = pc.and_(is_kept, pc.is_null(uids))
    if not pc.any(is_made).as_py():
        return uids
    made = pa.array([key.hex() for key in keys], pa.string()).filter(is_made.filter(is_kept))
    return pc.replace_with_mask(uids, is_made, made)
