"""The key of a line that has none of its own: where it stands."""

import numpy as np


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
