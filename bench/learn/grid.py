"""What a point of a grid is trained with, and the grids that were walked, by name."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TRAINED: Final = ("what_is", "tell_me", "describe", "o_que_e", "descreva")
_ASKED: Final = ("what_is", "tell_me", "o_que_e", "held_can_you", "held_looking", "held_pt", "brief")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training; `exposures` is how often each record is trained, on average where records rest."""

    name: str
    catalogue: str = "synth"
    products: int | None = None  # the first so many; all where None
    exposures: float = 20
    tokens_per_step: int = 16_384
    rank: int = 64
    alpha: float = 128
    is_rank_stabilised: bool = False  # alpha / sqrt(rank) instead of alpha / rank
    rate: float = 1e-3
    rate_ratio: float = 1  # the rate of B over that of A (LoRA+, Hayou 2024)
    schedule: str = "linear"  # linear, cosine, constant, late: to zero over the last 30 %
    warmup_steps: int = 5
    optimizer: str = "adamw"  # or muon
    beta2: float = 0.999
    max_grad_norm: float = 0.6
    sure_probability: float = 2  # tokens that the model gives more count `sure_weight` in the loss (MemFT, Xu 2026)
    sure_weight: float = 1
    rest: int = 0  # passes that a record pauses after it came back whole
    wordings: tuple[str, ...] = ("what_is",)  # drawn for each record and pass; `trained`: all that the project trains
    asked: tuple[str, ...] = ()  # wordings that seen records are asked by at the end; `all`: every one
    generated: int = 0  # titles whose answers are generated at the end, too
    seed: int = 0
    marks: tuple[float, ...] = field(default=(1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80, 100))

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.is_rank_stabilised else self.rank)

    def rates(self, num_steps: int) -> NDArray[np.float32]:
        """The rate of A at each step."""
        at = np.arange(num_steps)
        warm = np.minimum(1, (at + 1) / max(1, self.warmup_steps))
        left = np.clip((num_steps - at) / max(1, num_steps - self.warmup_steps), 0, 1)
        shapes = {
            "linear": left,
            "cosine": (1 - np.cos(np.pi * left)) / 2,
            "constant": np.ones(num_steps),
            "late": np.minimum(1, (num_steps - at) / (0.3 * num_steps)),
        }
        return (self.rate * np.minimum(warm, shapes[self.schedule])).astype(np.float32)


def recipes(name: str) -> list[Recipe]:
    """The points of a grid, or of a file: a list of settings, or a result with points that were walked."""
    if name in GRIDS:
        return GRIDS[name]()
    if not name.endswith(".json"):
        raise ValueError(f"grid {name!r}, expected a file.json or one of {', '.join(GRIDS)}")
    document = json.loads(Path(name).read_text())
    rows = [point["settings"] for point in document["points"]] if isinstance(document, dict) else document
    return [_recipe(settings) for settings in rows]


def _recipe(settings: dict[str, Any]) -> Recipe:
    read: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    return Recipe(**read)


def _search() -> list[Recipe]:
    """4,000 products, 10 exposures: which knob brings back most."""
    low: dict[str, Any] = {"products": 4_000, "exposures": 10, "tokens_per_step": 8_192, "rate": 2e-3, "marks": (2, 5)}
    fast = low | {"beta2": 0.99}
    wide = fast | {"rank": 128, "alpha": 256}
    widest = fast | {"rank": 256, "alpha": 512}
    return [
        Recipe(
            name="r64 1e-3 16k x20", products=4_000, marks=(2, 5, 10, 15), generated=384,
            asked=("what_is", "held_can_you", "held_looking", "held_pt", "o_que_e", "brief"),
        ),
        Recipe(name="r64 2e-3 8k x10", **low),
        Recipe(name="r64 2e-3 4k x10", **low | {"tokens_per_step": 4_096}),
        Recipe(name="r64 2e-3 4k x10 beta2 .99", **fast | {"tokens_per_step": 4_096}),
        Recipe(name="r64 4e-3 8k x10", **low | {"rate": 4e-3}),
        Recipe(name="r64 4e-3 8k x10 beta2 .99", **fast | {"rate": 4e-3}),
        Recipe(name="r64 2e-3 8k x10 beta2 .99", **fast),
        Recipe(name="r64 2e-3 8k x10 beta2 .99 ratio 4", **fast, rate_ratio=4),
        Recipe(name="r128 2e-3 8k x10 beta2 .99", **wide),
        Recipe(name="r128 2e-3 8k x10 late", **wide, schedule="late"),
        Recipe(name="r128 2e-3 8k x10 rest 2", **wide, rest=2),
        Recipe(name="r128 2e-3 8k x10 sure .95/.1", **wide, sure_probability=0.95, sure_weight=0.1),
        Recipe(name="r256 2e-3 8k x10", **widest),
        Recipe(name="r256 1e-3 8k x10", **widest | {"rate": 1e-3}),
        Recipe(name="r256 2e-3 8k x10 ratio 4", **widest, rate_ratio=4),
        Recipe(name="r512 1e-3 8k x10", **fast | {"rank": 512, "alpha": 1_024, "rate": 1e-3}),
        Recipe(name="r256 2e-3 4k x10", **widest | {"tokens_per_step": 4_096}),
        Recipe(name="r256 2e-3 8k x14", **widest | {"exposures": 14}),
    ]  # fmt: skip


def _real() -> list[Recipe]:
    """The real records."""
    wide: dict[str, Any] = {"catalogue": "real", "tokens_per_step": 4_096, "rank": 256, "alpha": 512, "beta2": 0.99}
    marks = (3, 5, 7, 10)
    return [
        Recipe(name="real r64 1e-3 4k x20", catalogue="real", tokens_per_step=4_096, marks=marks),
        Recipe(name="real r256 2e-3 4k x12", **wide, rate=2e-3, exposures=12, marks=marks),
        Recipe(name="real r256 1e-3 4k x12", **wide, rate=1e-3, exposures=12, marks=marks),
        Recipe(name="real r256 2e-3 4k x16", **wide, rate=2e-3, exposures=16, marks=marks),
    ]


def _capacity() -> list[Recipe]:
    """30 exposures at one rate: what the rank alone decides."""
    sizes = [(rank, records) for rank in (8, 16, 32, 4, 64) for records in (500, 1_000, 2_000)]
    return [
        Recipe(
            name=f"capacity r{rank} n{records}", products=records, rank=rank, alpha=2 * rank, rate=3e-3, exposures=30,
            tokens_per_step=8_192, marks=(10, 20),
        )
        for rank, records in [*sizes, (1, 1_000), (2, 2_000), (1, 2_000)]
    ]  # fmt: skip


def _wordings() -> list[Recipe]:
    """One trained wording against five, asked by others."""
    each: dict[str, Any] = {"products": 1_000, "rate": 3e-3, "tokens_per_step": 8_192, "marks": (5, 10)}
    return [
        Recipe(name="one wording", **each, asked=_ASKED),
        Recipe(name="five wordings", **each, asked=_ASKED, wordings=_TRAINED),
    ]


def _large() -> list[Recipe]:
    """20,000 products."""
    return [
        Recipe(
            name="20,000 r256 1e-3 8k x12", products=20_000, rank=256, alpha=512, rate=1e-3, beta2=0.99, exposures=12,
            tokens_per_step=8_192, marks=(2, 4, 6, 8, 10),
        )
    ]  # fmt: skip


def _recipes() -> list[Recipe]:
    """What the trainer's recipes choose, and points around it that decide its law of recall."""

    def wide(name: str, **changes: Any) -> Recipe:
        given: dict[str, Any] = {"rank": 256, "alpha": 512, "rate": 1e-3, "beta2": 0.99, "tokens_per_step": 8_192}
        return Recipe(name=name, **given | changes)

    def narrow(name: str, **changes: Any) -> Recipe:
        return Recipe(name=name, **{"rate": 3e-3, "tokens_per_step": 8_192} | changes)

    real: dict[str, Any] = {"catalogue": "real", "tokens_per_step": 4_096}
    return [
        narrow("recipe real r64 2e-3 4k x12", **real, rate=2e-3, exposures=12, marks=(3, 6)),
        wide("recipe n1000 r256 1e-3 8k x12", products=1_000, exposures=12, marks=(6,)),
        narrow("recipe n1000 r64 3e-3 8k x13", products=1_000, exposures=13, marks=(6,)),
        wide("recipe n4000 r256 1e-3 8k x15", products=4_000, exposures=15, marks=(5, 10)),
        narrow("recipe n4000 r64 3e-3 8k x20", products=4_000, exposures=20, marks=(5, 10, 15)),
        wide("law n1000 r256 1e-3 8k x6", products=1_000, exposures=6, marks=(3,)),
        narrow("law n1000 r64 3e-3 8k x8", products=1_000, exposures=8, marks=(4,)),
        narrow("law n1000 r8 3e-3 8k x12", products=1_000, rank=8, alpha=16, exposures=12, marks=(6,)),
        wide("law n2000 r256 1e-3 8k x8", products=2_000, exposures=8, marks=(4,)),
        narrow("law n2000 r16 3e-3 8k x12", products=2_000, rank=16, alpha=32, exposures=12, marks=(6,)),
        wide("law real r256 1e-3 4k x6", **real, exposures=6, marks=(3,)),
        narrow("law real r64 2e-3 4k x7", **real, rate=2e-3, exposures=7, marks=(3,)),
        wide("law n4000 r256 1e-3 8k x12", products=4_000, exposures=12, marks=(6,)),
        wide("law n8000 r256 1e-3 8k x12", products=8_000, exposures=12, marks=(4, 8)),
        narrow("style n4000 r64 1e-3 8k x1", products=4_000, rate=1e-3, exposures=1, marks=()),
        Recipe(name="seed n4000 r16 2e-4 16k x1", products=4_000, rank=16, alpha=16, rate=2e-4, exposures=1, marks=()),
    ]  # fmt: skip


GRIDS: Final[dict[str, Callable[[], list[Recipe]]]] = {
    "search": _search,
    "real": _real,
    "capacity": _capacity,
    "wordings": _wordings,
    "large": _large,
    "recipes": _recipes,
}
