"""Lines become rows: parsed, cleaned, judged, keyed. Pure functions on Arrow, no Spark."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import CONTENT, KEY, KEY_BYTES, RAW_PREFIX_BYTES, REASONS, SPLITS, TITLE, UID
from contract.keys import record_key, split_of
from contract.text import PROFILES, clean_array, replace_lone_surrogates
from spark_jobs.lines import Lines

KEPT: Final = -1  # in place of a reason
REASON_CODE: Final = {reason: code for code, reason in enumerate(REASONS)}

# One row is one input line, kept or rejected, on its way through the shuffle.
ROW_SCHEMA: Final = pa.schema(
    [
        pa.field(KEY, pa.binary(KEY_BYTES), nullable=False),  # of the cleaned text; of (source, offset) if rejected
        pa.field(UID, pa.string()),  # null where it could not be read
        pa.field("source", pa.int32(), nullable=False),  # position in the sorted list of inputs
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("reason", pa.int8(), nullable=False),  # position in REASONS, or KEPT
        pa.field("split", pa.int8(), nullable=False),  # position in SPLITS
        pa.field(TITLE, pa.string(), nullable=False),  # cleaned
        pa.field(CONTENT, pa.string(), nullable=False),  # cleaned; empty if rejected
        pa.field("raw_title", pa.string()),  # as it was read; null where cleaning changed nothing
        pa.field("raw", pa.binary()),  # start of a line that could not be parsed
    ]
)

_BOM: Final = b"\xef\xbb\xbf"


class Product(msgspec.Struct):
    """The fields of a line that are used; all others are skipped unread."""

    uid: str | None = None
    title: str | None = None
    content: str | None = None


class Unreadable(NamedTuple):
    """A line that holds no product."""

    reason: str


@dataclass(frozen=True)
class Rules:
    """The settings that decide what becomes of a line."""

    text_profile: str
    val_share: float
    test_share: float
    seed: int


def rows_of_lines(lines: Lines, *, source: int, rules: Rules) -> pa.RecordBatch:
    """One row of ROW_SCHEMA for each line, in order. About 15 us a line of 800 bytes, most of it cleaning."""
    products, reasons = _parse(lines)
    profile = PROFILES[rules.text_profile]
    raw_titles = pa.array([product.title or "" for product in products], pa.string())
    titles = clean_array(raw_titles, profile)
    contents = clean_array(pa.array([product.content or "" for product in products], pa.string()), profile)

    reasons = _judge(reasons, titles=titles, contents=contents)
    is_kept = reasons == KEPT
    contents = pc.if_else(pa.array(is_kept), contents, "")
    keys, splits = _keys(titles, contents, is_kept=is_kept, source=source, offsets=lines.offsets, rules=rules)
    uids = [
        product.uid or (key.hex() if kept else None)
        for product, key, kept in zip(products, keys, is_kept.tolist(), strict=True)
    ]
    is_parsed = reasons > REASON_CODE["not_a_record"]
    raws = [
        None if parsed else line[:RAW_PREFIX_BYTES]
        for parsed, line in zip((is_kept | is_parsed).tolist(), lines.lines, strict=True)
    ]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(keys, pa.binary(KEY_BYTES)),
            pa.array(uids, pa.string()),
            pa.array(np.full(len(keys), source, np.int32)),
            pa.array(lines.offsets, pa.int64()),
            pa.array(reasons),
            splits,
            titles,
            contents,
            pc.if_else(pc.equal(raw_titles, titles), None, raw_titles),
            pa.array(raws, pa.binary()),
        ],
        schema=ROW_SCHEMA,
    )


def _parse(lines: Lines) -> tuple[list[Product], np.ndarray]:
    """A product for each line, an empty one where there is none, and the reason for that."""
    texts = lines.lines
    if lines.offsets[:1] == [0]:
        texts = [texts[0].removeprefix(_BOM), *texts[1:]]
    decode = msgspec.json.Decoder(Product).decode
    reasons = np.full(len(texts), KEPT, np.int8)
    reasons[lines.too_long] = REASON_CODE["too_long"]
    if not lines.too_long and all(map(bytes.isascii, texts)):
        try:
            return [decode(text) for text in texts], reasons
        except (msgspec.DecodeError, RecursionError):
            pass  # one line or more is not as it should be: find out which

    products = []
    too_long = set(lines.too_long)
    for position, text in enumerate(texts):
        product = Product() if position in too_long else _parse_line(text, decode)
        if isinstance(product, Unreadable):
            reasons[position] = REASON_CODE[product.reason]
            product = Product()
        products.append(product)
    return products, reasons


def _parse_line(text: bytes, decode: Any) -> Product | Unreadable:
    """`decode` is msgspec's, which skips fields that are not used, so it does not see that they are not UTF-8."""
    try:
        text.decode()
        return decode(text)
    except UnicodeDecodeError:
        return Unreadable("not_json")
    except (msgspec.DecodeError, RecursionError):
        return _parse_slowly(text)


def _parse_slowly(text: bytes) -> Product | Unreadable:
    r"""What the standard library makes of a line: it knows lone surrogates (`\ud800`), and whether the rest is JSON.

    A line nested deeper than Python's recursion limit (some 1,000 brackets), even in a field that is not used, counts
    as not_json, though it may be valid: neither parser can read it safely.
    """
    try:
        value = json.loads(text.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Unreadable("not_json")
    if not isinstance(value, dict):
        return Unreadable("not_a_record")
    fields = [value.get(name) for name in (UID, TITLE, CONTENT)]
    if not all(text is None or isinstance(text, str) for text in fields):
        return Unreadable("not_a_record")
    return Product(*(text and replace_lone_surrogates(text) for text in fields))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


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


def _keys(
    titles: pa.StringArray,
    contents: pa.StringArray,
    *,
    is_kept: np.ndarray,
    source: int,
    offsets: Sequence[int],
    rules: Rules,
) -> tuple[list[bytes], pa.Int8Array]:
    """Keys and splits. A rejected line's key is a hash of where it stands, so such lines spread over all buckets."""
    keys, splits = [], []
    for title, content, kept, offset in zip(
        titles.to_pylist(), contents.to_pylist(), is_kept.tolist(), offsets, strict=True
    ):
        if kept:
            keys.append(record_key(title, content))
            split = split_of(title, val_share=rules.val_share, test_share=rules.test_share, seed=rules.seed)
            splits.append(SPLITS.index(split))
        else:
            keys.append(blake2b(b"%d\n%d" % (source, offset), digest_size=KEY_BYTES).digest())
            splits.append(0)
    return keys, pa.array(splits, pa.int8())
