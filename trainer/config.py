"""Settings of a training run. Light: read by the command line before anything heavy is imported."""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from command.settings import setting
from contract.errors import UserError

DEFAULT_BASE: Final = "unsloth/tinyllama-chat-bnb-4bit"
TINY_BASE: Final = "tiny"

_HOST_AND_PORT: Final = re.compile(r"\w+://[^/]*:\d+")
_WEIGHT: Final = re.compile(r"\d+(\.\d*)?|\.\d+")
_SIZE: Final = re.compile(r"(?P<number>\d+(\.\d+)?) ?((?P<power>[kmgt])(?P<binary>i)?)?b?", re.IGNORECASE)

_AT_LEAST_ONE: Final = (
    *("epochs", "max_steps", "limit", "max_length", "tokens_per_step", "tokens_per_batch"),
    *("lora_rank", "lora_alpha", "save_every", "log_every"),
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What to train on, from which base, how long and how; UserError lists every value out of range."""

    data: tuple[str, ...] = setting(
        help="folder or URL of the prepared data set; several times to mix several, as FOLDER:WEIGHT"
    )
    run: str = setting(help="folder of the run: adapter, checkpoints, metrics")
    copy_to: str | None = setting(
        None, help="URL that the run is copied to after each checkpoint; --resume fetches it where there is no RUN"
    )
    base: str = setting(DEFAULT_BASE, help="model hub name, local folder, or 'tiny' for one made on the spot")
    resume: bool = setting(False, help="go on from the last checkpoint of this run")
    overwrite: bool = setting(False, help="replace what is in the run's folder")

    epochs: int = setting(1, help="times that each record is learnt")
    max_steps: int | None = setting(None, help="stop after this many optimizer steps")
    limit: int | None = setting(None, help="learn only the first LIMIT records of each data set")
    skip_damaged: bool = setting(False, help="leave out records that cannot be read, count them, and go on")
    cache: str | None = setting(None, help="local folder for whole copies of shards, which runs of a machine may share")
    cache_limit: str = setting("20GB", help="size that the cache may not exceed, such as 500MB or 20GB, or in bytes")
    max_length: int = setting(2048, help="tokens in one pack; longer records are cut and counted")
    tokens_per_step: int = setting(16_384, help="tokens in one optimizer step over all GPUs, padding included")

    engine: Literal["auto", "native", "unsloth", "plain"] = setting(
        "auto",
        help="what computes: native (fast, for GPUs), unsloth (where it is installed), plain (transformers and PEFT),"
        " auto picks and says why",
    )
    base_precision: Literal["nf4", "bf16", "fp8", "auto"] = setting(
        "nf4",
        help="how the native engine holds the base: nf4 (least memory), bf16 (the same function), fp8 (fastest), or"
        " auto: the fastest in a trial whose loss is that of nf4",
    )
    compute_type: Literal["auto", "bf16", "fp16", "fp32"] = setting(
        "auto", help="type of activations: auto is bf16 on GPUs that have it, fp16 on other GPUs, fp32 without a GPU"
    )
    tokens_per_batch: int | None = setting(
        None,
        help="tokens that the native engine or Unsloth computes at once on each GPU (default: as many as fit, found in"
        " a trial; where not even a pack fits, all layers are computed again in the backward pass)",
    )

    learning_rate: float = setting(2e-4, help="peak learning rate")
    warmup_steps: int = setting(5, help="optimizer steps from zero to the peak learning rate; then it falls to zero")
    weight_decay: float = setting(0.01, help="AdamW weight decay of the adapter")
    max_grad_norm: float = setting(0.6, help="gradients are scaled down to this norm")
    lora_rank: int = setting(16, help="rank of the LoRA matrices, on all linear layers")
    lora_alpha: int = setting(16, help="LoRA scaling is LORA_ALPHA / LORA_RANK")
    lora_dropout: float = setting(0.0, help="dropout before the LoRA matrices")

    seed: int = setting(0, help="seed of the order of records and of the adapter's first values")
    save_every: int = setting(500, help="optimizer steps between checkpoints")
    ledger: bool = setting(False, help="write down in RUN/ledger which records each step learns")
    log_every: int = setting(10, help="optimizer steps between printed lines; metrics.jsonl has every step")

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError with all discrepancies at once."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        limits: tuple[tuple[Callable[[float], bool], str, tuple[str, ...]], ...] = (
            (lambda value: value >= 1, "at least 1", _AT_LEAST_ONE),
            (lambda value: 0 <= value < math.inf, "0 or more, and finite", ("warmup_steps", "weight_decay")),
            (lambda value: 0 <= value < 2**63, "from 0 to below 2^63", ("seed",)),
            (lambda value: 0 < value < math.inf, "more than 0, and finite", ("learning_rate", "max_grad_norm")),
            (lambda value: 0 <= value < 1, "from 0 to below 1", ("lora_dropout",)),
        )
        problems = [
            f"{name} = {values[name]}, expected {expected}"
            for is_right, expected, names in limits
            for name in names
            if name in values and not is_right(values[name])
        ]
        if self.max_length > 0 and self.tokens_per_step % self.max_length:
            problems.append(
                f"tokens_per_step = {self.tokens_per_step}, expected a multiple of max_length = {self.max_length}"
            )
        if self.engine in ("native", "unsloth") and values.get("tokens_per_batch", self.max_length) < self.max_length:
            problems.append(
                f"tokens_per_batch = {self.tokens_per_batch}, expected at least max_length = {self.max_length}"
            )
        problems += _problems("data", parse_data, *self.data)
        problems += _problems("cache_limit", parse_size, self.cache_limit)
        if self.cache is not None and "://" in self.cache:
            problems.append(f"cache = {self.cache!r}, expected a local folder")
        if self.cache is None and self.cache_limit != type(self).cache_limit:
            problems.append(f"cache_limit = {self.cache_limit!r} without a cache")
        if "://" in self.run:
            problems.append(f"run = {self.run!r}, expected a local folder")
        if self.resume and self.overwrite:
            problems.append("resume and overwrite exclude each other")
        if problems:
            raise UserError("; ".join(problems))

    @property
    def packs_per_step(self) -> int:
        """Packs in one optimizer step, over all ranks."""
        return self.tokens_per_step // self.max_length


def parse_size(text: str) -> int:
    """Bytes in a size such as '500MB' (decimal), '2GiB' (binary) or '1000000'; UserError where it is none.

    >>> parse_size("20GB"), parse_size("1.5 MiB")
    (20000000000, 1572864)
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UserError(f"{text!r}, expected a number of bytes, or one with kB, MB, GB, TB, KiB, MiB, GiB or TiB")
    unit = 1024 if found["binary"] else 1000
    return int(Fraction(found["number"]) * unit ** " kmgt".index((found["power"] or " ").lower()))


def parse_data(text: str) -> tuple[str, Fraction]:
    """The folder and the weight in `FOLDER:WEIGHT`; without a weight it is 1. UserError where it is no positive number.

    A colon before a slash or backslash belongs to the folder, and so does one in the name of a local folder that is
    there, or before the port of a URL that is nothing but a host.

    >>> parse_data("data:0.7"), parse_data("s3://bucket/10:30/")
    (('data', Fraction(7, 10)), ('s3://bucket/10:30/', Fraction(1, 1)))
    """
    root, _, weight = text.rpartition(":")
    if not root or "/" in weight or "\\" in weight or _HOST_AND_PORT.fullmatch(text) or os.path.isdir(text):
        return text, Fraction(1)
    if not _WEIGHT.fullmatch(weight) or not Fraction(weight):
        raise UserError(
            f"{text!r}: the weight of {root} must be a positive number such as 0.5, found {weight!r}; where that is"
            f" part of the folder's name, put a slash behind it: '{text}/'"
        )
    return root, Fraction(weight)


def is_at_least(least: int, value: object) -> bool:
    """Whether it is an integer, and no smaller one."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _problems(name: str, parse: Callable[[str], object], *texts: str) -> list[str]:
    """What is wrong with those texts of a setting that cannot be parsed."""
    problems = []
    for text in texts:
        try:
            parse(text)
        except UserError as error:
            problems.append(f"{name} = {error}")
    return problems


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """A question to a trained run."""

    run: str = setting(help="folder of a training run")
    question: str = setting(help="a question like 'What is TITLE?', or just the title")
    max_new_tokens: int = setting(128, help="longest answer, in tokens")
    as_title: bool = setting(False, help="take the text as the title itself, also where it reads like a question")
    json: bool = setting(False, help="print one JSON line when the answer is complete")

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens = {self.max_new_tokens}, expected at least 1")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Titles to ask a trained run about, before and after training."""

    run: str = setting(help="folder of a training run")
    data: tuple[str, ...] | None = setting(None, help="prepared data sets (default: those that the run has learnt)")
    seen: int = setting(10, help="titles of the train split")
    unseen: int = setting(5, help="titles of the val and test splits")
    max_new_tokens: int = setting(128, help="longest answer, in tokens")

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        problems = [
            f"{name} = {value}, expected 0 or more"
            for name, value in (("seen", self.seen), ("unseen", self.unseen))
            if value < 0
        ]
        if self.seen == self.unseen == 0:
            problems.append("seen = 0 and unseen = 0, expected at least one title")
        if self.max_new_tokens < 1:
            problems.append(f"max_new_tokens = {self.max_new_tokens}, expected at least 1")
        if problems:
            raise UserError("; ".join(problems))
