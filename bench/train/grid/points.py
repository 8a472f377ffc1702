"""What the grid measures, in the order in which it does: what is wanted most comes first."""

from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

from bench.train.peers import WINDOW
from bench.train.shapes import SHAPES

SMALL, MIDDLE, LARGE = SHAPES
RANKS: Final = (16, 64, 8, 256)
EVERY_RANK: Final = (1, 8, 16, 64, 128, 256, 512)
TOKENS: Final = (16_384, 4_096, 32_768, 2_048)
_PRECISIONS: Final = ("bf16", "fp8", "nf4")
_MOST_LARGE: Final = 16_384  # tokens of a step at the largest base, where precisions are compared
_MEASURED_TOKENS: Final = {SMALL: 2**22, MIDDLE: 2**20, LARGE: 2**19}  # of a point: some ten seconds or more
_STEPS: Final = (20, 400)  # the fewest and the most of a point
_FEW_STEPS: Final = 24


@dataclass(frozen=True, kw_only=True)
class Point:
    """One training to be measured. Two points are the same if they differ in their number of steps only."""

    program: str  # ours, trl, unsloth
    base: str  # of SHAPES
    rank: int
    tokens: int  # of a step, padding included
    precision: str  # of the base
    checkpointing: bool = False  # of a peer
    steps: int = field(compare=False)
    warm_up: int = field(default=5, compare=False)

    @property
    def name(self) -> str:
        """Short, for one line."""
        parts = [self.program, self.base, self.precision, f"rank {self.rank}", f"{self.tokens:,} tokens"]
        return ", ".join([*parts, *(["checkpointing"] if self.checkpointing else [])])

    def command(self, *, bases: Path, data: str, optimizer: str) -> list[str]:
        """Module and arguments of the process that measures it."""
        model, rank = str(bases / self.base), str(self.rank)
        sizes = ["--rank", rank, "--precision", self.precision, "--steps", str(self.steps)]
        if self.program == "ours":
            more = ["--tokens", str(self.tokens), "--data", data, "--optimizer", optimizer]
            return ["bench.train.grid.ours", *sizes, *more, "--model", model]
        more = ["--packed", "--packs", str(self.tokens // WINDOW), "--warm-up", str(self.warm_up)]
        more += ["--checkpointing"] if self.checkpointing else []
        return ["bench.train.peers", self.program, *sizes, *more, "--model", model]

    def as_json(self) -> dict[str, Any]:
        """What is written beside its figures."""
        names = ("program", "base", "precision", "rank", "tokens", "checkpointing")
        return {name: value for name, value in asdict(self).items() if name in names}


def points(only: str | None, *, containing: str = "") -> list[Point]:
    """All points, or those of ours or of the peers, whose names contain this text."""
    found = {
        "ours": [*_wanted(), *_walk(), *_every_rank()],
        "peers": list(_peers()),
        None: [*_wanted(), *_peers(), *_walk(), *_every_rank()],
    }[only]
    return [point for point in dict.fromkeys(found) if containing in point.name]


def _ours(base: str, rank: int, tokens: int, precision: str = "bf16", *, steps: int | None = None) -> Point:
    fewest, most = _STEPS
    steps = steps or min(most, max(fewest, _MEASURED_TOKENS[base] // tokens))
    return Point(program="ours", base=base, rank=rank, tokens=tokens, precision=precision, steps=steps)


def _wanted() -> list[Point]:
    small = [_ours(SMALL, 64, 16_384), _ours(SMALL, 64, 4_096)]
    middle = [_ours(MIDDLE, 16, 2_048)]
    middle += [_ours(MIDDLE, rank, 32_768, precision) for rank, precision in product((16, 64), ("bf16", "fp8"))]
    large = [_ours(LARGE, rank, 16_384, precision) for rank, precision in product((16, 64), ("bf16", "fp8"))]
    return [*small, *middle, *large]


def _walk() -> list[Point]:
    walked = [_ours(base, rank, tokens) for tokens, rank, base in product(TOKENS, RANKS, SHAPES)]
    for base, rank, precision in product(SHAPES, (16, 64), ("nf4", "fp8")):
        walked.append(_ours(base, rank, _MOST_LARGE if base == LARGE else 32_768, precision))
    return walked


def _every_rank() -> list[Point]:
    return [
        _ours(base, rank, WINDOW, precision, steps=_FEW_STEPS)
        for precision, rank, base in product(_PRECISIONS, EVERY_RANK, SHAPES)
    ]


def _peers() -> list[Point]:
    sizes = [(SMALL, 64, 16_384), (SMALL, 64, 4_096), (MIDDLE, 16, 32_768), (MIDDLE, 64, 32_768), (LARGE, 16, 16_384)]
    sizes += [(LARGE, 64, 16_384), (MIDDLE, 16, 2_048), (SMALL, 16, 16_384), (SMALL, 16, 4_096)]
    sizes += [*product((MIDDLE, LARGE), (16, 64), (4_096,))]
    in_bf16 = [_peer(program, *size, "bf16") for size, program in product(sizes, ("trl", "unsloth"))]
    in_nf4 = [(MIDDLE, 16, 32_768), (LARGE, 16, 16_384)]
    return [*in_bf16, *(_peer(program, *size, "nf4") for size, program in product(in_nf4, ("trl", "unsloth")))]


def _peer(program: str, base: str, rank: int, tokens: int, precision: str) -> Point:
    """At the largest base with checkpointing: without it, neither has the memory for 16,384 tokens."""
    is_large = base == LARGE
    return Point(
        program=program, base=base, rank=rank, tokens=tokens, precision=precision, checkpointing=is_large,
        steps=10 if is_large else 24, warm_up=3 if is_large else 6,
    )  # fmt: skip
