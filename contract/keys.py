"""The key that orders the catalogue, and the split and the part that follow from a title."""

from hashlib import blake2b, sha256
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import KEY_BYTES, SPLITS

GOLDEN: Final = 0x9E3779B97F4A7C15  # floor(2^64 / golden ratio): an odd number without a pattern


def record_keys(titles: pa.StringArray, contents: pa.StringArray) -> list[bytes]:
    """128-bit hashes of cleaned texts. Equal keys are exact duplicates; order by key is a global shuffle."""
    # Cleaned text holds no line feed, so the join is unambiguous.
    texts = pc.binary_join_element_wise(titles.view(pa.binary()), contents.view(pa.binary()), b"\n")
    return [blake2b(text, digest_size=KEY_BYTES).digest() for text in texts.to_pylist()]


def record_key(title: str, content: str) -> bytes:
    """The key of one record."""
    return record_keys(pa.array([title]), pa.array([content]))[0]


def splits_of(titles: pa.StringArray, *, val_share: float, test_share: float, seed: int) -> np.ndarray:
    """The split, as its index in SPLITS (int8), of all records with each of these cleaned titles.

    It follows from the title alone: the other records of the catalogue make no difference.
    """
    salt = seed.to_bytes(8, "little")
    texts = titles.view(pa.binary()).to_pylist()
    digests = b"".join([blake2b(text, digest_size=8, salt=salt).digest() for text in texts])
    fractions = np.frombuffer(digests, ">u8") / 2**64
    is_val, is_test = fractions < val_share, fractions < val_share + test_share
    train, val, test = (SPLITS.index(name) for name in ("train", "val", "test"))
    return np.select([is_val, is_test], [val, test], default=train).astype(np.int8)


def split_of(title: str, *, val_share: float, test_share: float, seed: int) -> str:
    """The split of all records of one cleaned title.

    >>> {split_of(f"Title {i}", val_share=0.0, test_share=0.0, seed=0) for i in range(100)}
    {'train'}
    """
    return SPLITS[splits_of(pa.array([title]), val_share=val_share, test_share=test_share, seed=seed)[0]]


def parts_of(titles: pa.StringArray, *, parts: int) -> np.ndarray:
    """The part, from 0 to below `parts` (int64), of all records with each of these cleaned titles.

    The title's key modulo `parts`: a rule that any program can follow. It shares nothing with the rule of the splits,
    so each part has its share of every split.
    """
    return (title_keys(titles) % np.uint64(parts)).astype(np.int64)


def title_keys(titles: pa.StringArray) -> np.ndarray:
    """The first 8 bytes of the SHA-256 of each title in UTF-8, as a number whose first byte counts most (uint64)."""
    texts = titles.view(pa.binary()).to_pylist()
    return np.frombuffer(b"".join([sha256(text).digest()[:8] for text in texts]), ">u8").astype(np.uint64)


def part_of(title: str, parts: int) -> int:
    """The part of all records of one cleaned title, from 0 to below `parts`.

    >>> [part_of(title, 4) for title in ("Red Cotton Shirt", "Girls Ballet Tutu Neon Blue", "Caf\u00e9")]
    [2, 1, 0]
    """
    return int(parts_of(pa.array([title]), parts=parts)[0])


def offset_keys(offsets: np.ndarray, *, source: np.ndarray | int) -> np.ndarray:
    """Keys of rejected lines as [lines, 2] big-endian words, from their offsets (int64) and indices of their sources.

    The keys spread evenly over the whole range, so rejected lines spread over all buckets.
    """
    words = np.empty((len(offsets), 2), ">u8")
    sources = np.broadcast_to(np.asarray(source, np.uint64), len(offsets))
    golden = np.uint64(GOLDEN)
    words[:, 0] = mix64(golden + (offsets.astype(np.uint64) ^ mix64(golden + sources)))
    words[:, 1] = mix64(golden + words[:, 0].astype(np.uint64))
    return words


def mix64(words: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: a permutation of the 64-bit words after which every bit depends on all.

    Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def key_words(keys: pa.FixedSizeBinaryArray, dtype: str = ">u8") -> np.ndarray:
    """Keys as [rows, words] big-endian numbers, without a copy."""
    width = keys.type.byte_width
    data = np.frombuffer(keys.buffers()[1] or b"", np.uint8)[keys.offset * width :][: len(keys) * width]
    return data.reshape(len(keys), width).view(dtype)
