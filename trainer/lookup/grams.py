"""Titles as sets of trigrams, and which titles share most of them with a question.

A trigram is three characters that follow each other in a word, or in the blanks around it; it is known by a number of
16 bits, which a few others share. Titles are divided into segments of 65,536, so 16 bits also tell a title in its
segment. For each segment the titles of each trigram are listed: two bytes a trigram of a title, some 110 a title.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

SEGMENT_TITLES: Final = 2**16
_NUM_GRAMS: Final = 2**16
_MOST_POSTINGS: Final = 400_000  # that a question looks at, those of its rarest trigrams; some 2 ms
_LEAST_GRAMS: Final = 6
_LEAST_ALIKE: Final = 0.1  # of 0.5, which a title has with itself

# Accents of Latin, Greek and Cyrillic letters, and vowel points of Hebrew and Arabic: people leave them out.
_ACCENTS: Final = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u0652\u0670]")
_NO_WORD: Final = re.compile(r"[^\w\n\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+|_+")


def fold(text: str) -> str:
    """The words of a text, with a blank between two, without case, accents and punctuation. Line feeds stay.

    >>> fold("Mog's  Kittens: Café No. 7!")
    'mog s kittens cafe no 7'
    """
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))
    return _NO_WORD.sub(" ", text).strip(" ")


@dataclass(frozen=True)
class Segment:
    """The titles of each trigram, ascending: those of trigram g are postings[offsets[g] : offsets[g + 1]]."""

    offsets: np.ndarray  # uint32 [_NUM_GRAMS + 1]
    postings: np.ndarray  # uint16


def make_segment(folded: str) -> Segment:
    """The segment of at most SEGMENT_TITLES folded titles, one a line."""
    grams, titles = _grams(folded)
    codes = np.sort((grams << np.uint32(16)) | titles)
    codes = codes[np.append(True, codes[1:] != codes[:-1])] if len(codes) else codes
    bounds = np.arange(_NUM_GRAMS + 1, dtype=np.uint64) << np.uint64(16)
    offsets = np.searchsorted(codes, bounds).astype(np.uint32)
    return Segment(offsets, codes.astype(np.uint16))


def _grams(folded: str) -> tuple[np.ndarray, np.ndarray]:
    """The number of each trigram, and the number of its line (both uint32)."""
    codes = np.frombuffer(f"\n{folded}\n".encode("utf-32-le"), np.uint32)
    lines: np.ndarray = np.cumsum(codes == ord("\n"), dtype=np.uint32)[1:-1] - np.uint32(1)
    characters = np.where(codes == ord("\n"), np.uint32(ord(" ")), codes)
    before, here, after = characters[:-2], characters[1:-1], characters[2:]
    mixed: np.ndarray = (before * np.uint32(0x9E3779B1) ^ here * np.uint32(0x85EBCA77)) + after * np.uint32(0xC2B2AE3D)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    is_in_word = here != ord(" ")
    return (mixed >> np.uint32(16))[is_in_word], lines[is_in_word]


def weights_of(segments: Sequence[Segment], *, num_titles: int) -> np.ndarray:
    """What each trigram tells (float32 [_NUM_GRAMS]): the logarithm of how rare it is."""
    counts = np.zeros(_NUM_GRAMS, np.int64)
    for segment in segments:
        counts += np.diff(segment.offsets)
    return np.log1p(num_titles / np.maximum(counts, 1)).astype(np.float32)


def norms_of(segment: Segment, weights: np.ndarray, *, num_titles: int) -> np.ndarray:
    """The sum of the weights of each title's trigrams (float32)."""
    of_postings = np.repeat(weights, np.diff(segment.offsets))
    return np.bincount(segment.postings, of_postings, minlength=num_titles).astype(np.float32)


@dataclass(frozen=True)
class Grams:
    """The trigrams of all titles. Arrays may be memory-mapped: a question reads only what it needs."""

    offsets: np.ndarray  # uint32 [segments, _NUM_GRAMS + 1], within the segment
    starts: np.ndarray  # int64 [segments + 1]: where the postings of each segment begin
    postings: np.ndarray  # uint16
    weights: np.ndarray  # float32 [_NUM_GRAMS]
    norms: np.ndarray  # float32 [titles]

    def most_alike(self, folded: str, *, num: int) -> np.ndarray:
        """The numbers of up to `num` titles, the most alike first: by what they share, of what both have."""
        grams = np.unique(_grams(folded)[0]).astype(np.int64)
        norm = self.weights[grams].sum()
        firsts, lasts = self.offsets[:, grams].astype(np.int64), self.offsets[:, grams + 1].astype(np.int64)
        order = self._rarest((lasts - firsts).sum(axis=0))
        weights, firsts, lasts = self.weights[grams[order]].tolist(), firsts[:, order], lasts[:, order]
        found_titles, found_scores = np.empty(0, np.int64), np.empty(0, np.float32)
        least, shared = _LEAST_ALIKE, np.empty(SEGMENT_TITLES, np.float32)
        for segment, start in enumerate(self.starts[:-1].tolist()):
            shared.fill(0)
            bounds = zip((start + firsts[segment]).tolist(), (start + lasts[segment]).tolist(), weights, strict=True)
            for first, last, weight in bounds:
                if first < last:  # NumPy adds to places given as intp twice as fast as to those given as uint16
                    shared[self.postings[first:last].astype(np.intp)] += weight
            # A title has at least what it shares, so few titles need a closer look.
            base, enough = segment * SEGMENT_TITLES, norm * least / (1 - least)
            titles = np.flatnonzero(shared[: len(self.norms) - base] > enough)
            scores = shared[titles] / (norm + self.norms[base + titles])
            is_near = scores > least
            found_titles = np.concatenate([found_titles, titles[is_near] + base])
            found_scores = np.concatenate([found_scores, scores[is_near]])
            if len(found_scores) > num:
                best = np.argpartition(-found_scores, num)[:num]
                found_titles, found_scores = found_titles[best], found_scores[best]
                least = float(found_scores.min())
        return found_titles[np.argsort(-found_scores, kind="stable")]

    @staticmethod
    def _rarest(counts: np.ndarray) -> np.ndarray:
        order = np.argsort(counts, kind="stable")
        num = int(np.searchsorted(np.cumsum(counts[order]), _MOST_POSTINGS, side="right"))
        return order[: max(num, _LEAST_GRAMS)]
