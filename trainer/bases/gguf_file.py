"""The header of a GGUF file: its metadata, and where its tensors are. Reads no weights and needs no other package.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.errors import UserError

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
# Type codes of values.
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_MOST_DIMENSIONS: Final = 4


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as the header describes it."""

    shape: tuple[int, ...]  # rows first, as in PyTorch; the file has it the other way round
    kind: int  # code of the quantisation
    offset: int  # in the file, in bytes


@dataclass(frozen=True)
class GgufFile:
    """The header of a file."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]


def read_gguf(path: Path) -> GgufFile:
    """The header of this file; UserError where it is no GGUF file, of another version, damaged or cut off."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise UserError(f"{path} is no GGUF file: it does not begin with {_MAGIC.decode()}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read(path, _Header(data, len(_MAGIC)))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (EOFError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is damaged or cut off: {error}; fetch it again") from error


class _Header:
    """Reads values one after the other; EOFError where the file ends before one, ValueError where it is none."""

    def __init__(self, data: mmap.mmap, position: int) -> None:
        self._data = data
        self.position = position

    def scalar(self, code: str) -> Any:  # of the type that the code names
        return self.scalars(code, 1)[0]

    def scalars(self, code: str, count: int) -> tuple[Any, ...]:
        size = struct.calcsize(f"<{code}") * count
        return struct.unpack(f"<{count}{code}", self._bytes(size))

    def text(self) -> str:
        return self._bytes(self.scalar("Q")).decode()

    def value(self, kind: int) -> Any:  # a number, a text, or a list of them
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _TEXT:
            return self.text()
        if kind != _ARRAY:
            raise ValueError(f"a value of type {kind} at byte {self.position}")
        inner, count = self.scalar("I"), self.scalar("Q")
        if inner == _ARRAY:
            raise ValueError(f"a list of lists at byte {self.position}")
        if inner in _SCALARS:
            return list(self.scalars(_SCALARS[inner], count))
        return [self.value(inner) for _ in range(count)]

    def _bytes(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise EOFError(f"it ends at byte {len(self._data)}, within its header")
        found = self._data[self.position : end]
        self.position = end
        return found


def _read(path: Path, header: _Header) -> GgufFile:
    version = header.scalar("I")
    if version not in _VERSIONS:
        raise UserError(f"{path} has version {version} of GGUF, expected one of {_VERSIONS}, with the low byte first")
    num_tensors, num_values = header.scalars("Q", 2)
    metadata = {header.text(): header.value(header.scalar("I")) for _ in range(num_values)}
    stored = [_stored_tensor(header) for _ in range(num_tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"an alignment of {alignment!r}")
    begin = -(-header.position // alignment) * alignment
    tensors = {name: StoredTensor(shape, kind, begin + offset) for name, shape, kind, offset in stored}
    return GgufFile(path, metadata, tensors)


def _stored_tensor(header: _Header) -> tuple[str, tuple[int, ...], int, int]:
    """Name, shape, kind, and offset from the first tensor."""
    name, num_dimensions = header.text(), header.scalar("I")
    if num_dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"a tensor of {num_dimensions} dimensions")
    shape = tuple(reversed(header.scalars("Q", num_dimensions)))
    return name, shape, header.scalar("I"), header.scalar("Q")
