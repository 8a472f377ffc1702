"""The key that orders the catalogue, and the split that follows from a title."""

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.columns import KEY_BYTES, SPLITS


def record_keys(titles: pa.StringArray, contents: pa.StringArray) -> list[bytes]:
    """128-bit hashes of cleaned texts. Equal keys are exact duplicates; order by key is a global shuffle."""
    # Cleaned text holds no line feed, so the join is unambiguous.
    texts = pc.binary_join_element_wise(titles.view(pa.binary()), contents.view(pa.binary()), b"\n")
    return [blake2b(text, digest_size=KEY_BYTES).digest() for text in texts.to_pylist()]


def record_key(title: str, content: str) -> bytes:
    """The key of one record."""
    return record_keys(pa.array([title]), pa.array([content]))[0]


def splits_of(titles: pa.StringArray, *, val_share: float, test_share: float, seed: int) -> np.ndarray:
    """Positions in SPLITS, int8, of all records of these cleaned titles; other records play no part."""
    salt = seed.to_bytes(8, "little")
    texts = titles.view(pa.binary()).to_pylist()
    digests = b"".join([blake2b(text, digest_size=8, salt=salt).digest() for text in texts])
    places = np.frombuffer(digests, ">u8") / 2**64
    is_val, is_test = places < val_share, places < val_share + test_share
    train, val, test = (SPLITS.index(name) for name in ("train", "val", "test"))
    return np.select([is_val, is_test], [val, test], default=train).astype(np.int8)


def split_of(title: str, *, val_share: float, test_share: float, seed: int) -> str:
    """The split of all records of one cleaned title.

    >>> {split_of(f"Title {i}", val_share=0.0, test_share=0.0, seed=0) for i in range(100)}
    {'train'}
    """
    return SPLITS[splits_of(pa.array([title]), val_share=val_share, test_share=test_share, seed=seed)[0]]


def place_keys(offsets: np.ndarray, *, source: np.ndarray | int) -> np.ndarray:
    """Keys as [lines, 2] big-endian words, from offsets (int64) and the numbers of the sources.

    They spread evenly over all keys, so rejected lines spread over all buckets.
    """
    words = np.empty((len(offsets), 2), ">u8")
    sources = np.broadcast_to(np.asarray(source, np.uint64), len(offsets))
    words[:, 0] = _mix(offsets.astype(np.uint64) ^ _mix(sources))
    words[:, 1] = _mix(words[:, 0].astype(np.uint64))
    return words


def _mix(words: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea, Flood 2014): a one-to-one scrambling of 64-bit words."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
