"""Which line of a synthetic catalogue plays which role, and the numbers of the real one that it imitates.

Roles (a product, a copy of another, a line without content, a broken line, ...) have exact shares, so they are runs of
*ranks*; a bijection scatters the ranks over the lines. It can be inverted, so a copy finds its original without
anything being remembered, and any line can be made alone.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

from synth.grammars.words import FIRST_NAMES, LAST_NAMES

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
_ORIGINALS = ("junk", "content_repeats_title", "product")  # the roles that are copied; the last ranks are theirs

# Quantiles of the lengths in characters: measured up to 0.95, beyond it chosen to meet mean and standard deviation.
_TITLE_CHARS = (
    (0, 5), (0.05, 17), (0.25, 37), (0.5, 54), (0.75, 75), (0.95, 125), (0.99, 160), (0.9995, 300), (1, 1_999),
)  # fmt: skip
_CONTENT_CHARS = (
    (0, 12), (0.05, 47), (0.25, 194), (0.5, 398), (0.75, 805), (0.95, 1_728), (0.985, 2_150), (0.999, 5_700),
    (0.99995, 16_000), (1, 165_000),
)  # fmt: skip
MAX_MEAN_CONTENT_CHARS = 100_000
_MEAN_CONTENT_CHARS = 619

_ISBN_SHARE = 0.38  # of the lines; the catalogue begins with them, and they are books
_MAX_ROWS = 400_000_000  # nine digits of ISBN hold no more
_INITIALS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # no I, no O: they read as digits
_SPREAD = 2_654_435_761  # a prime that divides no number of marks
_SEED_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class SynthConfig:
    """All that determines a catalogue."""

    rows: int
    seed: int
    broken: float = 0.0  # share of the lines
    mean_content_chars: int = _MEAN_CONTENT_CHARS

    def __post_init__(self) -> None:
        """Raise ValueError that names every setting out of its range."""
        wrong = []
        if not 0 < self.rows <= _MAX_ROWS:
            wrong.append(f"rows is {self.rows}, expected 1 to {_MAX_ROWS:,}")
        if not 0 <= self.broken <= 1:
            wrong.append(f"broken is {self.broken}, expected a share from 0 to 1")
        if not 1 <= self.mean_content_chars <= MAX_MEAN_CONTENT_CHARS:
            wrong.append(
                f"mean_content_chars is {self.mean_content_chars}, expected 1 to {MAX_MEAN_CONTENT_CHARS:,}"
                " (the default is 619)"
            )
        if wrong:
            raise ValueError("cannot make this catalogue: " + "; ".join(wrong))


@dataclass(frozen=True)
class Plan:
    """The roles of the lines of one catalogue. Lines and ranks are counted from 0."""

    config: SynthConfig
    roles: tuple[str, ...]
    ends: tuple[int, ...]  # the first rank after each role

    def role_at(self, index: int) -> tuple[str, int]:
        """The role of a line, and which one of those with that role it is."""
        rank = self.rank_of(index)
        role = bisect_right(self.ends, rank)
        return self.roles[role], rank - (self.ends[role - 1] if role else 0)

    def original_of(self, index: int, *, among: Sequence[str] = _ORIGINALS) -> int:
        """The line that a copy at line `index` copies: some are copied often, most not at all."""
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
        # The constants of splitmix64. Odd multipliers have inverses; a shift by half the bits or more is its own.
        seed = self.config.seed & _SEED_MASK
        offset = (seed * 0x9E3779B97F4A7C15 & _SEED_MASK) >> 17
        return 0xBF58476D1CE4E5B9, 0x94D049BB133111EB ^ seed << 1, (self._mask.bit_length() + 1) // 2, offset

    @cached_property
    def isbn_rows(self) -> int:
        """How many lines the books take with which the catalogue begins."""
        return round(self.config.rows * _ISBN_SHARE)

    def person(self, index: int) -> str:
        """A name with initials that belongs to this line alone: Ada B. Ashcombe."""
        initials = 1
        while (names := len(FIRST_NAMES) * len(LAST_NAMES) * len(_INITIALS) ** initials) < self.config.rows:
            initials += 1
        number, first = divmod(self.rank_of(index) * _SPREAD % names, len(FIRST_NAMES))
        number, last = divmod(number, len(LAST_NAMES))
        return f"{FIRST_NAMES[first]} {'. '.join(_letters(number, initials))}. {LAST_NAMES[last]}"

    def code(self, index: int) -> str:
        """A model number that belongs to this line alone: KX4821."""
        digits = 4
        while (codes := len(_INITIALS) ** 2 * 10**digits) < self.config.rows:
            digits += 1
        letters, number = divmod(self.rank_of(index) * _SPREAD % codes, 10**digits)
        return f"{_letters(letters, 2)}{number:0{digits}}"

    def uid(self, index: int) -> str:
        """An ISBN-10 or an ASIN that belongs to this line alone; neighbours apart, they ascend."""
        if index < self.isbn_rows:
            return _isbn(136_000 + _jostled(index, self.isbn_rows) * (199_000_000 // self.isbn_rows))
        goods_rows = self.config.rows - self.isbn_rows
        return _asin(4_321 + _jostled(index - self.isbn_rows, goods_rows) * (36**8 // 4 // goods_rows))

    def key(self, index: int, *, salt: int) -> int:
        """A seed for what is drawn for one line; another one for every purpose (`salt`, below 8)."""
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
    """The length of a content for a draw from 0 to 1, where contents have `mean` characters on average."""
    return _quantile(_CONTENT_CHARS, draw) * mean / _MEAN_CONTENT_CHARS


def _quantile(points: Sequence[tuple[float, float]], draw: float) -> float:
    """The quantile function through these points, straight between them on a logarithmic scale."""
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
