"""Formats of input files: one row each.

A new format is a row here and its reader in spark_jobs/input/readers.py.
"""

import os
from dataclasses import dataclass
from typing import Final, NamedTuple

from contract.errors import UserError
from contract.manifest import Source


@dataclass(frozen=True)
class Format:
    """A format, and what has to be known of its files before one is opened."""

    name: str
    suffixes: tuple[str, ...]  # of file names
    magic: bytes = b""  # first bytes of every file, where the format has such
    can_seek: bool = True  # whether a task can begin in the middle of a file, rather than read all that comes before
    is_cut_by_rows: bool = False  # parts are counted in rows, not in bytes
    is_compressed: bool = False  # within

    @property
    def is_text(self) -> bool:
        """Whether its files hold characters in some encoding."""
        return not self.magic

    @property
    def is_document(self) -> bool:
        """Whether its files have no columns but records of any shape."""
        return self.is_text and not self.is_cut_by_rows


JSON_LINES: Final = Format("JSON lines", suffixes=())  # also the format of all names that end in no known suffix
FORMATS: Final = (
    JSON_LINES,
    Format("JSON", suffixes=(), can_seek=False),  # any other layout, which the first bytes of a file show
    Format("XML", suffixes=(".xml", ".rss", ".atom"), can_seek=False),
    Format("CSV", suffixes=(".csv", ".tsv"), can_seek=False, is_cut_by_rows=True),
    Format("Parquet", suffixes=(".parquet",), magic=b"PAR1", is_compressed=True),
)
SUFFIXES: Final = tuple(suffix for row in FORMATS for suffix in row.suffixes)


class Compression(NamedTuple):
    """A compression of whole files."""

    name: str
    suffix: str
    magic: bytes


COMPRESSIONS: Final = (
    Compression("gzip", ".gz", b"\x1f\x8b"),
    Compression("zstd", ".zst", b"\x28\xb5\x2f\xfd"),
    Compression("bz2", ".bz2", b"BZh"),
    Compression("xz", ".xz", b"\xfd7zXZ\0"),
    Compression("zip", ".zip", b"PK\x03\x04"),
)


class Foreign(NamedTuple):
    """A kind of files that is not read."""

    name: str
    magic: bytes
    advice: str
    start: int = 0  # of the magic in the file


_UNPACK: Final = "unpack it and name the folder of its files"
_SHEET: Final = "save the sheet as CSV in UTF-8 and name that file"
_EXPORT: Final = "export it as Parquet, CSV or JSON lines"
_FOREIGN: Final = (
    Foreign("an Excel workbook", b"[Content_Types].xml", _SHEET, start=30),
    Foreign("an Excel workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _SHEET),
    Foreign("an OpenDocument file", b"mimetypeapplication/vnd.oasis", _SHEET, start=30),
    Foreign("a tar archive", b"ustar", f"{_UNPACK} (tar -xf)", start=257),
    Foreign("a 7z archive", b"7z\xbc\xaf\x27\x1c", _UNPACK),
    Foreign("a RAR archive", b"Rar!\x1a\x07", _UNPACK),
    Foreign("compressed by lz4", b"\x04\x22\x4d\x18", "decompress it, or compress it by zstd"),
    Foreign("compressed by snappy", b"\xff\x06\0\0sNaPpY", "decompress it, or compress it by zstd"),
    Foreign("compressed by compress", b"\x1f\x9d", "decompress it, or compress it by gzip"),
    Foreign("an Avro file", b"Obj\x01", _EXPORT),
    Foreign("an ORC file", b"ORC", _EXPORT),
    Foreign("an Arrow file", b"ARROW1", _EXPORT),
    Foreign("a SQLite database", b"SQLite format 3\0", _EXPORT),
    Foreign("a PDF document", b"%PDF-", _EXPORT),
    Foreign("a web page", b"<!doctype html", "fetch the file itself; a page in its place often asks to log in"),
    Foreign("a web page", b"<html", "fetch the file itself; a page in its place often asks to log in"),
)
MAGIC_BYTES: Final = 512  # enough for all
_PLAIN_STARTS: Final = (b"{", b"[", b"<", b'"', *(bytes([code]) for code in b"abcdefghijklmnopqrstuvwxyz"))


class FileKind(NamedTuple):
    """How a file is read, as its name says."""

    format: Format
    compression: str | None

    @property
    def can_seek(self) -> bool:
        """Whether a task can begin in the middle of the file."""
        return self.compression is None and self.format.can_seek


def kind_of(source: Source) -> FileKind:
    """How a file is read. UserError for a compressed file of a format that is compressed within.

    >>> [(kind.format.name, kind.compression) for kind in (kind_of(Source("trn.json.gz", 1, "")),)]
    [('JSON lines', 'gzip')]
    """
    name, suffix = os.path.splitext(source.path.lower())
    compression = next((row.name for row in COMPRESSIONS if row.suffix == suffix), None)
    if compression:
        suffix = os.path.splitext(name)[1]
    found = next((row for row in FORMATS if suffix in row.suffixes), JSON_LINES)
    if found.is_compressed and compression:
        raise UserError(
            f"{source.path} is a compressed {found.name} file: decompress it; {found.name} is compressed within"
        )
    return FileKind(found, compression)


def require_kind(start: bytes, source: Source) -> None:
    """UserError where a file of these first MAGIC_BYTES is of another kind than its name says."""
    kind = kind_of(source)
    if kind.format.magic:  # its reader finds out
        return
    require_readable(start, source.path)
    for row in FORMATS:
        if row.magic and start.startswith(row.magic):
            suffixes = " or ".join(row.suffixes)
            raise UserError(f"{source.path} is a {row.name} file, but its name does not end in {suffixes}; rename it")
    for name, suffix, magic in COMPRESSIONS:
        if start.startswith(magic) and kind.compression != name:
            raise UserError(f"{source.path} is compressed by {name}, but its name does not end in {suffix}; rename it")
    if kind.compression and start[:1] in _PLAIN_STARTS and start[:16].isascii():
        suffix = os.path.splitext(source.path)[1]
        raise UserError(f"{source.path} is not compressed, but its name ends in {suffix}; rename it without {suffix}")


def require_readable(start: bytes, path: str) -> None:
    """UserError where a file, or what it is once decompressed, is of a kind that is not read."""
    for foreign in _FOREIGN:
        if start[foreign.start :].lower().startswith(foreign.magic.lower()):
            raise UserError(f"{path} is {foreign.name}, which is not read: {foreign.advice}")


def require_text(start: bytes, path: str) -> None:
    """UserError where what a compressed file holds is no text."""
    require_readable(start, path)
    for name, magic in [(row.name, row.magic) for row in (*FORMATS, *COMPRESSIONS) if row.magic]:
        if start.startswith(magic):
            raise UserError(f"{path} holds a file of the kind {name}: decompress it once and name the result")
