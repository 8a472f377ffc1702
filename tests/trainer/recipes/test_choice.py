"""Recipes over a grid of sizes, and those of the measured catalogues."""

from dataclasses import asdict, replace
from itertools import pairwise, product
from typing import Any

import pytest

from contract.errors import UserError
from trainer.config import TrainConfig
from trainer.recipes.choice import choose_recipe, exposures_to_remember, rank_to_remember, seed_recipe, sizes
from trainer.recipes.recipe import SEED, Catalogue, Machine, Optimizer, Recipe

RECORDS = (1, 5, 24, 99, 100, 497, 999, 1_000, 4_000, 20_000, 100_000, 1_390_000)
BASE = Machine(hidden=576, base_parameters=134_000_000)
GIVEN: dict[str, Any] = {
    "epochs": 7,
    "max_length": 300,
    "tokens_per_step": 900,
    "optimizer": "adamw",
    "learning_rate": 0.03,
    "warmup_steps": 0,
    "adam_beta2": 0.5,
    "lora_rank": 3,
    "lora_alpha": 5,
    "base_precision": "fp8",
}


def catalogue(num_records: int, *, tokens: float = 206, longest: int = 400) -> Catalogue:
    return Catalogue(
        num_records=num_records,
        tokens_a_record=tokens,
        answer_tokens=(0.75 * tokens,),
        compressed_bits_a_record=4 * tokens,
        longest=longest,
        is_whole=num_records <= 1_000,
    )


def recipe_of(num_records: int, machine: Machine = BASE, *, tokens: float = 206, **changes: Any) -> Recipe:
    config = TrainConfig(data=("d",), run="r", **changes)
    return choose_recipe(config, catalogue(num_records, tokens=tokens), machine=machine)[0]


def test_what_was_measured_to_be_good_is_chosen() -> None:
    free = replace(BASE, is_rank_free=True)
    measured = {
        (4_000, free, "muon"): (256, 512, 12, 8_192, 8.3e-4, "auto"),
        (4_000, BASE, "muon"): (64, 128, 15, 8_192, 1.5e-3, "auto"),
        (497, free, "muon"): (256, 512, 12, 4_096, 1.7e-3, "auto"),
        (20_000, free, "muon"): (256, 512, 17, 8_192, 3.1e-4, "auto"),
        (4_000, free, "adamw"): (256, 512, 18, 8_192, 1e-3, "auto"),
        (4_000, BASE, "adamw"): (64, 128, 20, 8_192, 3e-3, "auto"),
        (497, free, "adamw"): (256, 512, 18, 4_096, 1e-3, "auto"),
        (20_000, free, "adamw"): (256, 512, 26, 8_192, 1e-3, "auto"),
    }
    names = ("lora_rank", "lora_alpha", "epochs", "tokens_per_step", "learning_rate", "base_precision")
    for (num_records, machine, optimizer), expected in measured.items():
        recipe = asdict(recipe_of(num_records, machine, optimizer=optimizer))
        assert tuple(recipe[name] for name in names) == expected

    small = recipe_of(24, BASE, tokens=81.5)  # on a BASE, with short texts
    assert (small.lora_rank, small.epochs, small.tokens_per_step, small.learning_rate) == (32, 17, 512, 4e-3)
    assert recipe_of(4_000).optimizer == "muon"
    assert recipe_of(4_000, adam_beta2=0.9).optimizer == recipe_of(4_000, recipe="style").optimizer == "adamw"
    with pytest.raises(UserError, match=r"adam_beta2 = 0\.9 with optimizer = 'muon'"):
        recipe_of(4_000, adam_beta2=0.9, optimizer="muon")
    assert (small.warmup_steps, small.base_precision) == (5, "auto")


@pytest.mark.parametrize("machine", [BASE, replace(BASE, is_rank_free=True)])
def test_more_records_never_get_a_smaller_adapter_or_smaller_steps(machine: Machine) -> None:
    recipes = [recipe_of(num_records, machine) for num_records in RECORDS]
    epochs = [max(1, 206 * num / each.tokens_per_step) for num, each in zip(RECORDS, recipes, strict=True)]
    updates = [steps * recipe.epochs for steps, recipe in zip(epochs, recipes, strict=True)]

    for name in ("lora_rank", "tokens_per_step", "max_length"):
        values = [getattr(recipe, name) for recipe in recipes]
        assert values == sorted(values)
    assert all(first / 2 <= second for first, second in pairwise(updates))  # the step doubles at 1,000 records
    assert min(updates) >= 60
    assert all(12 <= recipe.epochs <= 64 and 1e-4 <= recipe.learning_rate <= 4e-3 for recipe in recipes)
    assert all(recipe.epochs <= 40 for recipe, num in zip(recipes, RECORDS, strict=True) if num >= 100)


def test_exposures_grow_with_records_and_fall_with_the_rank() -> None:
    optimizers: tuple[Optimizer, ...] = ("muon", "adamw")
    for rank, (few, many), optimizer in product((1, 32, 64, 256, 4_096), pairwise(RECORDS), optimizers):
        settings: dict[str, Any] = {"steps_an_epoch": 100, "optimizer": optimizer}
        at_few, at_many = (exposures_to_remember(num, rank=rank, **settings) for num in (few, many))
        assert at_few <= at_many
        assert exposures_to_remember(many, rank=2 * rank, **settings) <= at_many
    assert rank_to_remember(20_000, is_rank_free=False) == 64  # the kernels cannot do more


@pytest.mark.parametrize("name", list(GIVEN))
@pytest.mark.parametrize("kind", ["remember", "style", "seed"])
@pytest.mark.parametrize("num_records", [1, 24, 4_000])
def test_what_the_user_sets_stands(kind: str, num_records: int, name: str) -> None:
    config = TrainConfig(data=("d",), run="r", recipe=kind, **{name: GIVEN[name]})
    is_seed = kind == "seed"
    if is_seed and name == "tokens_per_step":  # its packs stay as long as they were: the run refuses this
        return
    recipe = seed_recipe(config, BASE) if is_seed else choose_recipe(config, catalogue(num_records), machine=BASE)[0]

    assert getattr(recipe, name) == GIVEN[name]
    assert recipe.tokens_per_step % recipe.max_length == 0
    replace(config, **asdict(recipe))  # all values are in range


def test_what_follows_from_a_given_value_follows() -> None:
    assert recipe_of(4_000, lora_rank=16).lora_alpha == 32
    assert recipe_of(4_000, lora_rank=512).learning_rate < recipe_of(4_000, lora_rank=256).learning_rate
    assert recipe_of(4_000, max_length=100).tokens_per_step == 8_200
    assert recipe_of(4_000, tokens_per_step=1_000).max_length == 1_000
    assert recipe_of(4_000, replace(BASE, hidden=2_048)).learning_rate == pytest.approx(7.9e-4)
    with pytest.raises(UserError, match="tokens_per_step = 9000, expected a multiple of max_length = 2048"):
        recipe_of(4_000, tokens_per_step=9_000)


def test_all_given_is_the_recipe() -> None:
    assert recipe_of(4_000, **GIVEN) == Recipe(**GIVEN)


def test_a_pack_of_few_records_holds_the_longest_of_them() -> None:
    for num_records, longest in product((1, 3, 24, 99), (30, 512, 1_900)):
        length, tokens = sizes(catalogue(num_records, longest=longest), max_length=None, tokens_per_step=None)
        assert longest <= length <= tokens <= 2_048


def test_seed_is_the_first_version() -> None:
    assert seed_recipe(TrainConfig(data=("d",), run="r", recipe="seed"), BASE) == SEED
    assert SEED.packs_per_step == 8


def test_style_is_one_pass() -> None:
    for num_records in RECORDS:
        assert recipe_of(num_records, recipe="style").epochs == 1
