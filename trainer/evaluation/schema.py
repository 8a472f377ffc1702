"""RUN/evaluation.json: the answers of a run before and after training, their scores and what follows from them.

Imports nothing heavy.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from contract.errors import UserError
from trainer.runs import names

FORMAT: Final = "vitrine-evaluation/1"

Kind = Literal["seen", "unseen"]
# How an interval was found: `bca` and `percentile` are bootstraps, `wilson` is for shares of titles that all changed
# alike, and with `none` there is no interval: one title, or a score that changed by as much for every title.
Method = Literal["bca", "percentile", "wilson", "none"]
Learned = Literal["remembers", "part", "style", "nothing", "too_few"]


class Source(msgspec.Struct, frozen=True):
    """The place of a record in the catalogue."""

    uid: str
    data: str  # folder or URL of the data set
    shard: str  # path below it
    row: int  # in the shard, from 0


class Answer(msgspec.Struct, frozen=True):
    """One answer and its scores. Those of the true text need no answer: they come from one forward pass."""

    text: str
    tokens: int  # of the answer, without its end token
    ends: bool  # by its end token, before the limit
    rouge_l: float
    chrf: float
    repetition: float
    loss: float  # mean over the tokens of the true text, nats
    right: int  # leading tokens of the true text that the model returns word for word


class Title(msgspec.Struct, frozen=True, kw_only=True):
    """One title, asked before and after training."""

    kind: Kind
    question: str
    title: str
    truth: str
    truth_tokens: int  # with the end token; of a truth that is longer than the run's window, those within it
    is_cut: bool  # longer than the run's window: its end was never trained
    has_trained_text: bool  # an unseen title whose very text was trained under another one; it is in no mean
    source: Source
    before: Answer
    after: Answer


class Paired(msgspec.Struct, frozen=True):
    """A mean over titles before and after training, and the 95 % interval of the difference."""

    before: float
    after: float
    low: float | None
    high: float | None
    method: Method

    @property
    def difference(self) -> float:
        """By how much training changed the mean."""
        return self.after - self.before


class Group(msgspec.Struct, frozen=True):
    """The titles of one kind together."""

    records: int
    titles: int  # different ones; the records of one title count together
    scores: dict[str, Paired]  # by the names in `SCORES`


# In the order of tables. Of the first six more is better.
SCORES: Final = (
    "whole",  # share of records whose whole text comes back word for word, with its end
    "first_32",  # … whose first 32 tokens come back, or all where there are fewer
    "first_8",
    "rouge_l",
    "chrf",
    "ends",
    "perplexity",
    "loss",
    "repetition",
    "tokens",
)


class Gap(msgspec.Struct, frozen=True):
    """Seen titles less unseen ones after training: the difference of a mean, and its 95 % interval."""

    difference: float
    low: float
    high: float


class Verdict(msgspec.Struct, frozen=True):
    """What the scores say about learning."""

    learned: Learned
    by: str | None  # the score that says so
    gap: Gap | None  # of the share whose first 32 tokens come back; None without titles of both kinds


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    format: str = FORMAT
    created_at: str
    run: str
    base: str
    data: list[str]
    dataset_ids: list[str]
    device: str
    max_new_tokens: int
    seconds: float  # from loaded model to scores
    verdict: Verdict
    seen: Group | None
    unseen: Group | None
    titles: list[Title]


def read_evaluation(run: Path) -> Evaluation:
    """The evaluation of the run; UserError if it cannot be read."""
    path = run / names.EVALUATION
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(
            f"{path} is not what this version of 'vitrine evaluate' writes: {error}; run 'vitrine evaluate --run {run}'"
        ) from error
    if found.format != FORMAT:
        raise UserError(f"{path} has the format {found.format!r}, expected {FORMAT!r}: run 'vitrine evaluate' again")
    return found
