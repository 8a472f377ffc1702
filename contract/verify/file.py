"""The laws of one file of a data set, read from end to end; a few thousand rows at a time are held in memory."""

import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from contract import storage
from contract.columns import REJECTED, REJECTED_SCHEMA, ROW_GROUP_ROWS, SHARD_SCHEMA
from contract.manifest import Shard
from contract.verify.findings import quote
from contract.verify.rows import Checked, Rules, check_records, check_rejected

_COMPRESSION: Final = "ZSTD"
_MAGIC: Final = b"PAR1"
_COPY_BYTES: Final = 2**20  # at a time


def check_file(root: str, shard: Shard, *, section: str, rules: Rules) -> Checked:
    """What is wrong with one file. Of a file that is not the one that the manifest names, no row is looked at."""
    checked = Checked(shard.path)
    try:
        with _open(storage.join(root, shard.path)) as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
            if (digest, size) == (shard.sha256, shard.bytes):
                _check_parquet(file, shard, section=section, rules=rules, checked=checked)
            else:
                found = f"{size} bytes of sha256 {digest[:16]}…"
                expected = f"{shard.bytes} bytes of sha256 {shard.sha256[:16]}…"
                checked.findings.add("file", shard.path, found=found, expected=expected)
    except OSError as error:
        checked.findings.add("file", shard.path, found=quote(_line_of(error)), expected="a file that can be read")
    return checked


@contextmanager
def _open(url: str) -> Iterator[io.BufferedIOBase]:
    """A file on this machine's disk. What lies elsewhere is copied first, so that it travels once."""
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


def _check_parquet(file: io.BufferedIOBase, shard: Shard, *, section: str, rules: Rules, checked: Checked) -> None:
    try:
        file.seek(0)
        if file.read(len(_MAGIC)) != _MAGIC:
            raise pa.ArrowInvalid("no Parquet magic bytes at the start")  # which Arrow does not look at, others do
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        if not _has_columns(parquet.schema_arrow, section=section, checked=checked):
            return
        _check_layout(parquet.metadata, file, checked=checked)
        for batch in parquet.iter_batches(batch_size=ROW_GROUP_ROWS):
            batch.validate(full=True)
            if section == REJECTED:
                check_rejected(batch, rules=rules, checked=checked)
            else:
                check_records(batch, section=section, rules=rules, checked=checked)
            checked.num_rows += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        found = f"{_line_of(error)} (behind row {checked.num_rows})"
        checked.findings.add("readable", shard.path, found=found, expected="whole pages, and texts in UTF-8")
        return
    checked.is_read = True
    if checked.num_rows != shard.rows:
        expected = f"the {shard.rows} of the manifest"
        checked.findings.add("shard rows", shard.path, found=f"{checked.num_rows} rows", expected=expected)


def _has_columns(found: pa.Schema, *, section: str, checked: Checked) -> bool:
    """Names, types and order. A column that is not nullable here cannot hold nulls in Parquet."""
    expected = REJECTED_SCHEMA if section == REJECTED else SHARD_SCHEMA
    if found.equals(expected):
        return True
    checked.findings.add("schema", checked.path, found=_columns_of(found), expected=_columns_of(expected))
    return False


def _columns_of(schema: pa.Schema) -> str:
    return ", ".join(f"{column.name} {column.type}{'?' if column.nullable else ''}" for column in schema)


def _check_layout(metadata: pq.FileMetaData, file: io.BufferedIOBase, *, checked: Checked) -> None:
    """What readers stream by: full row groups; and what every page is kept by: zstd, a checksum."""
    last = metadata.num_row_groups - 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        is_full = group.num_rows == ROW_GROUP_ROWS or (number == last and 0 < group.num_rows < ROW_GROUP_ROWS)
        if not is_full:
            _tell_layout(checked, number, found=f"{group.num_rows} rows", expected=f"{ROW_GROUP_ROWS} rows")
        for column in map(group.column, range(group.num_columns)):
            if column.compression != _COMPRESSION:
                found = f"{column.path_in_schema} compressed by {column.compression}"
                _tell_layout(checked, number, found=found, expected=_COMPRESSION)
            if not _has_checksum(file, column.dictionary_page_offset or column.data_page_offset):
                found = f"pages of {column.path_in_schema} without a checksum"
                _tell_layout(checked, number, found=found, expected="a checksum in every page")


def _tell_layout(checked: Checked, group: int, *, found: str, expected: str) -> None:
    checked.findings.add("layout", f"{checked.path} row group {group}", found=found, expected=expected)


def _has_checksum(file: io.BufferedIOBase, offset: int) -> bool:
    """Whether the page that begins here has one. A reader checks those that are there, and does not miss the others.

    A page header is a Thrift struct (compact protocol): type, size, compressed size, then the checksum, if there is
    one; each a byte 0x15 ("the next field, 32 bits") and a number of bytes whose last one has no high bit.
    """
    file.seek(offset)
    header = file.read(32) + bytes(32)
    position = 0
    for _ in range(3):
        position += 1
        while header[position] & 0x80:
            position += 1
        position += 1
    return header[position] == 0x15


def _line_of(error: Exception) -> str:
    return str(error).partition("\n")[0]
