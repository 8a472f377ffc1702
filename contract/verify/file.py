"""The laws of one file of a data set, read from end to end; a few thousand rows at a time are held in memory."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from itertools import zip_longest
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from contract import storage
from contract.columns import KEY, REJECTED, REJECTED_SCHEMA, ROW_GROUP_ROWS, SHARD_SCHEMA
from contract.errors import first_line
from contract.shard import Shard, parts_of
from contract.verify.findings import Discrepancy, quote
from contract.verify.rows import Checked, VerifyRules, check_records, check_rejected

_COMPRESSION: Final = "ZSTD"
_MAGIC: Final = b"PAR1"
_COPY_BYTES: Final = 2**20  # at a time


def check_file(root: str, shard: Shard, *, section: str, rules: VerifyRules, starts: tuple[int, ...] = ()) -> Checked:
    """What is wrong with one file. The rows of a file are read only if it has the size and sha256 of the manifest.

    `starts` are the rows, counted from the file's first one, at which appended rows begin.
    """
    checked = Checked(shard.path, starts)
    try:
        with _open(storage.join(root, shard.path)) as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
            if (digest, size) == (shard.sha256, shard.bytes):
                _check_parquet(file, shard, section=section, rules=rules, checked=checked)
            else:
                found = f"{size} bytes of sha256 {digest[:16]}…"
                expected = f"{shard.bytes} bytes of sha256 {shard.sha256[:16]}…"
                checked.findings.add([Discrepancy("file", shard.path, found, expected)])
    except OSError as error:
        found = quote(first_line(error))
        checked.findings.add([Discrepancy("file", shard.path, found, "a file that can be read")])
    return checked


def find_keys(root: str, shard: Shard, wanted: frozenset[bytes]) -> list[bytes]:
    """The keys in this file that are wanted, each as often as it occurs; only for files that were found sound."""
    with _open(storage.join(root, shard.path)) as file:
        parquet = pq.ParquetFile(file)
        batches = parquet.iter_batches(batch_size=ROW_GROUP_ROWS, columns=[KEY])
        return [key for batch in batches for key in batch[KEY].to_pylist() if key in wanted]


@contextmanager
def _open(url: str) -> Iterator[BufferedIOBase]:
    """A file on this machine's disk. A file that lies elsewhere is copied first, so that it travels once."""
    filesystem, path = storage.open_filesystem(url)
    if storage.is_local(filesystem):
        with open(path, "rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        with filesystem.open(path, "rb") as file:
            shutil.copyfileobj(file, copy, _COPY_BYTES)
        copy.seek(0)
        yield copy


def _check_parquet(file: BufferedIOBase, shard: Shard, *, section: str, rules: VerifyRules, checked: Checked) -> None:
    try:
        file.seek(0)
        if file.read(len(_MAGIC)) != _MAGIC:
            raise pa.ArrowInvalid("no Parquet magic bytes at the start")  # Arrow does not look at them, others do
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        checked.findings.add(_check_parts(file, shard))
        expected = REJECTED_SCHEMA if section == REJECTED else SHARD_SCHEMA
        if not parquet.schema_arrow.equals(expected):  # a column that is not nullable here cannot hold nulls in Parquet
            names = _columns_of(parquet.schema_arrow), _columns_of(expected)
            checked.findings.add([Discrepancy("schema", shard.path, *names)])
            return
        checked.findings.add(_check_layout(parquet.metadata, shard.path))
        for batch in parquet.iter_batches(batch_size=ROW_GROUP_ROWS):
            batch.validate(full=True)
            if section == REJECTED:
                check_rejected(batch, rules=rules, checked=checked)
            else:
                check_records(batch, section=section, rules=rules, checked=checked)
            checked.num_rows += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        found = f"{first_line(error)} (after row {checked.num_rows})"
        checked.findings.add([Discrepancy("readable", shard.path, found, "whole pages, and texts in UTF-8")])
        return
    checked.is_read = True
    if checked.num_rows != shard.rows:
        expected_rows = f"the {shard.rows} of the manifest"
        checked.findings.add([Discrepancy("shard rows", shard.path, f"{checked.num_rows} rows", expected_rows)])


def _columns_of(schema: pa.Schema) -> str:
    return ", ".join(f"{column.name} {column.type}{'?' if column.nullable else ''}" for column in schema)


def _check_parts(file: BufferedIOBase, shard: Shard) -> Iterator[Discrepancy]:
    """The parts that the manifest describes, which readers of single row groups rely on."""
    for number, (found, stated) in enumerate(zip_longest(parts_of(file), shard.parts)):
        if found != stated:
            yield Discrepancy("digests", f"{shard.path} part {number}", f"{found}", f"{stated}, as in the manifest")


def _check_layout(metadata: pq.FileMetaData, path: str) -> Iterator[Discrepancy]:
    """Full row groups, which readers stream by, and zstd."""
    last = metadata.num_row_groups - 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        where = f"{path} row group {number}"
        if not (group.num_rows == ROW_GROUP_ROWS or (number == last and 0 < group.num_rows < ROW_GROUP_ROWS)):
            yield Discrepancy("layout", where, f"{group.num_rows} rows", f"{ROW_GROUP_ROWS} rows")
        for column in map(group.column, range(group.num_columns)):
            if column.compression != _COMPRESSION:
                found = f"{column.path_in_schema} compressed by {column.compression}"
                yield Discrepancy("layout", where, found, _COMPRESSION)
