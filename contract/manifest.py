"""The manifest: what a data set holds. It is written last, in one step, and readers follow nothing else."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeVar

from contract import storage
from contract.columns import REJECTED, SHARD_SCHEMA, SPLITS
from contract.errors import UserError
from contract.names import MANIFEST_NAME

FORMAT: Final = "vitrine/1"

Entry = TypeVar("Entry", "Source", "Shard")


@dataclass(frozen=True)
class Source:
    """One input file, as it was when it was read."""

    path: str
    bytes: int
    modified: str  # time stamp or entity tag, whichever the storage has


@dataclass(frozen=True)
class Shard:
    """One Parquet file; its path is relative to the manifest's folder and holds the start of its sha256."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Rows:
    """Where every input line went."""

    input: int  # "in" in the file: a keyword here
    kept: int
    rejected: Mapping[str, int]  # by reason


@dataclass(frozen=True)
class Manifest:
    """A published data set. `splits` are what may be learnt or evaluated; `rejected` lists the lines that may not."""

    source: tuple[Source, ...]
    text_profile: str
    config: Mapping[str, Any]
    rows: Rows
    splits: Mapping[str, tuple[Shard, ...]]
    rejected: tuple[Shard, ...]
    created_at: str
    format: str = FORMAT
    schema: Mapping[str, str] = field(
        default_factory=lambda: {column.name: str(column.type) for column in SHARD_SCHEMA}
    )

    @property
    def dataset_id(self) -> str:
        """A hash over the shards' hashes: equal for equal records, order, shard size and split."""
        digest = hashlib.sha256(self.format.encode())
        for split in SPLITS:
            for shard in self.splits[split]:
                digest.update(f"\n{split} {shard.rows} {shard.sha256}".encode())
        return digest.hexdigest()[:32]

    def num_rows(self, split: str) -> int:
        """Records of a split; UserError with the known names where there is no such split."""
        if split not in self.splits:
            raise UserError(f"no split {split!r} in this data set; it has {', '.join(self.splits)}")
        return sum(shard.rows for shard in self.splits[split])

    def files(self) -> Iterator[str]:
        """Every file of the data set, the manifest included."""
        yield MANIFEST_NAME
        for shards in (*self.splits.values(), self.rejected):
            yield from (shard.path for shard in shards)

    def check(self) -> None:
        """Raises UserError with every law of conservation that the numbers break."""
        if broken := self.broken_sums():
            raise UserError("the manifest does not add up: " + "; ".join(broken))

    def broken_sums(self) -> list[str]:
        """Every law of conservation that the numbers break, in words."""
        rejected = sum(self.rows.rejected.values())
        sums = {split: self.num_rows(split) for split in self.splits}
        broken = []
        if self.rows.input != self.rows.kept + rejected:
            broken.append(f"{self.rows.input} rows in, but {self.rows.kept} kept + {rejected} rejected")
        if self.rows.kept != sum(sums.values()):
            broken.append(f"{self.rows.kept} rows kept, but the splits hold {sums}")
        if rejected != sum(shard.rows for shard in self.rejected):
            broken.append(f"{rejected} rows rejected, but {REJECTED}/ holds {sum(s.rows for s in self.rejected)}")
        if self.format != FORMAT:
            broken.append(f"format is {self.format!r}, this version reads {FORMAT!r}")
        return broken


def to_json(manifest: Manifest) -> str:
    """The text of manifest.json."""
    reasons = dict(manifest.rows.rejected)
    splits = {
        name: {"rows": manifest.num_rows(name), "shards": [asdict(shard) for shard in shards]}
        for name, shards in manifest.splits.items()
    }
    document = {
        "format": manifest.format,
        "dataset_id": manifest.dataset_id,
        "created_at": manifest.created_at,
        "source": [asdict(source) for source in manifest.source],
        "text_profile": manifest.text_profile,
        "config": dict(manifest.config),
        "schema": dict(manifest.schema),
        "rows": {"in": manifest.rows.input, "kept": manifest.rows.kept, "rejected": reasons},
        "splits": splits,
        REJECTED: {"rows": sum(reasons.values()), "shards": [asdict(shard) for shard in manifest.rejected]},
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str | bytes) -> Manifest:
    """The manifest in this text, checked; UserError where it is not one or does not add up."""
    manifest, problems = parse_json(text)
    if problems:
        raise UserError("the manifest does not add up: " + "; ".join(problems))
    return manifest


def parse_json(text: str | bytes) -> tuple[Manifest, list[str]]:
    """The manifest in this text and what does not add up in it, in words; UserError where it is no manifest."""
    try:
        document = json.loads(text)
        manifest = Manifest(
            source=tuple(_entry(Source, source) for source in document["source"]),
            text_profile=str(document["text_profile"]),
            config=dict(document["config"]),
            rows=_rows(document["rows"]),
            splits={
                name: tuple(_entry(Shard, shard) for shard in split["shards"])
                for name, split in document["splits"].items()
            },
            rejected=tuple(_entry(Shard, shard) for shard in document[REJECTED]["shards"]),
            created_at=str(document["created_at"]),
            format=str(document["format"]),
            schema=dict(document["schema"]),
        )
        problems = manifest.broken_sums() + _broken_statements(manifest, document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"not a manifest of {FORMAT}: {error!r}") from error
    return manifest, problems


def _rows(values: Mapping[str, Any]) -> Rows:
    rows = Rows(values["in"], values["kept"], dict(values["rejected"]))
    for count in (rows.input, rows.kept, *rows.rejected.values()):
        if type(count) is not int or count < 0:
            raise ValueError(f"{count!r} rows")
    return rows


def _entry(cls: type[Entry], values: Mapping[str, Any]) -> Entry:
    """A record of JSON's values; TypeError or ValueError where they are not of its types."""
    entry = cls(**values)
    for column in fields(entry):
        value = getattr(entry, column.name)
        if type(value) is not column.type or (column.type is int and value < 0):
            raise ValueError(f"{column.name} = {value!r} of a {cls.__name__.lower()}")
    return entry


def _broken_statements(manifest: Manifest, document: Mapping[str, Any]) -> list[str]:
    """What the text says of its parts that the parts do not."""
    sums = {name: manifest.num_rows(name) for name in manifest.splits}
    sums[REJECTED] = sum(shard.rows for shard in manifest.rejected)
    stated = {name: document["splits"][name]["rows"] for name in manifest.splits}
    stated[REJECTED] = document[REJECTED]["rows"]
    broken = [
        f"{name} is said to hold {stated[name]} rows, its shards {sums[name]}"
        for name in sums
        if stated[name] != sums[name]
    ]
    if document["dataset_id"] != manifest.dataset_id:
        broken.append(f"dataset_id is {document['dataset_id']}, but its shards give {manifest.dataset_id}")
    return broken


def read_manifest(root: str) -> Manifest:
    """The manifest of the data set in this folder; UserError where there is none."""
    return _parse(read_text(root), root)


def _parse(text: bytes, root: str) -> Manifest:
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
        if storage.is_missing_bucket(error):
            raise UserError(f"cannot read {url}: {storage.reason_of(error, url)}") from error
        raise UserError(
            f"no {MANIFEST_NAME} in {root}: there is no finished data set; make one with"
            f" 'vitrine prepare --input CATALOGUE --output {root}'"
        ) from error
    except storage.read_errors() as error:
        raise UserError(f"cannot read {url}: {storage.reason_of(error, url)}") from error


def find_manifest(root: str) -> Manifest | None:
    """The manifest of the data set in this folder, or None where there is none."""
    try:
        text = storage.read_bytes(storage.join(root, MANIFEST_NAME))
    except FileNotFoundError:
        return None
    return _parse(text, root)


def version_of_manifest(root: str) -> str | None:
    """For `publish`: what must stand there then. None where the store cannot tell, or there is none."""
    return storage.version_of(storage.join(root, MANIFEST_NAME))


def publish(root: str, manifest: Manifest, *, replace: bool, version: str | None = None) -> None:
    """Makes the data set visible, in one atomic step.

    FileExistsError if another was faster: without `replace` where there is one, with `version` where it is not that.
    """
    manifest.check()
    path = storage.join(root, MANIFEST_NAME)
    storage.write_bytes(path, to_json(manifest).encode(), replace=replace, version=version)
