"""What a request to /v1/chat/completions may hold, by OpenAI's schema, and what this server makes of it."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_CHOICES: Final = 16
MOST_STOPS: Final = 4
MOST_LOGPROBS: Final = 20

# Settings of OpenAI's that change no answer here, with any value.
_WITHOUT_EFFECT: Final = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
     "prompt_cache_options", "verbosity", "reasoning_effort", "parallel_tool_calls"}
)  # fmt: skip
# Settings of OpenAI's that this server cannot follow. These values ask for nothing, and some clients always send them.
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "audio": (None,),
    "frequency_penalty": (None, 0),
    "function_call": (None, "none", "auto"),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "modalities": (None, ["text"]),
    "moderation": (None,),
    "prediction": (None,),
    "presence_penalty": (None, 0),
    "response_format": (None, {"type": "text"}),
    "tool_choice": (None, "none", "auto"),
    "tools": (None, []),
    "web_search_options": (None,),
}


class ApiError(Exception):
    """An answer that is an error, in OpenAI's words."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.retry_after = status, message, param, code, retry_after


class TextPart(BaseModel):
    """A part of a message's content."""

    model_config = ConfigDict(strict=True, extra="ignore")
    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(strict=True, extra="ignore")
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """What a stream holds besides the answer."""

    model_config = ConfigDict(strict=True, extra="ignore")
    include_usage: bool | None = None


class Extra(BaseModel):
    """What only this server understands."""

    model_config = ConfigDict(strict=True, extra="forbid")
    as_title: bool = False  # the whole text is the title, even if it reads like a question
    sources: bool = True


_Number = Annotated[float, Field(allow_inf_nan=False)]


class ChatRequest(BaseModel):
    """The body of a request. A field that is None was not given."""

    model_config = ConfigDict(strict=True, extra="allow")
    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=MOST_STOPS)] | None = None
    temperature: Annotated[_Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[_Number, Field(gt=0, le=1)] | None = None
    repetition_penalty: Annotated[_Number, Field(ge=1, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    vitrine: Extra = Extra()

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def most_tokens(self) -> int:
        """The largest length of an answer that was asked for; 0 where none was."""
        return self.max_completion_tokens or self.max_tokens or 0


def read_request(body: bytes) -> ChatRequest:
    """The request in a body of JSON; ApiError says what is wrong with it, without repeating what it holds."""
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise _explained(error) from None
    for name, value in (request.model_extra or {}).items():
        if name in _NEUTRAL:
            # As OpenAI's types have it: True is no number, and [] no empty object.
            if not any(type(value) is type(each) and value == each for each in (*_NEUTRAL[name], 0.0)):
                raise ApiError(
                    400, f"this server does not support {name}; leave it out", param=name, code="unsupported_parameter"
                )
        elif name not in _WITHOUT_EFFECT:
            raise ApiError(
                400, f"Unrecognized request argument supplied: {name[:100]}", param=name[:100], code="unknown_parameter"
            )
    if request.messages[-1].role != "user":
        raise ApiError(400, "the last message must be the user's question", param="messages")
    if any(not stop for stop in request.stops):
        raise ApiError(400, "stop holds an empty text; expected texts that end an answer", param="stop")
    if request.top_logprobs is not None and not request.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs: true", param="top_logprobs")
    if request.stream_options is not None and not request.stream:
        raise ApiError(400, "stream_options needs stream: true", param="stream_options")
    return request


def notes_on(request: ChatRequest, *, most_tokens: int) -> Iterator[str]:
    """What of a request has no effect, or not the whole effect: one sentence each."""
    earlier = request.messages[:-1]
    if any(message.role in ("system", "developer") for message in earlier):
        yield "the system message was ignored: this model was trained on questions about titles alone"
    if any(message.role not in ("system", "developer") for message in earlier):
        yield "earlier messages were ignored: each question is answered by itself, and must name its title"
    if (asked := request.most_tokens) > most_tokens:
        yield f"an answer has at most {most_tokens} tokens here, and {asked} were asked for"


def _explained(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not JSON in UTF-8: {first['msg']}", code="invalid_json")
    # Of a union, pydantic names its branches behind the field.
    path = [str(part) for part in first["loc"] if not str(part).startswith(("list[", "constrained"))]
    param = ".".join(path)[:200] or None
    return ApiError(400, f"{param or 'the body'}: {first['msg']}", param=param, code="invalid_type_or_value")
