"""A file that is not as the contract says is told by name."""

import dataclasses
import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.columns import REJECTED, REJECTED_SCHEMA, SHARD_SCHEMA
from contract.manifest import Manifest, publish, read_manifest
from contract.names import shard_path
from contract.shard import FilePart, Shard, digest_of
from contract.verify.data_set import verify
from tests.contract.data_sets import DataSet, broken, edit_manifest


@settings(deadline=None, max_examples=40)
@given(place=st.randoms(use_true_random=False))
def test_any_changed_byte_of_any_file_is_found_and_its_file_named(small: Path, place: random.Random) -> None:
    path = place.choice(sorted(small.rglob("*.parquet")))
    whole = path.read_bytes()
    at = place.randrange(len(whole))
    try:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ place.randrange(1, 256)]) + whole[at + 1 :])
        report = verify(str(small))
    finally:
        path.write_bytes(whole)

    assert [(example.law, example.where) for example in report.findings.examples] == [
        ("file", str(path.relative_to(small)))
    ]


_NULLABLE = pa.schema([column.with_nullable(True) for column in SHARD_SCHEMA])
_MORE = SHARD_SCHEMA.append(pa.field("more", pa.string()))


@pytest.mark.parametrize(
    ("split", "schema"),
    [
        ("train", _NULLABLE),
        ("val", _MORE),
        ("val", SHARD_SCHEMA.remove(0)),
        ("test", pa.schema(reversed(SHARD_SCHEMA))),
        ("test", SHARD_SCHEMA.set(3, pa.field("key", pa.binary(16), nullable=False))),
        (REJECTED, REJECTED_SCHEMA.set(2, pa.field("offset", pa.int32(), nullable=False))),
        (REJECTED, REJECTED_SCHEMA.set(0, pa.field("reason", pa.string()))),
    ],
)
def test_other_columns_are_named(split: str, schema: pa.Schema, data: DataSet, tmp_path: Path) -> None:
    data.schemas[split] = schema
    data.write(str(tmp_path))
    report = verify(str(tmp_path))

    assert broken(report) == {"schema"}
    assert {example.where.partition("/")[0] for example in report.findings.examples} == {split}


@pytest.mark.parametrize(
    "options",
    [{"row_group_size": 1_999}, {"row_group_size": 2_001}, {"compression": "snappy"}],
)
def test_another_layout_is_named(options: dict[str, Any], data: DataSet, tmp_path: Path) -> None:
    data.options |= options
    data.write(str(tmp_path))

    assert broken(verify(str(tmp_path))) == {"layout"}


def _replace(
    root: Path, manifest: Manifest, *, split: str, number: int, data: bytes, parts: Sequence[FilePart]
) -> None:
    """Puts other bytes in place of a shard, and what the manifest says of them."""
    old = manifest.splits[split][number]
    (root / old.path).unlink()
    sha256 = hashlib.sha256(data).hexdigest()
    path = shard_path(split, number=number, sha256=sha256)
    (root / path).write_bytes(data)
    *row_groups, footer = parts
    new = Shard(path, old.rows, len(data), sha256, footer, tuple(row_groups))
    shards = list(manifest.splits[split])
    shards[number] = new
    publish(str(root), dataclasses.replace(manifest, splits=manifest.splits | {split: tuple(shards)}), replace=True)


@pytest.mark.parametrize("at", [0, 500, 20_000, -1])
def test_a_damaged_page_is_found_though_all_that_is_said_of_its_file_is_right(root: Path, at: int) -> None:
    manifest = read_manifest(str(root))
    shard = manifest.splits["train"][1]
    data = bytearray((root / shard.path).read_bytes())
    data[at] ^= 64
    parts = [FilePart(part.offset, part.length, digest_of(data[part.offset : part.stop])) for part in shard.parts]
    _replace(root, manifest, split="train", number=1, data=bytes(data), parts=parts)

    assert broken(verify(str(root))) == {"readable"}


def test_a_file_of_something_else_is_found(root: Path) -> None:
    data = b"not Parquet at all"
    parts = [FilePart(0, len(data), digest_of(data))]
    _replace(root, read_manifest(str(root)), split="train", number=2, data=data, parts=parts)

    assert broken(verify(str(root))) == {"readable"}


def _shift(parts: list[dict[str, Any]]) -> None:
    parts[0]["length"] -= 1
    parts[1]["offset"] -= 1
    parts[1]["length"] += 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda parts: parts[0].update(digest=parts[1]["digest"]),
        lambda parts: parts[-1].update(digest="0" * 32),
        _shift,
        lambda parts: parts.insert(1, {"offset": parts[1]["offset"], "length": 0, "digest": digest_of(b"")}),
    ],
    ids=["a row group", "the footer", "another boundary", "a part too many"],
)
def test_a_part_that_is_described_wrongly_is_found(root: Path, edit: Callable[[list[dict[str, Any]]], object]) -> None:
    def edit_parts(document: dict[str, Any]) -> None:
        shard = document["splits"]["train"]["shards"][1]
        parts = [*shard["row_groups"], shard["footer"]]
        edit(parts)
        shard.update(row_groups=parts[:-1], footer=parts[-1])

    edit_manifest(root, edit_parts)
    assert broken(verify(str(root))) == {"digests"}


@pytest.mark.parametrize("damage", ["missing", "cut off", "longer", "empty", "a folder"])
def test_a_file_that_is_not_the_one_named_is_found(root: Path, damage: str) -> None:
    path = root / read_manifest(str(root)).splits["train"][1].path
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"cut off": whole[:-1], "longer": whole + b"\0", "empty": b""}[damage])
    report = verify(str(root))

    assert [(example.law, example.where) for example in report.findings.examples] == [
        ("file", str(path.relative_to(root)))
    ]


@pytest.mark.parametrize("name", ["part-00009-{hash}", "part-00000-00000000", "part-0-{hash}", "shard-00000-{hash}"])
def test_a_name_that_does_not_tell_number_and_hash_is_found(root: Path, name: str) -> None:
    shard = read_manifest(str(root)).splits["val"][0]
    renamed = f"val/{name.format(hash=shard.sha256[:8])}.parquet"
    (root / shard.path).rename(root / renamed)
    edit_manifest(root, lambda document: document["splits"]["val"]["shards"][0].update(path=renamed))

    assert broken(verify(str(root))) == {"name"}


def test_no_file_outside_the_folder_is_opened(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.parquet"
    shard = read_manifest(str(root)).splits["val"][0]
    (root / shard.path).rename(outside)
    for path in (str(outside), f"../{outside.parent.name}/x.parquet"):
        edit_manifest(root, lambda document, path=path: document["splits"]["val"]["shards"][0].update(path=path))
        report = verify(str(root))
        assert broken(report) == {"name", "file"}
        assert "no such file" in {example.found for example in report.findings.examples}
