"""Settings of a training run. Light: read by the command line before anything heavy is imported."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from command.settings import check_settings, setting
from contract.errors import UserError

DEFAULT_BASE: Final = "unsloth/tinyllama-chat-bnb-4bit"
TINY_BASE: Final = "tiny"
SMOLLM2_BASE: Final = "smollm2"
DEFAULT_WORDING: Final = "mixed"

_HOST_AND_PORT: Final = re.compile(r"\w+://[^/]*:\d+")
_WEIGHT: Final = re.compile(r"\d+(\.\d*)?|\.\d+")
_SIZE: Final = re.compile(r"(?P<number>\d+(\.\d+)?) ?((?P<power>[kmgt])(?P<binary>i)?)?b?", re.IGNORECASE)
_LOCAL, _EXPECTED = r"(?s:(?!.*://).*)", "a local folder"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What to train on, from which base, how long and how."""

    data: tuple[str, ...] = setting(
        help="folder or URL of a prepared data set; FOLDER:WEIGHT for each of several, mixed by their weights",
        changes="later steps",  # the stream compares the data sets
    )
    run: str = setting(
        help="folder of the run: adapter, checkpoints, metrics", changes="nothing", matching=_LOCAL, expected=_EXPECTED
    )
    copy_to: str | None = setting(
        None,
        help="URL to copy the run to after each checkpoint; --resume fetches a run that is not on this machine",
        changes="nothing",
    )
    base: str = setting(
        DEFAULT_BASE,
        help="model to adapt: its name on the hub, its local folder or GGUF file, 'smollm2' for a real one of 135 M"
        " parameters in a Python package, or 'tiny' for a small one made here",
    )
    parts: int = setting(
        1,
        help="divide the records by their titles into this many parts and train an adapter for each: several parts at"
        " once, one a GPU",
        least=1,
        most=1_000,
    )
    resume: bool = setting(False, help="go on from the last checkpoint of this run", changes="nothing")
    overwrite: bool = setting(False, help="delete an earlier run in this folder, and start anew", changes="nothing")

    recipe: Literal["remember", "style", "seed"] = setting(
        "remember",
        help="what the training is for, which decides the settings that are not given: remember brings descriptions"
        " back word for word, style is one cheap pass for tone and form, seed is the first version",
    )
    epochs: int | None = setting(
        None, help="number of times that each record is trained (default: as the recipe says)", least=1
    )
    max_steps: int | None = setting(
        None, help="stop after this many optimizer steps (default: no limit)", least=1, changes="later steps"
    )
    limit: int | None = setting(
        None, help="train only the first LIMIT records of each data set (default: all records)", least=1
    )
    skip_damaged: bool = setting(
        False, help="leave out records that cannot be read, count them, and go on", changes="later steps"
    )
    cache: str | None = setting(
        None,
        help="local folder for copies of whole shards, which several runs may share (default: no copies)",
        changes="nothing",
        matching=_LOCAL,
        expected=_EXPECTED,
    )
    cache_limit: str = setting(
        "20GB", help="largest size of the cache: a number of bytes, or as in 500MB or 20GB", changes="nothing"
    )
    max_length: int | None = setting(
        None,
        help="tokens in one pack; a longer record is cut, and counted as cut (default: 2048, less for a few records)",
        least=1,
        most=2**30,
    )
    wording: str = setting(
        DEFAULT_WORDING,
        help="wordings of the question that are trained: mixed (all), english, portuguese, or a single one by its name,"
        " such as what-is, or alpaca for the first version's prompt",
    )
    tokens_per_step: int | None = setting(
        None,
        help="tokens in one optimizer step over all GPUs, padding included: a multiple of MAX_LENGTH (default: as the"
        " recipe says)",
        least=1,
        most=2**40,
    )

    engine: Literal["auto", "native", "unsloth", "plain"] = setting(
        "auto",
        help="what computes: native is our fast engine for GPUs, unsloth is the library Unsloth where you have"
        " installed it, plain is transformers with PEFT, and auto picks what this machine can run and prints why",
    )
    base_precision: Literal["nf4", "bf16", "fp8", "auto"] | None = setting(
        None,
        help="how the native engine holds the base: nf4 needs the least memory, bf16 computes the same in less time,"
        " fp8 is the fastest but remembers less, and auto is bf16 where memory allows it, else nf4"
        " (default: as the recipe says)",
        changes="later steps",  # a resume compares what it decided
    )
    compute_type: Literal["auto", "bf16", "fp16", "fp32"] = setting(
        "auto",
        help="type of activations: auto is bf16 on GPUs that support it, fp16 on other GPUs, and fp32 without a GPU",
    )
    tokens_per_batch: int | None = setting(
        None,
        help="tokens that the native engine or Unsloth computes at once on each GPU (default: as many as fit, found in"
        " a trial; if not even one pack fits, the backward pass computes all layers again, which needs less memory)",
        least=1,
        changes="nothing",
    )

    optimizer: Literal["muon", "adamw"] | None = setting(
        None,
        help="muon remembers with fewer epochs, adamw is what most other programs use (default: as the recipe says)",
    )
    learning_rate: float | None = setting(None, help="peak learning rate (default: as the recipe says)", above=0)
    warmup_steps: int | None = setting(
        None,
        help="optimizer steps in which the learning rate rises to its peak; after them it falls to zero (default: as"
        " the recipe says)",
        least=0,
    )
    adam_beta2: float | None = setting(
        None,
        help="how long AdamW's mean of squared gradients remembers (default: as the recipe says)",
        least=0,
        below=1,
    )
    weight_decay: float = setting(0.01, help="decoupled weight decay of the adapter", least=0)
    max_grad_norm: float = setting(0.6, help="largest norm of the gradient; a larger gradient is scaled down", above=0)
    lora_rank: int | None = setting(
        None,
        help="rank of the LoRA matrices, which all linear layers get (default: as the recipe says)",
        least=1,
        most=2**16,
    )
    lora_alpha: int | None = setting(
        None, help="the LoRA update is scaled by LORA_ALPHA / LORA_RANK (default: as the recipe says)", least=1
    )
    lora_dropout: float = setting(0.0, help="share of the LoRA input that is dropped in training", least=0, below=1)

    seed: int = setting(
        0, help="seed of the order of the records and of the adapter's first values", least=0, below=2**63
    )
    save_every: int = setting(500, help="optimizer steps between checkpoints", least=1, changes="nothing")
    save_minutes: float = setting(
        10.0,
        help="minutes without a checkpoint after which one is written; the next one replaces it",
        above=0,
        changes="nothing",
    )
    ledger: bool = setting(False, help="write into RUN/ledger which records each step has trained", changes="nothing")
    recall: bool = setting(
        True,
        help="measure on a small sample, while training and at its end, how much of the catalogue comes back word for"
        " word",
        changes="nothing",
    )
    log_every: int = setting(
        10, help="optimizer steps between printed lines; RUN/metrics.jsonl gets every step", least=1, changes="nothing"
    )

    def __post_init__(self) -> None:
        """Checks all settings; UserError lists everything that is wrong."""
        problems = _size_problems(self)
        problems += _problems("data", parse_data, *self.data)
        problems += _problems("cache_limit", parse_size, self.cache_limit)
        if self.cache is None and self.cache_limit != type(self).cache_limit:
            problems.append(f"cache_limit = {self.cache_limit!r} without a cache")
        if self.parts > 1 and self.base == TINY_BASE:
            problems.append(
                f"parts = {self.parts} with the base {TINY_BASE!r}, which each part would make anew; expected one base"
                " for all parts: the name of a model or its folder"
            )
        if self.resume and self.overwrite:
            problems.append("resume and overwrite exclude each other")
        check_settings(self, *problems)


def _size_problems(config: TrainConfig) -> list[str]:
    """What is wrong with the sizes of packs, batches and steps, as far as they are known."""
    problems = []
    length, tokens = config.max_length or 0, config.tokens_per_step or 0
    if length > 0 and tokens % length:
        problems.append(f"tokens_per_step = {tokens}, expected a multiple of max_length = {length}")
    if config.engine in ("native", "unsloth") and (config.tokens_per_batch or length) < length:
        problems.append(f"tokens_per_batch = {config.tokens_per_batch}, expected at least max_length = {length}")
    return problems


def parse_size(text: str) -> int:
    """Bytes in a size such as '500MB' (decimal), '2GiB' (binary) or '1000000'; UserError if it is not a size.

    >>> parse_size("20GB"), parse_size("1.5 MiB")
    (20000000000, 1572864)
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UserError(f"{text!r}, expected a number of bytes, or one with kB, MB, GB, TB, KiB, MiB, GiB or TiB")
    unit = 1024 if found["binary"] else 1000
    return int(Fraction(found["number"]) * unit ** " kmgt".index((found["power"] or " ").lower()))


def parse_data(text: str) -> tuple[str, Fraction]:
    """The folder and the weight in `FOLDER:WEIGHT`; without a weight it is 1. UserError if it is not a positive number.

    A colon belongs to the folder if a slash or backslash follows it, if a local folder of the whole name exists, or if
    it stands before the port of a URL that is only a host.

    >>> parse_data("data:0.7"), parse_data("s3://bucket/10:30/")
    (('data', Fraction(7, 10)), ('s3://bucket/10:30/', Fraction(1, 1)))
    """
    root, _, weight = text.rpartition(":")
    if not root or "/" in weight or "\\" in weight or _HOST_AND_PORT.fullmatch(text) or os.path.isdir(text):
        return text, Fraction(1)
    if not _WEIGHT.fullmatch(weight) or not Fraction(weight):
        raise UserError(
            f"{text!r}: the weight of {root} must be a positive number such as 0.5, found {weight!r}; if that is"
            f" part of the folder's name, add a slash: '{text}/'"
        )
    return root, Fraction(weight)


def is_at_least(least: int, value: object) -> bool:
    """Whether the value is an integer of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _problems(name: str, parse: Callable[[str], object], *texts: str) -> list[str]:
    """The errors of those texts of a setting that cannot be parsed."""
    problems = []
    for text in texts:
        try:
            parse(text)
        except UserError as error:
            problems.append(f"{name} = {error}")
    return problems


@dataclass(frozen=True, kw_only=True)
class RecallConfig:
    """A trained run, and how many records to ask it about."""

    run: str = setting(help="folder of a training run")
    data: tuple[str, ...] | None = setting(
        None, help="folders or URLs of the data sets that the run was trained on (default: where they were then)"
    )
    sample: int = setting(1_000, help="largest number of seen records to measure, and of unseen ones", least=1)
    all: bool = setting(False, help="measure all records, seen and unseen")
    overwrite: bool = setting(False, help="replace a report in the run's folder even if it is made from more records")
    json: bool = setting(False, help="print the report as JSON")

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        both = self.all and self.sample != type(self).sample
        check_settings(self, *["all and sample exclude each other"] * both)
