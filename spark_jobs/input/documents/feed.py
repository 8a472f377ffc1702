"""Reads the records of an XML document: items of an RSS feed, entries of an Atom feed, a shop's own products."""

from collections.abc import Iterator
from typing import IO, Final

import numpy as np
import pyarrow as pa

from contract.columns import RAW_PREFIX_BYTES
from contract.reasons import KEPT, REASON_CODE
from spark_jobs.input.documents.look import peek
from spark_jobs.input.documents.xml_parser import RecordParser, XmlRecord, encoding_to_force, find_records
from spark_jobs.input.fields import Fields, Part, ReadOptions
from spark_jobs.input.records.values import read_text

_CHUNK_BYTES: Final = 2**20


def read_feed(file: IO[bytes], part: Part, *, path: str, options: ReadOptions) -> Iterator[Fields]:
    """The fields of the records that begin in this part. Each task reads the file from its start, some 50 MB/s.

    UserError where it is no sound XML, declares entities of its own, or holds nothing that looks like a record.
    """
    start, _ = peek(file)
    encoding = encoding_to_force(start, asked=options.encoding)
    wanted = find_records(start, options.names, path=path, encoding=encoding)
    parser = RecordParser(wanted, path=path, encoding=encoding, max_record_bytes=options.max_line_bytes)
    while True:
        chunk = file.read(_CHUNK_BYTES)
        records = parser.feed(chunk, is_last=not chunk)
        is_own = part.holds(np.array([record.offset for record in records], np.int64))
        if is_own.any():
            yield _fields_of([record for record, own in zip(records, is_own, strict=True) if own], options)
        if not chunk:
            return


def _fields_of(records: list[XmlRecord], options: ReadOptions) -> Fields:
    is_too_long = np.array([record.num_bytes > options.max_line_bytes for record in records])
    uids, titles, contents = (
        pa.array(
            [None if bad else read_text(record.fields, name) for record, bad in zip(records, is_too_long, strict=True)],
            pa.string(),
        )
        for name in options.names
    )
    raws = [
        str(record.fields).encode()[:RAW_PREFIX_BYTES] if bad else None
        for record, bad in zip(records, is_too_long, strict=True)
    ]
    return Fields(
        uids=uids,
        titles=titles.fill_null(""),
        contents=contents.fill_null(""),
        reasons=np.where(is_too_long, REASON_CODE["too_long"], KEPT).astype(np.int8),
        offsets=np.array([record.offset for record in records], np.int64),
        raws=pa.array(raws, pa.binary()),
    )
