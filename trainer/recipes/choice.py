"""The recipe of a run: what the user has set, and for the rest what was measured to be good.

"The grid" is bench/results/learn-h100.json, which docs/learning.md explains: SmolLM2-135M-Instruct on catalogues of
500 to 20,000 records.
"""

import math
from dataclasses import asdict
from typing import Final

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.recipes.recipe import MEASURED_HIDDEN, SEED, Catalogue, Machine, Optimizer, Recipe

_WINDOW: Final = 2_048
_FEWEST_STEPS: Final = 64
_FEW: Final = 100  # records, below which a small adapter and small steps are enough


def choose_recipe(config: TrainConfig, catalogue: Catalogue, *, machine: Machine) -> tuple[Recipe, str]:
    """The recipe in force, and why it is so. Settings that the user gave stand, and others follow them.

    UserError where the sizes of packs and steps cannot be made to fit.
    """
    require_positions(config, machine)
    if config.optimizer == "muon" and config.adam_beta2 is not None and not config.resume:
        raise UserError(f"adam_beta2 = {config.adam_beta2} with optimizer = 'muon', which has no such setting")
    if config.recipe == "seed":
        return seed_recipe(config, machine), "the first version's settings, which remember nothing"
    rank = config.lora_rank or (
        rank_to_remember(catalogue.num_records, is_rank_free=machine.is_rank_free)
        if config.recipe == "remember"
        else 64
    )
    length, tokens = sizes(
        catalogue,
        max_length=config.max_length,
        tokens_per_step=config.tokens_per_step,
        most=min(_WINDOW, machine.positions or _WINDOW),
    )
    steps_an_epoch = catalogue.num_records * catalogue.tokens_a_record / tokens
    optimizer = config.optimizer or optimizer_of(config)
    if config.recipe == "remember":
        epochs = exposures_to_remember(
            catalogue.num_records, rank=rank, steps_an_epoch=steps_an_epoch, optimizer=optimizer
        )
        steps = max(1.0, steps_an_epoch * (config.epochs or epochs))
        rate = rate_to_remember(rank, tokens_per_step=tokens, steps=steps, hidden=machine.hidden, optimizer=optimizer)
        why = f"to bring {catalogue.num_records:,} descriptions back word for word"
    else:
        epochs, rate = 1, rate_of_style(hidden=machine.hidden)
        why = "one pass for tone and form, which remembers next to nothing"
    recipe = Recipe(
        epochs=config.epochs or epochs,
        max_length=length,
        tokens_per_step=tokens,
        optimizer=optimizer,
        learning_rate=config.learning_rate or rate,
        warmup_steps=SEED.warmup_steps if config.warmup_steps is None else config.warmup_steps,
        adam_beta2=beta2(rank) if config.adam_beta2 is None else config.adam_beta2,
        lora_rank=rank,
        lora_alpha=config.lora_alpha or 2 * rank,
        base_precision=config.base_precision or "auto",
    )
    return recipe, why


def require_positions(config: TrainConfig, machine: Machine) -> None:
    """Raises UserError where the window that the user gave is longer than a text that the base can read."""
    if machine.positions and (config.max_length or 0) > machine.positions:
        raise UserError(
            f"max_length = {config.max_length}, expected at most {machine.positions}: the base has no positions for"
            " longer texts (max_position_embeddings in its config.json)"
        )


def recipe_text(config: TrainConfig, recipe: Recipe, *, why: str) -> str:
    """The recipe in words, for a person: its values, and which of them the user gave."""
    given = [name for name in asdict(recipe) if getattr(config, name) is not None]
    as_given = f"; as given: {', '.join(given)}" if given else ""
    if config.resume:
        as_given = "; as the run began"
    passes = f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"
    return (
        f"recipe {config.recipe}: {why}{as_given}\n"
        f"  {passes}, {recipe.tokens_per_step:,} tokens a step, learning rate {recipe.learning_rate:.1e},"
        f" rank {recipe.lora_rank}, alpha {recipe.lora_alpha}"
    )


def rank_to_remember(num_records: int, *, is_rank_free: bool) -> int:
    """The rank of the adapter.

    Where a step costs the same at each rank, 256: at 4,000 records and 10 exposures the grid's whole answers are 23 %
    at rank 64, 52 % at 128, 67 % at 256 and 75 % at 512, which is twice as large for little more. Elsewhere 64: a step
    costs more with the rank, and the Triton kernels have no shared memory for 128. 32 was enough for 24 records.
    """
    if num_records < _FEW:
        return 32
    return 256 if is_rank_free else 64


def optimizer_of(config: TrainConfig) -> Optimizer:
    """Muon to remember: the grid's 4,000 records come back after 9 exposures (96 % whole), where AdamW needs 12.

    AdamW for one pass of style, which was measured with it, and where the user sets what AdamW alone has.
    """
    return "muon" if config.recipe == "remember" and config.adam_beta2 is None else "adamw"


def exposures_to_remember(num_records: int, *, rank: int, steps_an_epoch: float, optimizer: Optimizer) -> int:
    """How often each record is trained, more often than this only where an epoch has hardly a step.

    With Muon `12 (records / 4,000)^(1/5) (256 / rank)^(1/6)`, 12 to 30 times: at rank 256 and in all wordings 12 were
    enough for 1,000 and 4,000 records (99.5 and 99.4 % whole), and 10 for 97.2 % of 4,000. The law of recall, fitted to
    as many as 8,000 records, leaves a margin for this many.

    With AdamW `20 (records / 4,000)^(1/3) (64 / rank)^(1/5)`, 18 to 40 times: in all wordings 1,000 records came back
    at 87 % after 12, four times 5,000 at 98.3 to 99 % after 16. Above 30 nothing was measured. 24 records on a CPU took
    64 steps of 6 records: fewer steps leave the rate no time to rise and to fall.
    """
    if optimizer == "muon":
        wanted = 12 * max(1.0, num_records / 4_000) ** (1 / 5) * max(1.0, 256 / rank) ** (1 / 6)
        wanted = min(30.0, wanted)
    else:
        wanted = min(40.0, max(18.0, 20 * (num_records / 4_000) ** (1 / 3) * (64 / rank) ** (1 / 5)))
    return max(math.ceil(_FEWEST_STEPS / max(1.0, steps_an_epoch)), round(wanted))


def rate_to_remember(rank: int, *, tokens_per_step: int, steps: float, hidden: int, optimizer: Optimizer) -> float:
    """The peak learning rate of a run of so many steps. On larger bases it is assumed to be lower.

    Muon moves by the rate at each step, whatever the gradient's size, so that few steps bear a higher rate: 1e-3 is the
    best for 833 steps at rank 256, and half of it or twice as much is worse. 497 records come back for 84 % after 6
    exposures at 2.5e-3 and for 29 % at 7e-4; 8,000 records after 9 for 87 % at 6.7e-4 and for 62 % at 1e-3.

    AdamW's best rates in the grid have rate x rank / tokens a step at about 3e-5: 4e-3 at rank 64 and 1e-3 at rank 256,
    both with 8,192 tokens; 2e-3 at rank 64 with 4,096. Four times as much made rank 256 forget (11 % whole instead of
    67 %). Few records bear more than that product: 1e-3 at rank 256 with 4,096 tokens on 497 records.
    """
    if optimizer == "muon":
        rate = min(4e-3, max(1e-4, 1e-3 * math.sqrt(256 / rank * 833 / steps)))
    else:
        lowest = 2e-3 * min(1.0, math.sqrt(64 / rank))
        rate = min(3e-3, max(lowest, 3.05e-5 * tokens_per_step / rank))
    return _rounded(rate * share_of_rate(hidden))


def rate_of_style(*, hidden: int) -> float:
    """The peak learning rate of one pass: at 1e-3 the grid's loss on unseen records is near its best after two."""
    return _rounded(1e-3 * share_of_rate(hidden))


def beta2(rank: int) -> float:
    """AdamW's second beta: all of the grid's good points of rank 128 and more have 0.99, those of lower ranks 0.999."""
    return 0.99 if rank >= 128 else 0.999


def sizes(
    catalogue: Catalogue, *, max_length: int | None, tokens_per_step: int | None, most: int = _WINDOW
) -> tuple[int, int]:
    """Tokens in a pack and in a step, the second a multiple of the first; a pack has at most `most`.

    A step holds about as many records as an epoch has steps, in a power of two of tokens, up to 8,192 tokens and below
    1,000 records up to 4,096. So 24 records have 4 steps of 6 records, and 4,000 have 105 of 38, as was measured. Small
    steps are the better recipe (41 % whole with 4,096 tokens, 25 % with 8,192), large ones the faster.
    """
    most_a_step = 8_192 if catalogue.num_records >= 1_000 else 4_096
    wanted = max(1.0, catalogue.tokens_a_record * math.sqrt(catalogue.num_records))
    tokens = tokens_per_step or min(most_a_step, 2 ** round(math.log2(wanted)))
    if max_length is None:
        longest = -(-catalogue.longest // 64) * 64 if catalogue.is_whole else most
        max_length = min(most, tokens_per_step or max(tokens, longest))
    if tokens_per_step is None:
        tokens = max_length * max(1, round(tokens / max_length))
    elif tokens_per_step % max_length:
        raise UserError(
            f"tokens_per_step = {tokens_per_step}, expected a multiple of max_length = {max_length}: give --max-length"
        )
    return max_length, tokens


def seed_recipe(config: TrainConfig, machine: Machine) -> Recipe:
    """The first version's settings, where the user gave no others and the base can read texts of that length."""
    values = {name: getattr(config, name) for name in asdict(SEED)}
    if config.max_length is None and machine.positions and machine.positions < SEED.max_length:
        values["max_length"] = machine.positions
    if config.tokens_per_step is None and (length := values["max_length"]) is not None:
        values["tokens_per_step"] = length * max(1, round(SEED.tokens_per_step / length))
    return Recipe(**asdict(SEED) | {name: value for name, value in values.items() if value is not None})


def share_of_rate(hidden: int) -> float:
    """What a rate of the measured base is multiplied by, on a base of this hidden size: an assumption."""
    return min(1.0, math.sqrt(MEASURED_HIDDEN / hidden))


def _rounded(rate: float) -> float:
    """To two digits."""
    return float(f"{rate:.1e}")
