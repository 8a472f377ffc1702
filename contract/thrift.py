"""Reads structs of Thrift's compact protocol, in which Parquet writes its footers and page headers.

Arrow reads them, too, but pyarrow ends the process at some values that no writer writes (26.0: an unknown compression),
so what may be damaged is looked at here first.
"""

from collections.abc import Sequence
from typing import Any, Final

Fields = dict[int, Any]  # of a struct by their numbers; each holds a number, a truth, bytes, a list or another struct

_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BYTES, _LISTS, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 12
_MAX_DEPTH: Final = 8  # of structs in structs; Parquet has no more
_MAX_BITS: Final = 63


class ThriftError(ValueError):
    """Bytes that are no struct."""


def read_struct(data: memoryview, position: int = 0) -> tuple[Fields, int]:
    """The fields of the struct that begins at a position, and where it ends."""
    reader = _Reader(data, position)
    try:
        return reader.struct(_MAX_DEPTH), reader.position
    except IndexError:
        raise ThriftError("a struct without an end") from None


class _Reader:
    def __init__(self, data: Sequence[int], position: int) -> None:
        self._data = data
        self.position = position

    def struct(self, depth: int) -> Fields:
        if not depth:
            raise ThriftError("too many structs in structs")
        fields: Fields = {}
        number = 0
        while byte := self._byte():
            number = number + (byte >> 4) if byte >> 4 else self._signed()
            fields[number] = self._value(byte & 15, depth, is_field=True)
        return fields

    def _value(self, kind: int, depth: int, *, is_field: bool) -> Any:
        if kind in _INTEGERS:
            return self._signed()
        if kind == _BYTES:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self.struct(depth - 1)
        if kind in _LISTS:
            return self._list(depth)
        if kind in (_TRUE, _FALSE):
            return (kind if is_field else self._byte()) == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ThriftError(f"a field of type {kind}")

    def _list(self, depth: int) -> list[Any]:
        byte = self._byte()
        size = byte >> 4 if byte >> 4 < 15 else self._varint()
        if size > len(self._data) - self.position:
            raise ThriftError("a list longer than the file")
        return [self._value(byte & 15, depth, is_field=False) for _ in range(size)]

    def _bytes(self, size: int) -> bytes:
        self.position += size
        if self.position > len(self._data):
            raise IndexError
        return bytes(self._data[self.position - size : self.position])

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _varint(self) -> int:
        value = self._data[self.position]
        self.position += 1
        if value < 0x80:
            return value
        value &= 0x7F
        for shift in range(7, _MAX_BITS + 1, 7):
            byte = self._data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ThriftError("a number of too many bytes")

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte
