"""What a point of the grid is trained with."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


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
    beta2: float = 0.999
    max_grad_norm: float = 0.6
    sure_probability: float = 2  # tokens that the model gives more count `sure_weight` in the loss (MemFT, Xu 2026)
    sure_weight: float = 1
    rest: int = 0  # passes that a record pauses after it came back whole
    wordings: tuple[str, ...] = ("what_is",)  # drawn for each record and pass
    asked: tuple[str, ...] = ()  # wordings that seen records are asked by at the end
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
