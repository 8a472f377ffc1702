"""Every line of a file belongs to exactly one range, however the file is cut and read."""

import io
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.columns import RAW_PREFIX_BYTES
from spark_jobs.input.lines import Lines, iter_lines

Found = list[tuple[int, bytes, bool]]  # offset, line or its prefix, whether it is too long


def reference(data: bytes, *, max_line_bytes: int) -> Found:
    """What a reader that holds the whole file says."""
    found = []
    offset = 0
    for line in data.split(b"\n"):
        is_too_long = len(line) > max_line_bytes
        found.append((offset, line[:RAW_PREFIX_BYTES] if is_too_long else line, is_too_long))
        offset += len(line) + 1
    return found if data and not data.endswith(b"\n") else found[:-1]


def flatten(blocks: list[Lines]) -> Found:
    return [
        (int(block.offsets[position]), block.line(position)[: RAW_PREFIX_BYTES if is_too_long else None], is_too_long)
        for block in blocks
        for position, is_too_long in enumerate(block.is_too_long.tolist())
    ]


FILES = st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r\n", b"d" * 9, b"e" * 30]), max_size=40).map(b"".join)


@settings(deadline=None)
@given(data=FILES, cuts=st.sets(st.integers(0, 300)), max_line_bytes=st.integers(1, 40), chunk_bytes=st.integers(1, 50))
def test_ranges_give_each_line_once(data: bytes, cuts: set[int], max_line_bytes: int, chunk_bytes: int) -> None:
    edges = sorted({0, len(data)} | {cut for cut in cuts if cut < len(data)})
    found: Found = []
    for start, end in pairwise(edges):
        blocks = iter_lines(
            io.BytesIO(data), start=start, end=end, max_line_bytes=max_line_bytes, chunk_bytes=chunk_bytes
        )
        of_range = flatten(list(blocks))
        assert all(start <= offset < end for offset, _, _ in of_range)
        found += of_range
    assert found == reference(data, max_line_bytes=max_line_bytes)


@settings(deadline=None)
@given(data=FILES, max_line_bytes=st.integers(1, 40), chunk_bytes=st.integers(1, 50))
def test_a_stream_without_end_gives_each_line_once(data: bytes, max_line_bytes: int, chunk_bytes: int) -> None:
    blocks = iter_lines(io.BytesIO(data), start=0, end=None, max_line_bytes=max_line_bytes, chunk_bytes=chunk_bytes)
    assert flatten(list(blocks)) == reference(data, max_line_bytes=max_line_bytes)


def test_a_line_without_end_is_not_held_in_memory() -> None:
    class Endless(io.RawIOBase):
        """One line of 3 GB, that remembers nothing."""

        left = 3 * 2**30

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    (block,) = iter_lines(Endless(), start=0, end=None, max_line_bytes=1000, chunk_bytes=64 * 2**20)  # type: ignore[arg-type]
    assert flatten([block]) == [(0, bytes(RAW_PREFIX_BYTES), True)]


@pytest.mark.parametrize(("length", "is_too_long"), [(9, False), (10, False), (11, True)])
def test_max_line_bytes_counts_the_line_without_its_line_feed(length: int, is_too_long: bool) -> None:
    (block,) = iter_lines(io.BytesIO(b"x" * length + b"\n"), start=0, end=None, max_line_bytes=10)
    assert bool(block.is_too_long[0]) == is_too_long
