"""The manifest: what a data set holds. It is written last, in one step; readers open only the files that it names."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from contract import storage, store_errors
from contract.appends import Append, StatisticsFile, contradictions, starts_of
from contract.columns import REJECTED, SHARD_SCHEMA, SPLITS
from contract.errors import UserError
from contract.names import MANIFEST_NAME
from contract.shard import Count, Shard

FORMAT: Final = "vitrine/2"
_ID_PREFIX: Final = b"vitrine/1"  # the format in which ids were introduced: equal shards keep their id in later formats
_FIRST_LINE: Final = re.compile(rb'\{"sha256": "([0-9a-f]{64})",')
_OLDER_FORMAT: Final = re.compile(rb'^\{\s*"format": "(vitrine/1)"')


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input file, as it was when it was read."""

    path: str
    bytes: Count
    modified: str  # time stamp or entity tag, whichever the storage has


class RowCounts(msgspec.Struct, frozen=True):
    """What became of the input lines."""

    input: Count = msgspec.field(name="in")  # a keyword in Python
    kept: Count
    rejected: dict[str, Count]  # by reason


@dataclass(frozen=True)
class Manifest:
    """A published data set. `splits` hold the records; `rejected` lists the lines that did not become records."""

    source: tuple[Source, ...]
    text_profile: str
    config: Mapping[str, Any]
    rows: RowCounts
    splits: Mapping[str, tuple[Shard, ...]]
    rejected: tuple[Shard, ...]
    created_at: str
    format: str = FORMAT
    schema: Mapping[str, str] = field(
        default_factory=lambda: {column.name: str(column.type) for column in SHARD_SCHEMA}
    )
    appended: tuple[Append, ...] = ()  # in order; the last files of `source` are theirs
    statistics: StatisticsFile | None = None  # None in data sets of versions that did not write it

    @property
    def dataset_id(self) -> str:
        """A hash over the shards' hashes: equal for equal records, order, shard size and split."""
        digest = hashlib.sha256(_ID_PREFIX)
        for split in SPLITS:
            for shard in self.splits.get(split, ()):
                digest.update(f"\n{split} {shard.rows} {shard.sha256}".encode())
        return digest.hexdigest()[:32]

    def num_rows(self, split: str) -> int:
        """Records of a split; UserError with the known names where there is no such split."""
        if split not in self.splits:
            raise UserError(f"no split {split!r} in this data set; it has {', '.join(self.splits)}")
        return _num_rows(self.splits[split])

    def files(self) -> Iterator[str]:
        """Every file of the data set, the manifest included."""
        yield MANIFEST_NAME
        if self.statistics:
            yield self.statistics.path
        yield from (shard.path for shard in self.shards())

    def starts(self, section: str) -> tuple[int, ...]:
        """The numbers of the rows of a section at which appended ones begin; keys ascend between them."""
        shards = self.rejected if section == REJECTED else self.splits.get(section, ())
        return starts_of(self.appended, section, num_rows=_num_rows(shards))

    def shards(self) -> Iterator[Shard]:
        """Every shard of the splits and of the rejected lines."""
        for shards in (*self.splits.values(), self.rejected):
            yield from shards

    def check(self) -> None:
        """Raises UserError with every statement about rows and bytes that contradicts another."""
        _require_none(self.contradictions())

    def contradictions(self) -> list[str]:
        """Every statement about rows and bytes that contradicts another, in words."""
        rejected = sum(self.rows.rejected.values())
        sums = {split: _num_rows(shards) for split, shards in self.splits.items()}
        found = []
        if self.rows.input != self.rows.kept + rejected:
            found.append(f"{self.rows.input} rows in, but {self.rows.kept} kept + {rejected} rejected")
        if self.rows.kept != sum(sums.values()):
            found.append(f"{self.rows.kept} rows kept, but the splits hold {sums}")
        if rejected != _num_rows(self.rejected):
            found.append(f"{rejected} rows rejected, but {REJECTED}/ holds {_num_rows(self.rejected)}")
        found += [
            f"the row groups and the footer of {shard.path} do not cover its {shard.bytes} bytes one after the other"
            for shard in self.shards()
            if not shard.is_covered()
        ]
        rows = sums | {REJECTED: _num_rows(self.rejected)}
        return found + contradictions(self.appended, num_sources=len(self.source), num_lines=self.rows.input, rows=rows)


def _require_none(problems: list[str]) -> None:
    if problems:
        raise UserError("the manifest does not add up: " + "; ".join(problems))


def _num_rows(shards: tuple[Shard, ...]) -> int:
    return sum(shard.rows for shard in shards)


class _Section(msgspec.Struct, frozen=True):
    rows: Count
    shards: tuple[Shard, ...]


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """manifest.json without its first line. Fields with a default are left out where they hold nothing else."""

    format: str
    dataset_id: str
    created_at: str
    source: tuple[Source, ...]
    text_profile: str
    config: dict[str, Any]
    schema: dict[str, str]
    rows: RowCounts
    splits: dict[str, _Section]
    rejected: _Section
    appended: tuple[Append, ...] = ()
    statistics: StatisticsFile | None = None


def to_json(manifest: Manifest) -> bytes:
    """The text of manifest.json."""
    splits = {name: _Section(_num_rows(shards), shards) for name, shards in manifest.splits.items()}
    document = _Document(
        format=manifest.format,
        dataset_id=manifest.dataset_id,
        created_at=manifest.created_at,
        source=manifest.source,
        text_profile=manifest.text_profile,
        config=dict(manifest.config),
        schema=dict(manifest.schema),
        rows=manifest.rows,
        splits=splits,
        rejected=_Section(_num_rows(manifest.rejected), manifest.rejected),
        appended=manifest.appended,
        statistics=manifest.statistics,
    )
    return with_digest(msgspec.to_builtins(document))


def with_digest(document: Mapping[str, Any]) -> bytes:
    """JSON of an object with a field a line. The first line holds the sha256 of all bytes after that line.

    So a reader finds any changed byte of the text, white space included.
    """
    fields = (msgspec.json.encode(name) + b": " + msgspec.json.encode(value) for name, value in document.items())
    body = b",\n".join(fields) + b"}\n"
    return b'{"sha256": "%s",\n%s' % (hashlib.sha256(body).hexdigest().encode(), body)


def from_json(text: bytes) -> Manifest:
    """The manifest in this text, checked; UserError where the text is no manifest, is damaged or does not add up."""
    manifest, problems = parse_json(text)
    _require_none(problems)
    return manifest


def parse_json(text: bytes) -> tuple[Manifest, list[str]]:
    """The manifest in this text and every statement in it that contradicts another, in words.

    UserError where the text is no manifest of this format or is damaged.
    """
    _check_digest(text)
    try:
        document = msgspec.json.decode(text, type=_Document)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not a manifest of {FORMAT}: {error}") from error
    manifest = Manifest(
        source=document.source,
        text_profile=document.text_profile,
        config=document.config,
        rows=document.rows,
        splits={name: section.shards for name, section in document.splits.items()},
        rejected=document.rejected.shards,
        created_at=document.created_at,
        format=document.format,
        schema=document.schema,
        appended=document.appended,
        statistics=document.statistics,
    )
    return manifest, manifest.contradictions() + _wrong_statements(manifest, document)


def _check_digest(text: bytes) -> None:
    """UserError unless the first line holds the sha256 of the bytes after it."""
    first_line, _, body = text.partition(b"\n")
    stated, found = _FIRST_LINE.fullmatch(first_line), hashlib.sha256(body).hexdigest()
    if stated is None:
        older = _OLDER_FORMAT.search(text)
        reason = f"its format is {older[1].decode()}" if older else "its first line is not the sha256 of the others"
        raise UserError(f"not a manifest of {FORMAT}: {reason}; prepare the data set again, into another folder")
    if stated[1].decode() != found:
        raise UserError(
            f"the manifest is damaged: the sha256 of the lines after the first is {found[:16]}…, the first says"
            f" {stated[1].decode()[:16]}…; restore the file or prepare the data set again, into another folder"
        )


def _wrong_statements(manifest: Manifest, document: _Document) -> list[str]:
    """Statements of the text that its shards contradict, in words."""
    wrong = [
        f"{name} is said to hold {section.rows} rows, its shards {_num_rows(section.shards)}"
        for name, section in (*document.splits.items(), (REJECTED, document.rejected))
        if section.rows != _num_rows(section.shards)
    ]
    wrong += [f"there is no split {split!r}" for split in SPLITS if split not in document.splits]
    if document.dataset_id != manifest.dataset_id:
        wrong.append(f"dataset_id is {document.dataset_id}, but its shards give {manifest.dataset_id}")
    if document.format != FORMAT:
        wrong.append(f"format is {document.format!r}, this version reads {FORMAT!r}")
    return wrong


def read_manifest(root: str) -> Manifest:
    """The manifest of the data set in this folder; UserError where there is none."""
    return manifest_in(read_text(root), root=root)


def manifest_in(text: bytes, *, root: str) -> Manifest:
    """As `from_json`; the error names the file."""
    try:
        return from_json(text)
    except UserError as error:
        raise UserError(f"{storage.join(root, MANIFEST_NAME)}: {error}") from error


def read_text(root: str) -> bytes:
    """The text of manifest.json as it stands; UserError where there is none, or a store does not answer promptly."""
    url = storage.join(root, MANIFEST_NAME)
    try:
        return storage.read_bytes(url, open=storage.open_promptly)
    except FileNotFoundError as error:
        if store_errors.is_missing_bucket(error):
            raise UserError(f"cannot read {url}: {store_errors.reason_of(error, url)}") from error
        raise UserError(
            f"no {MANIFEST_NAME} in {root}: there is no finished data set; make one with"
            f" 'vitrine prepare --input CATALOGUE --output {root}'"
        ) from error
    except store_errors.read_errors() as error:
        if isinstance(error, NotADirectoryError):
            raise UserError(
                f"{root} is a file, expected a prepared data set: prepare it first, with"
                f" 'vitrine prepare --input {root} --output data'"
            ) from error
        raise UserError(f"cannot read {url}: {store_errors.reason_of(error, url)}") from error


def find_manifest(root: str) -> Manifest | None:
    """The manifest of the data set in this folder, or None where there is none."""
    try:
        text = storage.read_bytes(storage.join(root, MANIFEST_NAME))
    except FileNotFoundError:
        return None
    return manifest_in(text, root=root)


def version_of_manifest(root: str) -> str | None:
    """The version for `publish` to replace. None where the store cannot name it, or there is no manifest."""
    return storage.version_of(storage.join(root, MANIFEST_NAME))


def publish(root: str, manifest: Manifest, *, replace: bool, version: str | None = None) -> None:
    """Makes the data set visible, in one atomic step.

    FileExistsError if another was faster: without `replace` where there is one, with `version` where it is not that.
    """
    manifest.check()
    path = storage.join(root, MANIFEST_NAME)
    storage.write_bytes(path, to_json(manifest), replace=replace, version=version)
