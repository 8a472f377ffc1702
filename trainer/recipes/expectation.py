"""How many descriptions will come back word for word, said before the first step, by a law fitted to measured runs.

The law (`bench.learn.law` fits it, `law.json` holds it): the share of answers that come back whole is

    most x mean over texts of exp(-(answer tokens / 150) (needed / exposures)^s)
    s = steepness (records / 4,000)^growth

A text comes back if every one of its tokens does, so long texts need more. The exposures needed grow with the records,
with how full the adapter is, and with the distance of the rate from the best one:

    ln needed = ln exposures_needed + of_records ln(records / 4,000) + of_load (825 records / parameters)^(1/4)
                + of_texts ln(bits a text / 825) + of_wordings, where records are asked in several wordings
                + of_low_rate d^2 for d < 0, of_high_rate d^2 for d > 0
    d = ln(rate / best_rate) + 3/4 ln(rank / 256) + of_steps ln(steps / 800)

Bits are those of the texts after compression (LZMA), a number that needs no model: texts that resemble each other have
few, and are harder to tell apart. The powers were chosen by hand. Each optimizer has its own coefficients.
"""

import json
import lzma
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from trainer.recipes.recipe import Optimizer

_MOST_COMPRESSED: Final = 1_000_000  # characters of a sample; LZMA takes a second for them
_LEAST_ERROR: Final = 0.01  # of a share: where nearly all came back, points lay up to 0.008 from the law
_NEAR: Final = math.log(1.25)  # a number that is a quarter above or below what was measured is not outside
_WIDEST: Final = 0.8  # of a band that is worth printing
_ASSUMED_SPREAD: Final = 0.4  # of the logarithm of the exposures needed, on a base that was not measured: 1.5 times


@dataclass(frozen=True, kw_only=True)
class Training:
    """The numbers of a run that decide what comes back."""

    records: int
    answer_tokens: tuple[float, ...]  # lengths of answers with the end token, each of as many records
    compressed_bits: float  # a record
    parameters: int  # of the adapter
    rank: int
    rate: float  # peak learning rate
    tokens_per_step: int
    tokens_a_record: float  # with its prompt
    exposures: float  # times that each record is trained
    has_wordings: bool = False  # whether it is asked in several wordings
    optimizer: Optimizer = "adamw"

    @property
    def steps(self) -> float:
        """Of the whole run, at least one."""
        return max(1.0, self.exposures * self.records * self.tokens_a_record / self.tokens_per_step)


@dataclass(frozen=True, kw_only=True)
class Law:
    """Coefficients of the law above."""

    exposures_needed: float
    steepness: float
    growth: float
    of_records: float
    of_load: float
    of_texts: float
    of_wordings: float
    best_rate: float
    of_low_rate: float
    of_high_rate: float
    of_steps: float
    spread: float  # of the logarithm of the exposures needed: the error of points that were left out of the fit
    most: float = 0.998  # some records share their title with another one


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Shares of answers that come back whole."""

    share: float
    low: float
    high: float


# The runs that the law was fitted to: from the least to the most of each number.
MEASURED: Final[Mapping[Optimizer, Mapping[str, tuple[float, float]]]] = {
    "adamw": {
        "records": (497, 20_000),
        "exposures": (1, 30),
        "rank": (1, 512),
        "rate": (2e-4, 4e-3),
        "tokens_per_step": (4_096, 16_384),
    },
    "muon": {
        "records": (497, 8_000),
        "exposures": (6, 14),
        "rank": (8, 512),
        "rate": (5e-4, 3.6e-3),
        "tokens_per_step": (4_096, 8_192),
    },
}
# How much less sure the logarithm of the exposures needed is for each factor e outside: an assumption, about what the
# law itself changes there.
_UNSURE: Final = {"records": 0.1, "exposures": 0.1, "rank": 0.25, "rate": 0.25, "tokens_per_step": 0.25}


def is_useless(*, low: float, high: float) -> bool:
    """Whether a band is so wide that it tells a person nothing."""
    return high - low > _WIDEST


def measured_law(optimizer: Optimizer) -> Law:
    """The law of SmolLM2-135M-Instruct on an H100."""
    document = json.loads(files(__package__).joinpath("law.json").read_text(encoding="utf-8"))
    return Law(**document[optimizer]["coefficients"])


def expect(training: Training, *, law: Law, is_measured_base: bool, titles_a_record: float = 1.0) -> Expectation:
    """What is expected, with an error band of two standard deviations of the exposures needed, and a point more.

    The band is wider where the base was not measured, and for numbers outside what was measured. Of records that share
    a title, one comes back.
    """
    known = law.spread if is_measured_base else max(law.spread, _ASSUMED_SPREAD)
    spread = 2 * (known + sum(_UNSURE[name] * distance for name, distance in outside(training).items()))
    low, high = (whole_share(training, law=law, times_needed=math.exp(sign * spread)) for sign in (1, -1))
    low, high = max(0.0, low * titles_a_record - _LEAST_ERROR), min(1.0, high * titles_a_record + _LEAST_ERROR)
    return Expectation(share=whole_share(training, law=law) * titles_a_record, low=low, high=high)


def outside(training: Training) -> dict[str, float]:
    """The numbers of a run that lie outside what was measured, each with its distance: the logarithm of the ratio."""
    found = {}
    for name, (least, most) in MEASURED[training.optimizer].items():
        value = max(getattr(training, name), 1e-12)
        if (distance := max(math.log(least / value), math.log(value / most))) > _NEAR:
            found[name] = distance
    return found


def whole_share(training: Training, *, law: Law, times_needed: float = 1.0) -> float:
    """The share of answers that come back whole; `times_needed` makes the exposures needed more or fewer."""
    needed = math.log(times_needed) + log_exposures_needed(training, law=law)
    steepness = law.steepness * (training.records / 4_000) ** law.growth
    at_150 = math.exp(min(5.0, steepness * (needed - math.log(training.exposures))))
    shares = [math.exp(-at_150 * tokens / 150) for tokens in training.answer_tokens]
    return law.most * sum(shares) / len(shares)


def log_exposures_needed(training: Training, *, law: Law) -> float:
    """The logarithm of the exposures after which 37 % of the answers of 150 tokens come back."""
    distance = (
        math.log(training.rate / law.best_rate)
        + 0.75 * math.log(training.rank / 256)
        + law.of_steps * math.log(training.steps / 800)
    )
    return (
        math.log(law.exposures_needed)
        + law.of_records * math.log(training.records / 4_000)
        + law.of_load * (825 * training.records / training.parameters) ** 0.25
        + law.of_texts * math.log(training.compressed_bits / 825)
        + law.of_wordings * training.has_wordings
        + (law.of_low_rate if distance < 0 else law.of_high_rate) * distance**2
    )


def typical_lengths(lengths: Sequence[int], *, num: int = 20) -> tuple[float, ...]:
    """So many lengths that stand for all of these: the middles of as many equal groups of them, by length.

    >>> typical_lengths([1, 2, 3, 9], num=2)
    (2.0, 9.0)
    """
    in_order = sorted(lengths) or [1]
    return tuple(float(in_order[(2 * group + 1) * len(in_order) // (2 * num)]) for group in range(num))


def compressed_bits(texts: Sequence[str]) -> float:
    """Bits a text, after all of them together were compressed: a measure of what there is to remember."""
    joined = "\n".join(texts)[:_MOST_COMPRESSED]
    num = max(1.0, len(texts) * len(joined) / max(1, sum(map(len, texts)) + len(texts) - 1))
    return 8 * len(lzma.compress(joined.encode(errors="replace"))) / num
