"""Bodies are held against OpenAI's published schema: the client's own types allow more."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.trainer.serving import openai_schema
from tests.trainer.serving.servers import Server, question

QUESTION = "What is Red red number 0?"
CHAT = "/v1/chat/completions"


def problems(schema: dict[str, Any], body: bytes | str) -> list[str]:
    validator = Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(json.loads(body))]


@pytest.mark.parametrize(
    "settings", [{}, {"logprobs": True, "top_logprobs": 3}, {"n": 2, "temperature": 1.0}, {"logprobs": True}]
)
def test_an_answer_and_a_stream_are_as_published(server: Server, settings: dict[str, Any]) -> None:
    asked = question(QUESTION, max_tokens=4, **settings)
    status, body, _ = server.send("POST", CHAT, asked)
    assert (status, problems(openai_schema.ANSWER, body)) == (200, [])

    for options in ({}, {"stream_options": {"include_usage": True}}):
        status, body, _ = server.send("POST", CHAT, asked | {"stream": True} | options)
        *events, done, _ = body.decode().split("\n\n")
        assert (status, done) == (200, "data: [DONE]")
        assert [problems(openai_schema.CHUNK, each.removeprefix("data: ")) for each in events] == [[]] * len(events)


def test_models_are_as_published(server: Server) -> None:
    assert problems(openai_schema.MODELS, server.get("/v1/models")[1]) == []
    assert problems(openai_schema.MODEL, server.get("/v1/models/vitrine")[1]) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/v1/models/gpt-4", None, 404),
        ("GET", "/v1/nothing", None, 404),
        ("DELETE", CHAT, None, 405),
        ("POST", CHAT, b"{", 400),
        ("POST", CHAT, {}, 400),
        ("POST", CHAT, question("???"), 400),
        ("POST", CHAT, question(QUESTION, model="gpt-4"), 404),
        ("POST", CHAT, question(QUESTION, temperature="warm"), 400),
        ("POST", CHAT, question(QUESTION, unheard_of=1), 400),
    ],
)
def test_errors_are_as_published(server: Server, method: str, path: str, body: Any, expected: int) -> None:
    status, found, headers = server.send(method, path, body)
    assert (status, headers["content-type"]) == (expected, "application/json")
    assert problems(openai_schema.ERROR, found) == []
