"""What OpenAI's published schema demands of the bodies that this server sends, as JSON schema.

Written from openapi.json of github.com/openai/openai-openapi at f85dbe2 (version 2.3.0, 21 August 2026, MIT licence):
CreateChatCompletionResponse, CreateChatCompletionStreamResponse, CompletionUsage, Model, ListModelsResponse and
ErrorResponse, without the fields that only other services have (audio, tool calls, moderation, tiers). There
`nullable: true` stands beside the type in chunks, which is `or_null` here.
"""

from typing import Any

FINISH_REASONS = ["stop", "length", "tool_calls", "content_filter", "function_call"]
TEXT, INTEGER = {"type": "string"}, {"type": "integer"}


def record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these fields, and no others: a name that they do not publish is found."""
    fields = {**required, **optional}
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def list_of(each: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": each}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_TOKEN = {"token": TEXT, "logprob": {"type": "number"}, "bytes": or_null(list_of(INTEGER))}
_LOGPROBS_OF_TOKENS = or_null(list_of(record({**_TOKEN, "top_logprobs": list_of(record(_TOKEN))})))
_LOGPROBS = or_null(record({"content": _LOGPROBS_OF_TOKENS, "refusal": _LOGPROBS_OF_TOKENS}))
_USAGE = record({"prompt_tokens": INTEGER, "completion_tokens": INTEGER, "total_tokens": INTEGER})
_ROLES = ["developer", "system", "user", "assistant", "tool"]
_OURS = {"vitrine": {"type": "object"}}


def _answer(kind: str, choice: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
    required = {"id": TEXT, "object": {"const": kind}, "created": INTEGER, "model": TEXT, "choices": list_of(choice)}
    return record(required, usage=usage, system_fingerprint=TEXT, **_OURS)


ANSWER = _answer(
    "chat.completion",
    record(
        {
            "index": INTEGER,
            "finish_reason": {"enum": FINISH_REASONS},
            "logprobs": _LOGPROBS,
            "message": record({"role": {"const": "assistant"}, "content": or_null(TEXT), "refusal": or_null(TEXT)}),
        }
    ),
    _USAGE,
)
CHUNK = _answer(
    "chat.completion.chunk",
    record(
        {
            "index": INTEGER,
            "finish_reason": or_null({"enum": FINISH_REASONS}),
            "delta": record({}, role={"enum": _ROLES}, content=or_null(TEXT), refusal=or_null(TEXT)),
        },
        logprobs=_LOGPROBS,
    ),
    or_null(_USAGE),
)
MODEL = record({"id": TEXT, "object": {"const": "model"}, "created": INTEGER, "owned_by": TEXT})
MODELS = record({"object": {"const": "list"}, "data": list_of(MODEL)})
ERROR = record({"error": record({"type": TEXT, "message": TEXT, "param": or_null(TEXT), "code": or_null(TEXT)})})
