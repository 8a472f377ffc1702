"""What is asked of a model, and what comes back. Light: imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from contract.errors import UserError

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen. By default it is the likeliest one (greedy decoding)."""

    temperature: float = 0.0  # 0 is greedy: then top_p and seed have no effect
    top_p: float = 1.0  # sample only from the likeliest tokens that have this probability together
    repetition_penalty: float = 1.0  # above 1, tokens of the prompt and the answer so far become less likely
    seed: int = 0
    logprobs: int = 0  # report the token's log probability, and those of so many of the likeliest tokens

    def __post_init__(self) -> None:
        """Checks ranges; raises ValueError."""
        if not (
            0 <= self.temperature < float("inf")
            and 0 < self.top_p <= 1
            and 0 < self.repetition_penalty < float("inf")
            and self.logprobs >= 0
        ):
            raise ValueError(f"{self}: temperature or logprobs below 0, or top_p or repetition_penalty out of range")


GREEDY = Sampling()


@dataclass(frozen=True, kw_only=True)
class Request:
    """One answer that is wanted."""

    prompt_ids: tuple[int, ...]
    adapter: str | None  # its name in the model; None: the base without an adapter, as before training
    max_new_tokens: int
    sampling: Sampling = GREEDY
    stop: tuple[str, ...] = ()  # the answer ends before the first of these texts

    def __post_init__(self) -> None:
        """Checks ranges; raises ValueError."""
        if not self.prompt_ids or self.max_new_tokens < 1 or "" in self.stop:
            raise ValueError("expected a prompt of at least one token, max_new_tokens >= 1, and no empty stop text")

    @property
    def most_tokens(self) -> int:
        """Tokens of the prompt and of the longest possible answer."""
        return len(self.prompt_ids) + self.max_new_tokens


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """The natural logarithm of a token's probability before temperature and penalty, and of the likeliest tokens'."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Event:
    """What one step adds to an answer.

    The text consists of whole characters, and is empty while a character or a stop text is incomplete; the texts of
    all events together are the answer. An end token counts neither as text nor in the ids. The last event has a finish
    reason: "stop" after an end token or before a stop text, "length" after `max_new_tokens` tokens, "error" where the
    request's adapter cannot be loaded.
    """

    text: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    error: UserError | None = None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A complete answer."""

    text: str
    token_ids: tuple[int, ...]  # without the end token
    finish_reason: FinishReason
    logprobs: tuple[TokenLogprob, ...] = ()
