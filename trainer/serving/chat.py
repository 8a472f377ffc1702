"""/v1/chat/completions: from a request to a complete answer, or to a stream of its pieces."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from contract.errors import UserError
from trainer.generation.request import Event
from trainer.serving import replies
from trainer.serving.connections import EventStream, read_body, unless_left
from trainer.serving.engine import Engine, EngineStoppedError, FullError, Ticket, UnavailableError
from trainer.serving.metrics import Metrics
from trainer.serving.questions import Question, Questions
from trainer.serving.replies import Reply
from trainer.serving.schema import ApiError, ChatRequest, read_request

_PAUSE_S: Final = 15.0  # proxies close a connection on which nothing moves
_PING: Final = b": still at work\n\n"
_LATE: Final = "the answer was not finished in time; ask for fewer tokens, or later"
_ERRORS: Final = (TimeoutError, EngineStoppedError, UnavailableError, UserError)  # of an engine's answers


@dataclass(frozen=True)
class Chat:
    """What all requests to the chat API share."""

    questions: Questions
    engine: Engine
    metrics: Metrics
    max_body: int
    timeout: float  # seconds

    async def answer(self, http: HttpRequest) -> Response:
        """The response to one request; ApiError where it is refused."""
        begun = asyncio.get_running_loop().time()
        deadline = begun + self.timeout
        try:
            async with asyncio.timeout_at(deadline):
                chat = read_request(await read_body(http, most=self.max_body))
        except TimeoutError as error:
            raise ApiError(408, "the request did not arrive in time", code="late_request") from error
        question = await run_in_threadpool(self.questions.understand, chat)
        try:
            ticket = self.engine.submit(question.requests)
        except FullError as error:
            raise ApiError(
                429, "all slots and the queue are full; try again later", code="rate_limit_exceeded", retry_after=1
            ) from error
        except EngineStoppedError as error:
            raise _api_error(error) from error
        exchange = _Exchange(self, chat, question, ticket, begun, deadline)
        if chat.stream:
            return EventStream(exchange.stream(), timeout=self.timeout + 5, close=exchange.close)
        try:
            return await unless_left(http, exchange.whole())
        finally:
            exchange.close()


@dataclass
class _Choice:
    """An answer as far as it has come."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)
    finish_reason: str = ""

    @property
    def text(self) -> str:
        return "".join(self.texts)


class _Exchange:
    """One request and its answers."""

    def __init__(
        self, of: Chat, chat: ChatRequest, question: Question, ticket: Ticket, begun: float, deadline: float
    ) -> None:
        self._of, self._chat, self._question, self._ticket = of, chat, question, ticket
        self._begun, self._deadline = begun, deadline
        self._reply = Reply(chat.model)
        self._choices = [_Choice() for _ in question.requests]
        self._num_tokens = 0
        self._is_finished = False

    def close(self) -> None:
        """Frees the slots, if the answers are not finished."""
        self._of.engine.cancel(self._ticket)
        if not self._is_finished:
            self._of.metrics.left.inc()

    async def whole(self) -> Response:
        """The complete answer."""
        try:
            async for _ in self._events():
                pass
        except _ERRORS as error:
            raise _api_error(error) from error
        choices = [
            replies.choice(
                index,
                each.text,
                finish_reason=each.finish_reason,
                logprobs=each.logprobs if self._has_logprobs else None,
            )
            for index, each in enumerate(self._choices)
        ]
        body = self._reply.whole(choices, usage=self._usage(), extra=await self._extra())
        return Response(replies.as_json(body), media_type="application/json")

    async def stream(self) -> AsyncIterator[bytes]:
        """The events of a stream: with the first what is known of the title, with the last the supported words."""
        usage: dict[str, Any] = {"usage": None} if self._wants_usage else {}
        role = {"role": "assistant", "content": "", "refusal": None}
        for index in range(len(self._choices)):
            first = {"vitrine": self._question.extra()} if index == 0 else {}
            yield self._reply.chunk([replies.delta(index, role)], **usage, **first)
        try:
            async for found in self._events():
                if chunk := self._chunk(*found, **usage) if found else _PING:
                    yield chunk
        except _ERRORS as error:
            yield replies.event(replies.error_body(_api_error(error)))
            return
        extra = await self._extra()
        reasons = [
            replies.delta(index, {}, finish_reason=each.finish_reason) for index, each in enumerate(self._choices)
        ]
        for number, reason in enumerate(reasons, start=1):
            last = {"vitrine": extra} if number == len(reasons) else {}
            yield self._reply.chunk([reason], **usage, **last)
        if self._wants_usage:
            yield self._reply.chunk([], usage=self._usage())
        yield replies.DONE

    async def _events(self) -> AsyncIterator[tuple[int, Event] | None]:
        """The events of all choices, which are noted in passing."""
        loop, metrics = asyncio.get_running_loop(), self._of.metrics
        metrics.tokens.labels("prompt").inc(self._num_prompt)
        async for found in self._ticket.events(deadline=self._deadline, pause=_PAUSE_S):
            if found:
                index, event = found
                if event.text and not self._choices[index].text:  # an answer begins with its first word
                    event = replace(event, text=event.text.lstrip())
                if not any(each.texts for each in self._choices) and event.text:
                    metrics.first_text.observe(loop.time() - self._begun)
                self._note(self._choices[index], event)
                found = index, event
            yield found
        self._is_finished = True
        metrics.tokens.labels("answer").inc(self._num_tokens)
        metrics.answer.observe(loop.time() - self._begun)

    def _note(self, choice: _Choice, event: Event) -> None:
        choice.texts.append(event.text)
        self._num_tokens += len(event.token_ids)
        choice.finish_reason = event.finish_reason or ""
        if self._has_logprobs:
            choice.logprobs += self._logprobs(event)

    def _chunk(self, index: int, event: Event, **usage: Any) -> bytes:
        """Empty where this step adds nothing that can be shown, such as a part of a character."""
        found = self._logprobs(event) if self._has_logprobs else None
        if not event.text and not found:
            return b""
        return self._reply.chunk([replies.delta(index, {"content": event.text}, logprobs=found)], **usage)

    def _logprobs(self, event: Event) -> list[dict[str, Any]]:
        decode, num_top = self._of.questions.answerer.tokenizer.decode, self._chat.top_logprobs or 0
        return [replies.logprob(each, decode, num_top=num_top) for each in event.logprobs]

    async def _extra(self) -> dict[str, Any]:
        """The field `vitrine`, with the spans of each choice."""
        spans = [await run_in_threadpool(self._question.supported, each.text) for each in self._choices]
        return self._question.extra() | {name: [each[name] for each in spans] for name in spans[0]}

    def _usage(self) -> dict[str, Any]:
        return replies.usage(prompt=self._num_prompt, completion=self._num_tokens)

    @property
    def _num_prompt(self) -> int:
        return len(self._question.requests[0].prompt_ids)

    @property
    def _has_logprobs(self) -> bool:
        return bool(self._chat.logprobs)

    @property
    def _wants_usage(self) -> bool:
        return bool(self._chat.stream_options and self._chat.stream_options.include_usage)


def _api_error(error: Exception) -> ApiError:
    """What a client is told of an answer that an engine does not give, or not in time."""
    if isinstance(error, TimeoutError):
        return ApiError(504, _LATE, code="late_answer")
    if isinstance(error, EngineStoppedError):
        return ApiError(503, "the server has stopped", code="stopping")
    if isinstance(error, UnavailableError):
        return ApiError(
            503, "the part of the model that knows this title cannot be loaded; the log names it", code="part_missing"
        )
    return ApiError(400, str(error), param="messages", code="context_length_exceeded")
