"""The bodies of answers, by OpenAI's schema."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.generation.request import TokenLogprob
from trainer.serving.schema import ApiError

_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


@dataclass(frozen=True)
class Reply:
    """What all bodies of one answer have in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[Mapping[str, Any]], *, usage: Mapping[str, Any], extra: Mapping[str, Any]) -> Any:
        """A complete answer."""
        return self._body("chat.completion", choices) | {"usage": usage, "vitrine": extra}

    def chunk(self, choices: Sequence[Mapping[str, Any]], **others: Any) -> bytes:
        """An event of a stream."""
        return event(self._body("chat.completion.chunk", choices) | others)

    def _body(self, kind: str, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        body = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return body | {"choices": list(choices)}


DONE = b"data: [DONE]\n\n"


def event(body: Mapping[str, Any]) -> bytes:
    """A body as an event of a stream. JSON has no line feed, so one line of data is enough."""
    return b"data: " + as_json(body) + b"\n\n"


def as_json(body: Any) -> bytes:
    """Compact JSON in ASCII: it stays right whatever a client takes for its encoding."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def choice(index: int, text: str, *, finish_reason: str, logprobs: Sequence[Any] | None) -> dict[str, Any]:
    """A choice of a complete answer."""
    message = {"role": "assistant", "content": text, "refusal": None}
    found = None if logprobs is None else {"content": list(logprobs), "refusal": None}
    return {"index": index, "message": message, "logprobs": found, "finish_reason": finish_reason}


def delta(
    index: int, content: Mapping[str, Any], *, finish_reason: str | None = None, logprobs: Sequence[Any] | None = None
) -> dict[str, Any]:
    """A choice of a chunk."""
    found = None if logprobs is None else {"content": list(logprobs), "refusal": None}
    return {"index": index, "delta": content, "logprobs": found, "finish_reason": finish_reason}


def logprob(found: TokenLogprob, decode: Callable[[list[int]], str], *, num_top: int) -> dict[str, Any]:
    """A token of an answer with its log probability, and those of the likeliest tokens in its place."""
    top = [_token(number, value, decode) for number, value in found.top[:num_top]]
    return _token(found.token_id, found.logprob, decode) | {"top_logprobs": top}


def _token(number: int, value: float, decode: Callable[[list[int]], str]) -> dict[str, Any]:
    text = decode([number])
    # The bytes of a token that is no whole character are not known here.
    encoded = None if "\ufffd" in text else list(text.encode())
    return {"token": text, "logprob": max(value, -9999.0), "bytes": encoded}


def usage(*, prompt: int, completion: int) -> dict[str, Any]:
    """How many tokens a request took."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def error_body(error: ApiError) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kind = _TYPES.get(error.status) or ("server_error" if error.status >= 500 else "invalid_request_error")
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def models(names: Sequence[str], *, created: int) -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": [model(name, created=created) for name in names]}


def model(name: str, *, created: int) -> dict[str, Any]:
    """One model."""
    return {"id": name, "object": "model", "created": created, "owned_by": "vitrine"}
