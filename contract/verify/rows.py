"""The laws of rows: of records in shards and of rejected lines. A batch at a time, in the order of the file."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import CONTENT, KEY, OFFSET, RAW, RAW_PREFIX_BYTES, REASON, SOURCE, SPLITS, TITLE, UID
from contract.keys import offset_keys, record_keys
from contract.reasons import REASON_NAMES, REASONS
from contract.text.clean import clean_array
from contract.text.profiles import JOINERS, Profile
from contract.verify.findings import Findings, quote

_NOT_PARSED: Final = tuple(name for name, reason in REASONS.items() if not reason.is_parsed)
_DUPLICATES: Final = tuple(name for name, reason in REASONS.items() if reason.is_duplicate)
_WITHOUT_RECORD: Final = tuple(name for name in REASONS if name not in _DUPLICATES)


@dataclass(frozen=True, kw_only=True)
class VerifyRules:
    """How the manifest says that its records were made; None where it does not say it."""

    profile: Profile | None
    splits_of: Callable[[pa.StringArray], np.ndarray] | None  # of cleaned titles, as positions in SPLITS
    sources: tuple[str, ...]


@dataclass
class Checked:
    """What one file holds, as far as it has been read."""

    path: str
    starts: tuple[int, ...] = ()  # rows of this file at which a run begins within which keys ascend; may lie outside it
    findings: Findings = field(default_factory=Findings)
    is_read: bool = False  # to its end
    num_rows: int = 0
    first_key: bytes | None = None
    last_key: bytes | None = None
    first_run: int = 0  # of the row with the first key
    last_run: int = 0
    appended_keys: list[bytes] = field(default_factory=list)  # of all records but those of the first run
    reasons: Counter[str] = field(default_factory=Counter)  # of rejected lines

    def runs(self, rows: np.ndarray) -> np.ndarray:
        """The number of the run to which each of these rows of the present batch belongs: one more after each start."""
        return np.searchsorted(self.starts, rows + self.num_rows, side="right")

    def report(
        self,
        law: str,
        broken: pa.BooleanArray,
        describe: Callable[[int], tuple[object, object]],
        *,
        rows: np.ndarray | None = None,
    ) -> None:
        """Adds rows of the present batch: `broken` says of each, or of each in `rows`, whether it breaks the law.

        `describe` gets a position in `broken` and returns (found, expected).
        """
        positions = np.flatnonzero(broken.fill_null(False))
        numbers = positions if rows is None else rows[positions]
        self.findings.add_rows(
            law, self.path, (numbers + self.num_rows).tolist(), describe=lambda nth: describe(int(positions[nth]))
        )


def check_records(batch: pa.RecordBatch, *, section: str, rules: VerifyRules, checked: Checked) -> None:
    """The laws of records: uid, texts, key, order, split. Some 15 us a record of 600 characters."""
    titles, contents, keys = (batch[name] for name in (TITLE, CONTENT, KEY))
    checked.report("uid", pc.equal(batch[UID], ""), lambda _: ("an empty uid", "a uid"))
    if rules.profile:
        for name in (TITLE, CONTENT):
            _check_texts(batch[name], name, profile=rules.profile, checked=checked)

    expected = pa.array(record_keys(titles, contents), keys.type)
    checked.report(
        "key",
        pc.not_equal(keys, expected),
        lambda row: (quote(keys[row].as_py()), f"{quote(expected[row].as_py())} of its title and content"),
    )
    runs = _check_order(keys, "order", checked=checked)
    checked.appended_keys += keys.filter(pa.array(runs > 0)).to_pylist()
    if rules.splits_of:
        splits = np.array(SPLITS)[rules.splits_of(titles)]
        checked.report(
            "split",
            pa.array(splits != section),
            lambda row: (f"{quote(titles[row].as_py())} in {section}", splits[row]),
        )


def _check_texts(texts: pa.StringArray, name: str, *, profile: Profile, checked: Checked) -> None:
    """Two checks that share no code: a regex finds forbidden characters, cleaning again finds unclean texts."""
    outside = _is_outside(texts, profile)
    checked.report(
        "alphabet",
        outside,
        lambda row: (
            f"a {name} {_forbidden_in(texts[row].as_py(), profile)}",
            f"letters, marks, numbers, {profile.keep!r}, joiners within words, single blanks between them",
        ),
    )
    cleaned = clean_array(texts, profile)
    checked.report(
        "clean",
        pc.and_not(pc.not_equal(texts, cleaned), outside),
        lambda row: (f"{name} {quote(texts[row].as_py())}", quote(cleaned[row].as_py())),
    )


def _is_outside(texts: pa.StringArray, profile: Profile) -> pa.BooleanArray:
    """Which texts are empty or hold what they must not. The batch is tested as a whole first: ten times faster."""
    is_outside = pc.or_(pc.equal(texts, ""), pc.or_(pc.starts_with(texts, " "), pc.ends_with(texts, " ")))
    data = b"" if texts.buffers()[2] is None else texts.buffers()[2].to_pybytes()
    others = set(data.translate(None, _ascii_kept(profile)).decode(errors="replace"))
    is_suspect = pc.match_substring_regex(pa.array(sorted(others), pa.string()), _forbidden(profile))
    if b"  " in data or pc.any(is_suspect).as_py():
        return pc.or_(is_outside, pc.match_substring_regex(texts, _forbidden(profile)))
    return is_outside


def _ascii_kept(profile: Profile) -> bytes:
    return bytes(code for code in range(128) if chr(code).isalnum() or chr(code) in profile.keep or chr(code) == " ")


@cache
def _forbidden(profile: Profile) -> str:
    """A regex (RE2) that finds whatever no text of this profile may hold."""
    return rf"[^\p{{L}}\p{{M}}\p{{N}} {JOINERS}{re.escape(profile.keep)}]|^ | $|  "


def _forbidden_in(text: str, profile: Profile) -> str:
    if not text:
        return "which is empty"
    match = pc.extract_regex(text, f"(?P<found>{_forbidden(profile)})").as_py()
    return f"with {quote(match['found'])}: {quote(text)}"


def _check_order(keys: pa.BinaryArray, law: str, *, checked: Checked, rows: np.ndarray | None = None) -> np.ndarray:
    """Strictly ascending keys in each run, over the batches of a file: equal ones are neighbours then.

    Returns the number of each key's run.
    """
    runs = checked.runs(np.arange(len(keys)) if rows is None else rows)
    if not len(keys):
        return runs
    before = pa.concat_arrays([pa.array([checked.last_key], keys.type), keys[:-1]])
    is_first = np.diff(runs, prepend=checked.last_run) > 0
    before = pc.if_else(pa.array(is_first), None, before)

    def describe(position: int) -> tuple[object, object]:
        return quote(keys[position].as_py()), f"more than {quote(before[position].as_py())} before it"

    checked.report("unique", pc.equal(keys, before), describe, rows=rows)
    checked.report(law, pc.less(keys, before), describe, rows=rows)
    if checked.first_key is None:
        checked.first_key, checked.first_run = keys[0].as_py(), int(runs[0])
    checked.last_key, checked.last_run = keys[-1].as_py(), int(runs[-1])
    return runs


def check_rejected(batch: pa.RecordBatch, *, rules: VerifyRules, checked: Checked) -> None:
    """The laws of rejected lines: reason, source and offset, what the reason refers to, order."""
    reasons, raw, titles = batch[REASON], batch[RAW], batch[TITLE]
    checked.reasons.update(reasons.to_pylist())
    is_parsed = pc.invert(_is_in(reasons, _NOT_PARSED))
    laws = [
        (pc.invert(_is_in(reasons, REASON_NAMES)), f"one of {', '.join(REASONS)}"),
        (pc.invert(_is_in(batch[SOURCE], rules.sources)), "a source that the manifest names"),
        (pc.less(batch[OFFSET], 0), "an offset in its source"),
        (pc.and_(is_parsed, raw.is_valid()), "no raw bytes of a line that was parsed"),
        (pc.and_not(raw.is_null(), is_parsed), "the start of a line that was not parsed"),
        (pc.greater(pc.binary_length(raw), RAW_PREFIX_BYTES), f"at most {RAW_PREFIX_BYTES} raw bytes"),
        (
            pc.and_not(pc.or_(batch[UID].is_valid(), titles.is_valid()), is_parsed),
            "no uid and no title of a line that was not parsed",
        ),
        (pc.and_(_is_in(reasons, _DUPLICATES), batch[UID].is_null()), "the uid of a duplicate"),
    ]
    if rules.profile:
        has_title = pc.not_equal(clean_array(titles, rules.profile), "")
        needs_title = pc.not_equal(reasons, "no_title")
        laws.append((pc.and_(is_parsed, pc.xor(has_title, needs_title)), "a title, unless the reason is no_title"))
    for broken, expected in laws:
        checked.report("rejected", broken, partial(_describe_rejected, batch, expected))
    _check_rejected_order(batch, rules=rules, checked=checked)


def _is_in(values: pa.StringArray, known: tuple[str, ...]) -> pa.BooleanArray:
    return pc.is_in(values, value_set=pa.array(known, values.type))


def _describe_rejected(batch: pa.RecordBatch, expected: str, row: int) -> tuple[object, object]:
    values = {name: batch[name][row].as_py() for name in batch.schema.names}
    texts = (f"{name} {quote(values[name])}" for name in (SOURCE, UID, TITLE, RAW))
    return f"{quote(values[REASON])}, offset {values[OFFSET]}, {', '.join(texts)}", expected


def _check_rejected_order(batch: pa.RecordBatch, *, rules: VerifyRules, checked: Checked) -> None:
    """Rejected lines lie in the order of their keys.

    A line without a record has the key of its source and offset, and is checked. A duplicate has the key of its texts,
    which cannot be computed here: only its title is stored, uncleaned.
    """
    sources = pc.index_in(batch[SOURCE], value_set=pa.array(rules.sources, pa.string()))
    has_offset_key = pc.and_(sources.is_valid(), _is_in(batch[REASON], _WITHOUT_RECORD))
    rows = np.flatnonzero(has_offset_key)
    words = offset_keys(batch[OFFSET].to_numpy()[rows], source=sources.fill_null(0).to_numpy()[rows])
    keys = pa.array([word.tobytes() for word in words], pa.binary())
    _check_order(keys, "rejected order", rows=rows, checked=checked)
