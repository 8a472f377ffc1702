"""What a run will remember, in words, and what to do where that is not enough."""

from dataclasses import KW_ONLY, dataclass, replace
from typing import Final

from trainer.config import TrainConfig
from trainer.recipes.choice import exposures_to_remember, rate_to_remember, share_of_rate
from trainer.recipes.expectation import (
    MEASURED,
    Expectation,
    Law,
    Training,
    expect,
    is_useless,
    measured_law,
    outside,
    whole_share,
)
from trainer.recipes.recipe import MEASURED_BASE, MEASURED_HIDDEN, Catalogue, Machine, Recipe, is_measured_base

_ENOUGH: Final = 0.9  # share of whole answers below which advice is given
_GOOD: Final = 0.95  # share that the advice promises
_RANKS: Final = (128, 256, 512, 1_024)
_MOST_EXPOSURES: Final = 100
_MOST_PARTS: Final = 1_024
_WORDS: Final = {
    "records": "records",
    "exposures": "times each is trained",
    "rank": "rank",
    "rate": "learning rate",
    "tokens_per_step": "tokens a step",
}


@dataclass(frozen=True)
class Plan:
    """A run, as far as its expectation depends on it."""

    config: TrainConfig
    recipe: Recipe
    catalogue: Catalogue
    _: KW_ONLY
    machine: Machine
    parameters: int  # of the adapter
    is_part: bool = False  # of a run in parts, whose number of parts cannot be changed

    @property
    def law(self) -> Law:
        """Of the run's optimizer."""
        return measured_law(self.recipe.optimizer)

    def expected(self) -> Expectation:
        """What is expected to come back."""
        titles, is_measured = self.catalogue.titles_a_record, is_measured_base(self.machine)
        return expect(self.training(), law=self.law, is_measured_base=is_measured, titles_a_record=titles)

    def why_unknown(self) -> str | None:
        """Why nothing useful can be expected, as a part of a sentence; None where the expectation is worth printing."""
        expected, far = self.expected(), _outside_text(self.training())
        if not is_useless(low=expected.low, high=expected.high):
            return None
        if far:
            return f"these settings lie far from the runs that were measured: {far}"
        return None if is_measured_base(self.machine) else f"only runs on {MEASURED_BASE} were measured"

    def is_stopped(self) -> bool:
        """Whether `max_steps` ends the run before its last epoch."""
        return self.training().exposures < self.recipe.epochs

    def training(self) -> Training:
        """The numbers of the law. A rate is that of the measured base which this base's rate stands for."""
        recipe, catalogue, max_steps = self.recipe, self.catalogue, self.config.max_steps
        steps_an_epoch = max(1.0, catalogue.num_records * catalogue.tokens_a_record / recipe.tokens_per_step)
        exposures = recipe.epochs if max_steps is None else min(recipe.epochs, max_steps / steps_an_epoch)
        return Training(
            records=catalogue.num_records,
            answer_tokens=catalogue.answer_tokens,
            compressed_bits=catalogue.compressed_bits_a_record,
            parameters=self.parameters,
            rank=recipe.lora_rank,
            rate=recipe.learning_rate / share_of_rate(self.machine.hidden),
            tokens_per_step=recipe.tokens_per_step,
            tokens_a_record=catalogue.tokens_a_record,
            exposures=exposures,
            has_wordings=catalogue.has_wordings,
            optimizer=recipe.optimizer,
        )


def expectation_text(plan: Plan) -> str:
    """What is expected of a run, for a person; where that is little, with what to do."""
    expected, num, epochs = plan.expected(), plan.catalogue.num_records, plan.recipe.epochs
    if why := plan.why_unknown():
        end = "the end of the run" if plan.config.recall else "'vitrine recall', which measures it after the run"
        return (
            f"expected: how many of your {num:,} descriptions come back word for word is not known before {end},"
            f" because {why}"
        )
    after = (
        f"--max-steps {plan.config.max_steps}" if plan.is_stopped() else f"{epochs} epoch{'s' if epochs > 1 else ''}"
    )
    lines = [
        f"expected: about {expected.share * num:,.0f} of your {num:,} descriptions come back word for word"
        f" ({expected.share:.1%}, between {expected.low:.1%} and {expected.high:.1%}) after {after}"
    ]
    if num_shared := round(num * (1 - plan.catalogue.titles_a_record)):
        lines.append(
            f"  {num_shared:,} cannot: their title stands for several descriptions, and a model gives back one of them"
        )
    if not is_measured_base(plan.machine):
        lines.append(f"  this was measured on {MEASURED_BASE}, and is only assumed for this base")
    if far := _outside_text(plan.training()):
        lines.append(f"  this lies outside what was measured, so the band is a guess: {far}")
    if plan.recipe.base_precision == "fp8":
        lines.append("  this was measured in 16 bit; a base in fp8 remembers less")
    if _is_little(plan, expected.share):
        lines.append(f"  {_to_remember_more(plan, advice(plan))}")
    return "\n".join(lines)


def reached_text(plan: Plan, share: float | None) -> str:
    """What a run has reached beside what was expected, for a person; None where no seen record was asked."""
    expected = plan.expected()
    reached = "none was asked" if share is None else f"{share:.1%} of the seen records come back whole"
    if plan.why_unknown() is None:
        band = f"between {expected.low:.1%} and {expected.high:.1%}"
        return f"reached: {reached}; expected were {expected.share:.1%}, {band}"
    is_little = share is not None and _is_little(plan, share)
    return f"reached: {reached}" + (f"; {_to_remember_more(plan, 'more --epochs')}" if is_little else "")


def _is_little(plan: Plan, share: float) -> bool:
    """Whether other settings could bring back more: of records that share a title, one comes back at the most."""
    return share < _ENOUGH * plan.catalogue.titles_a_record


def _to_remember_more(plan: Plan, of_recipe: str) -> str:
    """What to do; `of_recipe` where the recipe to remember trains to its end."""
    what = "no --max-steps" if plan.is_stopped() else of_recipe
    return f"to remember more: {what if plan.config.recipe == 'remember' else '--recipe remember'}"


def _outside_text(training: Training) -> str:
    """The numbers that are outside what was measured, with what was; empty if there are none."""
    found = []
    for name in outside(training):
        least, most, value = (_shown(each) for each in (*MEASURED[training.optimizer][name], getattr(training, name)))
        found.append(f"{_WORDS[name]} {value} (measured: {least} to {most})")
    return ", ".join(found)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def advice(plan: Plan) -> str:
    """The settings, each by itself, that are expected to bring back 95 % of the answers."""
    now, law = plan.training(), plan.law
    found = []
    if epochs := enough_exposures(now, law=law):
        found.append(f"--epochs {epochs}")
    if plan.machine.is_rank_free and (rank := enough_rank(now, law=law)):
        found.append(f"--lora-rank {rank}")
    if not plan.is_part and (parts := enough_parts(now, law=law)):
        found.append(f"--parts {parts}")
    found.append("show answers beside the catalogue's own text")
    return ", or ".join(found)


def enough_exposures(training: Training, *, law: Law) -> int | None:
    """The fewest exposures that are enough, at most 100, with the rate that follows; None where they are not."""
    least = int(training.exposures) + 1
    for exposures in range(least, _MOST_EXPOSURES + 1):
        changed = replace(training, exposures=exposures)
        if _is_good(replace(changed, rate=training.rate * rate_of_recipe(changed) / rate_of_recipe(training)), law=law):
            return exposures
    return None


def enough_rank(training: Training, *, law: Law) -> int | None:
    """The lowest higher rank that is enough at the same number of exposures; None where none is."""
    for rank in (each for each in _RANKS if each > training.rank):
        changed = replace(training, rank=rank, parameters=training.parameters * rank // training.rank)
        if _is_good(replace(changed, rate=rate_of_recipe(changed)), law=law):
            return rank
    return None


def enough_parts(training: Training, *, law: Law) -> int | None:
    """The fewest equal parts, each with an adapter of its own, that are enough with the recipe to remember."""
    for parts in range(2, _MOST_PARTS + 1):
        records = -(-training.records // parts)
        exposures = exposures_to_remember(records, rank=training.rank, steps_an_epoch=100, optimizer=training.optimizer)
        changed = replace(training, records=records, exposures=exposures)
        if _is_good(replace(changed, rate=rate_of_recipe(changed)), law=law):
            return parts
    return None


def rate_of_recipe(training: Training) -> float:
    """The rate that the recipe to remember has for such a training of the measured base."""
    return rate_to_remember(
        training.rank, tokens_per_step=training.tokens_per_step, steps=training.steps, hidden=MEASURED_HIDDEN,
        optimizer=training.optimizer,
    )  # fmt: skip


def _is_good(training: Training, *, law: Law) -> bool:
    return whole_share(training, law=law) >= _GOOD
