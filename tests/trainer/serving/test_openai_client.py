"""The official client's own calls work, and each body is what OpenAI's published types allow."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from tests.trainer.serving.servers import Server, question
from trainer.answers.answerer import Answerer, load_answerer

TITLE = "Red red number 0"  # with a record in the data
QUESTION = f"What is {TITLE}?"
OURS = {"vitrine"}


@pytest.fixture(name="answerer", scope="module")
def _answerer(run: Path) -> Answerer:
    return load_answerer(run)


def ask(server: Server, text: str = QUESTION, **others: Any) -> Any:
    body = {"max_tokens": 30, **question(text, **others)}
    return server.client().chat.completions.create(**body)


def unknown_fields(value: BaseModel) -> set[str]:
    """Names in a body that OpenAI's types do not have, at any depth."""
    unknown = set(value.model_extra or {})
    for name in type(value).model_fields:
        inner = getattr(value, name)
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, BaseModel):
                unknown |= unknown_fields(each)
    return unknown


def test_an_answer_is_that_of_vitrine_ask_after_training_and_before(server: Server, answerer: Answerer) -> None:
    after = answerer.answer(TITLE, max_new_tokens=30)
    before = answerer.answer(TITLE, max_new_tokens=30, is_before=True)

    assert after != before
    assert ask(server).choices[0].message.content.strip() == after
    assert ask(server, model="vitrine-before").choices[0].message.content.strip() == before


def test_a_body_is_what_the_published_types_allow(server: Server) -> None:
    status, body, headers = server.send(
        "POST", "/v1/chat/completions", question(QUESTION, logprobs=True, top_logprobs=3)
    )

    assert (status, headers["content-type"]) == (200, "application/json")
    found = ChatCompletion.model_validate_json(body, strict=True)
    assert unknown_fields(found) == OURS
    assert {"id", "object", "created", "model", "choices", "usage"} <= json.loads(body).keys()
    content = found.choices[0].logprobs.content
    assert [len(each.top_logprobs) for each in content] == [3] * found.usage.completion_tokens
    assert "".join(each.token for each in content).strip() == found.choices[0].message.content.strip()
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_a_stream_is_the_same_answer_piece_by_piece(server: Server) -> None:
    whole = ask(server)
    chunks = list(ask(server, stream=True, stream_options={"include_usage": True}))

    first, *middle, last, usage = chunks
    assert first.choices[0].delta.role == "assistant"
    assert all(each.choices[0].delta.role is None for each in middle)
    assert {each.id for each in chunks} == {first.id}
    assert "".join(each.choices[0].delta.content for each in middle) == whole.choices[0].message.content
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == (whole.choices[0].finish_reason, None)
    assert (usage.choices, usage.usage) == ([], whole.usage)
    assert all(each.usage is None for each in chunks[:-1])


def test_a_stream_is_events_of_the_published_types_and_ends_with_done(server: Server) -> None:
    status, body, headers = server.send("POST", "/v1/chat/completions", question(QUESTION, stream=True, max_tokens=5))

    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    *events, done, end = body.decode().split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    for event in events:
        chunk = ChatCompletionChunk.model_validate_json(event.removeprefix("data: "), strict=True)
        assert unknown_fields(chunk) <= OURS
        assert chunk.usage is None


def test_models_are_before_and_after(server: Server) -> None:
    client = server.client()

    assert [model.id for model in client.models.list()] == ["vitrine", "vitrine-before"]
    assert isinstance(client.models.retrieve("vitrine"), Model)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")
    with pytest.raises(openai.NotFoundError) as error:
        ask(server, model="gpt-4")
    assert (error.value.code, error.value.param) == ("model_not_found", "model")


def test_several_choices_follow_from_the_seed(server: Server) -> None:
    sampled = {"n": 3, "seed": 7, "temperature": 1.5}
    first, again = ([each.message.content for each in ask(server, **sampled).choices] for _ in range(2))

    assert first == again
    assert len(set(first)) == 3
    streamed = ["", "", ""]
    for chunk in ask(server, **sampled, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == first


def test_an_answer_ends_before_a_stop_text_and_at_its_largest_length(server: Server) -> None:
    text = ask(server).choices[0].message.content
    stop = text.split()[1]

    stopped = ask(server, stop=[stop, "never"])
    cut = ask(server, max_completion_tokens=2)

    assert stopped.choices[0].message.content == text[: text.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 2)


def test_an_answer_names_its_source_and_the_words_that_it_supports(server: Server) -> None:
    extra = ask(server).vitrine
    (source,) = extra["sources"]

    assert (extra["title"], extra["in_catalogue"], source["title"]) == (TITLE, True, TITLE)
    assert source["text"] == "red red red 0."
    assert (source["uid"], source["row"]) == ("train0-0", 0)
    assert source["shard"].startswith("train/part-00000-")
    assert len(extra["supported"]) == 1


def test_a_title_that_is_not_in_the_catalogue_is_called_so_and_the_nearest_are_offered(server: Server) -> None:
    extra = ask(server, "What is Green steel number 999?").vitrine

    assert (extra["in_catalogue"], extra["sources"], extra["supported"], extra["best"]) == (False, [], [[]], [None])
    assert any("steel number" in each["title"].lower() for each in extra["nearest"])


def test_what_is_ignored_is_said(server: Server) -> None:
    messages = [
        {"role": "system", "content": "Answer in French."},
        {"role": "user", "content": "What is Steel cotton number 3?"},
        {"role": "assistant", "content": "Steel."},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    found = ask(server, messages=messages, max_tokens=100_000, presence_penalty=0, user="somebody")

    assert found.choices[0].message.content == ask(server, max_tokens=100_000).choices[0].message.content
    notes = " ".join(found.vitrine["notes"])
    assert "system message" in notes
    assert "earlier messages" in notes
    assert "100000" in notes


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "messages"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "a"}}]}, "tools"),
        ({"extra_body": {"beams": 4}}, "beams"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
    ids=str,
)
def test_what_is_not_supported_is_a_400_that_names_it(server: Server, change: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        ask(server, **change)

    assert error.value.type == "invalid_request_error"
    assert error.value.param.split(".")[0] == param
