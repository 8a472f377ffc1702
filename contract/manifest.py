"""The manifest: what a data set holds. It is written last, in one step, and readers follow nothing else."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from contract import storage
from contract.columns import REJECTED, SHARD_SCHEMA, SPLITS
from contract.errors import UserError

FORMAT: Final = "vitrine/1"
MANIFEST_NAME: Final = "manifest.json"


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
        if broken:
            raise UserError("the manifest does not add up: " + "; ".join(broken))


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


def from_json(text: str) -> Manifest:
    """The manifest in this text, checked; UserError where it is not one or does not add up."""
    try:
        document = json.loads(text)
        manifest = Manifest(
            source=tuple(Source(**source) for source in document["source"]),
            text_profile=document["text_profile"],
            config=document["config"],
            rows=Rows(document["rows"]["in"], document["rows"]["kept"], document["rows"]["rejected"]),
            splits={
                name: tuple(Shard(**shard) for shard in split["shards"]) for name, split in document["splits"].items()
            },
            rejected=tuple(Shard(**shard) for shard in document[REJECTED]["shards"]),
            created_at=document["created_at"],
            format=document["format"],
            schema=document["schema"],
        )
        manifest.check()
        stated = document["dataset_id"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"not a manifest of {FORMAT}: {error!r}") from error
    if stated != manifest.dataset_id:
        raise UserError(f"the manifest says dataset_id {stated}, but its shards give {manifest.dataset_id}")
    return manifest


def read_manifest(root: str) -> Manifest:
    """The manifest of the data set in this folder; UserError where there is none."""
    try:
        text = storage.read_bytes(storage.join(root, MANIFEST_NAME)).decode()
    except FileNotFoundError as error:
        raise UserError(
            f"no {MANIFEST_NAME} in {root}: there is no finished data set; make one with"
            f" 'vitrine prepare --input CATALOGUE --output {root}'"
        ) from error
    try:
        return from_json(text)
    except UserError as error:
        raise UserError(f"{storage.join(root, MANIFEST_NAME)}: {error}") from error


def find_manifest(root: str) -> Manifest | None:
    """The manifest of the data set in this folder, or None where there is none."""
    filesystem, path = storage.open_filesystem(storage.join(root, MANIFEST_NAME))
    filesystem.invalidate_cache()  # another process may have published since it was last listed
    return read_manifest(root) if filesystem.exists(path) else None


def publish(root: str, manifest: Manifest, *, replace: bool) -> None:
    """Makes the data set visible, in one atomic step. Without `replace`, FileExistsError if another was faster."""
    manifest.check()
    storage.write_bytes(storage.join(root, MANIFEST_NAME), to_json(manifest).encode(), replace=replace)
