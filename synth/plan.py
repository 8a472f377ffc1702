"""The role of each line of a made-up catalogue, and the numbers of the real catalogue that it imitates.

A line is a product, a copy of another line, a line without content, a broken line and so on. Each role has an exact
share of the lines: a run of *ranks*. A bijection scatters the ranks over the lines. Its inverse finds the original of
a copy, so nothing has to be remembered and any line can be made alone.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

from synth.config import MEAN_CONTENT_CHARS, SynthConfig
from synth.kinds import load_names

# Shares of the lines of trn.json of AmazonTitles-1.3MM.
_LINES = 2_248_619
_SHARES = {
    "both_empty": 18_519 / _LINES,
    "no_title": (126_834 - 18_519) / _LINES,
    "no_content": (749_901 - 18_519) / _LINES,
    "duplicate": 23_322 / _LINES,
    "duplicate_title": (39_961 - 23_322) / _LINES,
    "junk": 2e-4,
    "content_repeats_title": 3e-3,
}
_ORIGINALS = ("junk", "content_repeats_title", "product")  # the roles that are copied; they have the last ranks

# Quantiles of lengths in characters: measured up to 0.95, and above chosen so that mean and deviation are as measured.
_TITLE_CHARS = (
    (0, 5), (0.05, 17), (0.25, 37), (0.5, 54), (0.75, 75), (0.95, 125), (0.99, 160), (0.9995, 300), (1, 1_999),
)  # fmt: skip
_CONTENT_CHARS = (
    (0, 12), (0.05, 47), (0.25, 194), (0.5, 398), (0.75, 805), (0.95, 1_728), (0.985, 2_150), (0.999, 5_700),
    (0.99995, 16_000), (1, 165_000),
)  # fmt: skip

_ISBN_SHARE = 0.38  # of the lines: the books with which the catalogue begins
_INITIALS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # no I, no O: they read as digits
_SPREAD = 2_654_435_761  # a prime that divides no number of marks
_SEED_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Plan:
    """The roles of the lines of one catalogue. Lines and ranks are counted from 0."""

    config: SynthConfig
    roles: tuple[str, ...]
    ends: tuple[int, ...]  # the first rank after each role

    def role_at(self, index: int) -> tuple[str, int]:
        """The role of a line, and its number among the lines of that role, counted from 0."""
        rank = self.rank_of(index)
        role = bisect_right(self.ends, rank)
        return self.roles[role], rank - (self.ends[role - 1] if role else 0)

    def original_of(self, index: int, *, among: Sequence[str] = _ORIGINALS) -> int:
        """The line that line `index` copies; some lines are copied often, most never."""
        first, last = self.ends[-1 - len(among)], self.ends[-1]
        draw = self.rank_of(index) * _SPREAD % 1_000_003 / 1_000_003
        return self.index_of(first + int((last - first) * draw * draw))

    def rank_of(self, index: int) -> int:
        """The rank of a line."""
        (multiplier, other, shift, offset), mask = self._scatter, self._mask
        rank = index
        while True:
            rank = (rank * multiplier + offset) & mask
            rank ^= rank >> shift
            rank = rank * other & mask
            rank ^= rank >> shift
            if rank < self.config.rows:
                return rank

    def index_of(self, rank: int) -> int:
        """The line of a rank; the inverse of `rank_of`."""
        (multiplier, other, shift, offset), mask = self._scatter, self._mask
        backwards, other_backwards = pow(multiplier, -1, mask + 1), pow(other, -1, mask + 1)
        index = rank
        while True:
            index ^= index >> shift
            index = index * other_backwards & mask
            index ^= index >> shift
            index = (index - offset) * backwards & mask
            if index < self.config.rows:
                return index

    @cached_property
    def _mask(self) -> int:
        return (1 << max(1, (self.config.rows - 1).bit_length())) - 1

    @cached_property
    def _scatter(self) -> tuple[int, int, int, int]:
        # The constants of SplitMix64. An odd multiplier has an inverse; a shift by half the bits or more is one.
        seed = self.config.seed & _SEED_MASK
        offset = (seed * 0x9E3779B97F4A7C15 & _SEED_MASK) >> 17
        return 0xBF58476D1CE4E5B9, 0x94D049BB133111EB ^ seed << 1, (self._mask.bit_length() + 1) // 2, offset

    @cached_property
    def isbn_rows(self) -> int:
        """How many lines at the start of the catalogue are books."""
        return round(self.config.rows * _ISBN_SHARE)

    def person(self, index: int) -> str:
        """A name with initials that no other line has: Ada B. Ashcombe."""
        first_names, last_names = load_names()
        initials = 1
        while (names := len(first_names) * len(last_names) * len(_INITIALS) ** initials) < self.config.rows:
            initials += 1
        number, first = divmod(self.rank_of(index) * _SPREAD % names, len(first_names))
        number, last = divmod(number, len(last_names))
        return f"{first_names[first]} {'. '.join(_letters(number, initials))}. {last_names[last]}"

    def code(self, index: int) -> str:
        """A model number that no other line has: KX4821."""
        digits = 4
        while (codes := len(_INITIALS) ** 2 * 10**digits) < self.config.rows:
            digits += 1
        letters, number = divmod(self.rank_of(index) * _SPREAD % codes, 10**digits)
        return f"{_letters(letters, 2)}{number:0{digits}}"

    def uid(self, index: int) -> str:
        """An ISBN-10 or an ASIN that no other line has; they ascend but for near neighbours."""
        if index < self.isbn_rows:
            return _isbn(136_000 + _jostled(index, self.isbn_rows) * (199_000_000 // self.isbn_rows))
        goods_rows = self.config.rows - self.isbn_rows
        return _asin(4_321 + _jostled(index - self.isbn_rows, goods_rows) * (36**8 // 4 // goods_rows))

    def key(self, index: int, *, salt: int) -> int:
        """A seed for the draws of one line, another one for each `salt` (0 to 7)."""
        return (self.config.seed & _SEED_MASK) << 64 | index << 3 | salt


@lru_cache(maxsize=4)
def plan_of(config: SynthConfig) -> Plan:
    """The plan of a catalogue."""
    broken = round(config.rows * config.broken)
    whole = config.rows - broken
    counts = {"broken": broken} | {role: round(whole * share) for role, share in _SHARES.items()}
    counts["product"] = config.rows - sum(counts.values())
    return Plan(config, roles=tuple(counts), ends=tuple(accumulate(counts.values())))


def title_chars(draw: float) -> float:
    """The length of a title for a draw from 0 to 1."""
    return _quantile(_TITLE_CHARS, draw)


def content_chars(draw: float, mean: int) -> float:
    """The length of a content for a draw from 0 to 1, if contents have `mean` characters on average."""
    return _quantile(_CONTENT_CHARS, draw) * mean / MEAN_CONTENT_CHARS


def _quantile(points: Sequence[tuple[float, float]], draw: float) -> float:
    """The quantile function through these points, linear between them on a logarithmic scale."""
    (share, low), (next_share, high) = next(pair for pair in pairwise(points) if draw < pair[1][0])
    return low * (high / low) ** ((draw - share) / (next_share - share))


def _letters(number: int, length: int) -> str:
    letters = ""
    for _ in range(length):
        number, letter = divmod(number, len(_INITIALS))
        letters += _INITIALS[letter]
    return letters


def _jostled(index: int, size: int) -> int:
    """`index` or one of its seven neighbours: a bijection on 0..size-1."""
    return index ^ (index >> 3) * _SPREAD >> 7 & 7 if index | 7 < size else index


def _isbn(core: int) -> str:
    digits = f"{core:09}"
    check = -sum(weight * int(digit) for weight, digit in zip(range(10, 1, -1), digits, strict=True)) % 11
    return digits + ("X" if check == 10 else str(check))


def _asin(number: int) -> str:
    letters = ""
    for _ in range(8):
        number, digit = divmod(number, 36)
        letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + letters
    return "B0" + letters
