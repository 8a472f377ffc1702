"""Structs and pages: what Arrow wrote is understood, and no bytes lead to anything but a PageError or a ThriftError."""

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.pages import Chunk, PageError, check_chunk
from contract.thrift import ThriftError, read_struct


def written(**options: object) -> tuple[bytes, pq.FileMetaData]:
    """A file of one column, and what Arrow says of it."""
    file = io.BytesIO()
    texts = pa.array([f"text {number % 50}" for number in range(1_000)])
    table = pa.table([texts], schema=pa.schema([pa.field("text", pa.string(), nullable=False)]))
    pq.write_table(table, file, row_group_size=300, **options)
    return file.getvalue(), pq.ParquetFile(io.BytesIO(file.getvalue())).metadata


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "compression": "zstd", "write_page_index": True}])
def test_a_footer_says_what_arrow_reads_in_it(options: dict[str, object]) -> None:
    data, metadata = written(**options)
    footer, stop = read_struct(memoryview(data)[:-8], len(data) - 8 - int.from_bytes(data[-8:-4], "little"))

    assert stop == len(data) - 8
    assert footer[3] == metadata.num_rows
    assert footer[6].decode() == metadata.created_by
    for number, group in enumerate(footer[4]):
        column, expected = group[1][0][3], metadata.row_group(number).column(0)
        assert group[3] == metadata.row_group(number).num_rows
        assert column[3] == [expected.path_in_schema.encode()]
        assert (column[5], column[6], column[7]) == (
            *(expected.num_values, expected.total_uncompressed_size, expected.total_compressed_size),
        )
        assert column[9] == expected.data_page_offset
        assert column.get(11) == expected.dictionary_page_offset


def first_chunk(data: bytes) -> tuple[memoryview, Chunk]:
    """The first column's bytes, and what the footer says of it."""
    footer, _ = read_struct(memoryview(data), len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    column = footer[4][0][1][0][3]
    return memoryview(data)[4 : 4 + column[7]], Chunk(4, 4 + column[7], column[5], column[6], column[2])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_are_right_as_written_and_wrong_if_any_byte_differs(version: str, dictionary: bool) -> None:
    data, _ = written(write_page_checksum=True, data_page_version=version, use_dictionary=dictionary)
    pages, chunk = first_chunk(data)
    check_chunk(pages, chunk)

    draw, undetected = random.Random(version), []
    for position in range(len(pages)):
        changed = bytearray(pages)
        changed[position] ^= draw.randint(1, 255)
        try:
            check_chunk(memoryview(changed), chunk)
        except (PageError, ThriftError):
            continue
        undetected.append(position)
    assert len(undetected) < 80  # statistics, and how levels that are not there would be encoded


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_struct_or_refused(data: bytes) -> None:
    try:
        fields, stop = read_struct(memoryview(data))
    except ThriftError:
        return
    assert isinstance(fields, dict)
    assert 0 < stop <= len(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_refused_as_pages(data: bytes) -> None:
    with pytest.raises((PageError, ThriftError)):
        check_chunk(memoryview(data), Chunk(0, len(data), 1, 1, [0]))
