"""Whole lines of a range of bytes, with their offsets."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

from contract.columns import RAW_PREFIX_BYTES

CHUNK_BYTES: Final = 4 * 2**20
_OVERRUN_BYTES: Final = 2**16  # read at a time to end the last line, which reaches beyond the range


@dataclass
class Lines:
    """Lines without their line feeds, and the offset of each one's first byte; of too long ones only a prefix."""

    lines: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    too_long: list[int] = field(default_factory=list)  # positions in `lines`

    def add(self, line: bytes, offset: int, *, max_line_bytes: int) -> None:
        if len(line) > max_line_bytes:
            self.too_long.append(len(self.lines))
            line = line[:RAW_PREFIX_BYTES]
        self.lines.append(line)
        self.offsets.append(offset)


def iter_lines(
    file: IO[bytes], *, start: int, end: int | None, max_line_bytes: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Lines]:
    """The lines whose first byte lies in [start, end), a chunk of the file at a time.

    Ranges that touch share no line and miss none. Holds a chunk and at most `max_line_bytes` of an unfinished line.
    """
    last = float("inf") if end is None else end
    position = max(start - 1, 0)  # of the first byte in `pending`; one back, to see whether a line begins at `start`
    if position:
        file.seek(position)
    is_skipping = start > 0
    pending = b""
    while position < last:
        chunk = file.read(_read_size(last - position - len(pending), chunk_bytes))
        data = pending + chunk
        if is_skipping:
            skipped = data.find(b"\n") + 1
            position += skipped or len(data)
            data = data[skipped:] if skipped else b""
            is_skipping = not skipped
        whole_bytes = data.rfind(b"\n") + 1 if chunk else len(data)
        lines = _split(data[:whole_bytes], position, last=last, max_line_bytes=max_line_bytes)
        position, pending = position + whole_bytes, data[whole_bytes:]
        if len(pending) > max(max_line_bytes, RAW_PREFIX_BYTES) and position < last:
            lines.add(pending, position, max_line_bytes=max_line_bytes)
            position, pending, is_skipping = position + len(pending), b"", True
        if lines.lines:
            yield lines
        if not chunk:
            return


def _read_size(left_bytes: float, chunk_bytes: int) -> int:
    return int(min(chunk_bytes, max(left_bytes, _OVERRUN_BYTES)))


def _split(data: bytes, position: int, *, last: float, max_line_bytes: int) -> Lines:
    """Lines of `data`, which begins at `position` and ends with a line feed or the file."""
    found = Lines()
    if not data:
        return found
    for line in data.removesuffix(b"\n").split(b"\n"):
        if position >= last:
            break
        found.add(line, position, max_line_bytes=max_line_bytes)
        position += len(line) + 1
    return found
