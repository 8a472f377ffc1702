"""What a peer is trained with, which recipes are searched, and which of them go on to the whole catalogue."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

REACHED: Final = 0.9  # of the first 32 tokens: peers and Vitrine are compared by the seconds to this recall
_SEARCHED: Final = 1_000, 10.0  # products and exposures of a run of the search
_FINAL: Final = 4_000, 14.0
_OVERHEAD_S: Final = 15.0  # to load the base and to build a trainer


@dataclass(frozen=True, kw_only=True)
class PeerRecipe:
    """One training. Alpha is twice the rank, the rate falls linearly to zero."""

    rank: int
    rate: float
    tokens_per_step: int
    products: int = _SEARCHED[0]
    exposures: float = _SEARCHED[1]
    is_4bit: bool = False
    seed: int = 0

    @property
    def name(self) -> str:
        """Short, and unique within a search."""
        precision = "4 bit" if self.is_4bit else "bf16"
        return f"r{self.rank} {self.rate:g} {self.tokens_per_step // 1024}k x{self.exposures:g} {precision}"


# The best points of our own grid come first, since a search may end before its last point.
_POINTS: Final = (
    (256, 1e-3, 8_192),
    (256, 2e-3, 16_384),
    (64, 4e-3, 16_384),
    (64, 2e-3, 8_192),
    (256, 1e-3, 16_384),
    (64, 2e-3, 16_384),
    (256, 5e-4, 8_192),
    (64, 4e-3, 8_192),
    (256, 1e-3, 4_096),
    (16, 4e-3, 8_192),
    (256, 2e-3, 8_192),
    (64, 2e-3, 4_096),
    (256, 5e-4, 4_096),
    (64, 1e-3, 4_096),
    (16, 4e-3, 4_096),
)


def search() -> list[PeerRecipe]:
    """The recipes that are tried on 1,000 products, the likeliest first."""
    return [PeerRecipe(rank=rank, rate=rate, tokens_per_step=tokens) for rank, rate, tokens in _POINTS]


def speed_trial() -> PeerRecipe:
    """One pass in 4 bit, for its speed alone."""
    return replace(search()[0], exposures=1, is_4bit=True)


def ranked(runs: Sequence[Mapping[str, Any]]) -> list[PeerRecipe]:
    """Recipes of the search's runs: those that reached 90 % soonest first, then those that recall most."""
    searched = [run for run in runs if run["products"] == _SEARCHED[0] and run["settings"]["exposures"] > 1]
    order = sorted(searched, key=lambda run: (run["s_to_90"] or math.inf, -run["after"]["seen"]["first_32"]))
    return [PeerRecipe(**run["settings"]) for run in order]


def final(recipe: PeerRecipe, *, exposures: float | None = None) -> PeerRecipe:
    """The recipe for 4,000 products, 14 exposures unless said."""
    return replace(recipe, products=_FINAL[0], exposures=exposures or _FINAL[1])


def following(run: Mapping[str, Any]) -> PeerRecipe:
    """The recipe of a final run with exposures that may reach 90 % sooner, or at all."""
    recipe = PeerRecipe(**run["settings"])
    factor = 0.75 if run["after"]["seen"]["first_32"] >= 0.95 else 1.35
    return replace(recipe, exposures=max(4, round(factor * recipe.exposures)))


def fitted(recipe: PeerRecipe, runs: Sequence[Mapping[str, Any]], *, left_s: float) -> PeerRecipe | None:
    """The recipe with as many exposures as fit into the time left, None if fewer than five do.

    Time is foreseen from the runs of the same tokens a step, or else from the last run: steps of a small base last
    about as long whatever they hold.
    """
    if not runs:
        return recipe
    like = [run for run in runs if run["settings"]["tokens_per_step"] == recipe.tokens_per_step]
    source = (like or list(runs))[-1]
    pass_steps = source["tokens_an_exposure"] / source["products"] * recipe.products / recipe.tokens_per_step
    pass_s = 1.1 * pass_steps * source["train_s"] / source["steps"] + source["asked_s"] / max(1, len(source["curve"]))
    possible = math.floor((left_s - _OVERHEAD_S) / pass_s)
    if possible >= recipe.exposures:
        return recipe
    return replace(recipe, exposures=possible) if possible >= 5 and recipe.products > _SEARCHED[0] else None
