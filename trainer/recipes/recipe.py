"""The settings of a run that its recipe decides, and the numbers that a recipe decides by."""

from dataclasses import asdict, dataclass
from typing import Final, Literal

from trainer.config import TrainConfig

Optimizer = Literal["muon", "adamw"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of `TrainConfig` of the same names, each with its value."""

    epochs: int
    max_length: int
    tokens_per_step: int
    optimizer: Optimizer
    learning_rate: float
    warmup_steps: int
    adam_beta2: float
    lora_rank: int
    lora_alpha: int
    base_precision: Literal["nf4", "bf16", "fp8", "auto"]

    @property
    def packs_per_step(self) -> int:
        """Packs in one optimizer step, over all ranks."""
        return self.tokens_per_step // self.max_length


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The records of one epoch. Their lengths are those of a sample, in tokens with prompt and end token."""

    num_records: int
    tokens_a_record: float  # mean
    answer_tokens: tuple[float, ...]  # typical lengths, with the end token, by `expectation.typical_lengths`
    compressed_bits_a_record: float  # of the answers, by `expectation.compressed_bits`
    longest: int  # tokens of the longest record in the longest wording
    is_whole: bool  # whether all records were looked at
    has_wordings: bool = False  # whether records are asked in several wordings
    titles_a_record: float = 1.0  # below 1 where records share a title, which gives back one text; 1 if not counted


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The base and what it is trained on."""

    hidden: int  # size of the base's hidden state
    base_parameters: int
    is_rank_free: bool = False  # whether a step costs the same at each rank
    positions: int | None = None  # tokens of the longest text that the base can read; None where it does not say


MEASURED_BASE: Final = "SmolLM2-135M"
MEASURED_HIDDEN: Final = 576


def is_measured_base(machine: Machine) -> bool:
    """Whether the base has the sizes of the one on which recipes and law were measured."""
    return machine.hidden == MEASURED_HIDDEN and 130e6 < machine.base_parameters < 140e6


# The first version's settings, with which nothing of a catalogue is remembered.
SEED: Final = Recipe(
    epochs=1,
    max_length=2_048,
    tokens_per_step=16_384,
    optimizer="adamw",
    learning_rate=2e-4,
    warmup_steps=5,
    adam_beta2=0.999,
    lora_rank=16,
    lora_alpha=16,
    base_precision="nf4",
)


def recipe_as_given(config: TrainConfig) -> Recipe:
    """The recipe of settings that all have a value, as those of a run that has begun."""
    return Recipe(**{name: getattr(config, name) for name in asdict(SEED)})
