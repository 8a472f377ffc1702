"""A batch with continuous slots: a request joins as soon as there is room, and leaves when its answer ends."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from contract.errors import UserError
from trainer.generation.forward import Forward
from trainer.generation.request import Event, FinishReason, Request, TokenLogprob
from trainer.generation.sampling import Choice, next_tokens
from trainer.generation.text import Decoder, TextStream

# Of the prompts that join in one step, padding included. The most bounds their activations. The first ones are few, and
# tell how many can be computed in the time for which clients that leave may wait.
_MOST_PROMPT_TOKENS: Final = 16_384
_FIRST_PROMPT_TOKENS: Final = 256
_JOINING_S: Final = 0.6

# Takes an adapter's name and those in use; False where no more fit beside those in use.
LoadAdapter = Callable[[str, Collection[str]], bool]


@dataclass
class _Row:
    """An answer that is being written."""

    handle: int
    request: Request
    stream: TextStream
    choice: Choice
    length: int  # tokens of which the model has keys and values
    token: int = 0  # the last one, of which it has none yet
    num_new: int = 0


class Batch:
    """Many answers at once over one model: the base and its adapters, side by side in each forward pass.

    At most `num_slots` answers are written at the same time, and their keys and values, padding included, take at most
    `max_tokens` places. Requests that find no room wait in their order. Not to be used by two threads.

    A request's answer does not depend on the others, apart from rounding. A step costs one forward pass: over the
    prompts of requests that join, as many as take about 0.6 s and at least one; else over the running answers. So the
    slots are full before answers go on, and whoever cancels a request waits for no more than a step.
    """

    def __init__(
        self,
        forward: Forward,
        decoder: Decoder,
        *,
        ends: Iterable[int],
        num_slots: int,
        max_tokens: int,
        load_adapter: LoadAdapter | None = None,
    ) -> None:
        """`ends` are the tokens that end an answer. `load_adapter` is called before a request of an adapter joins."""
        self.num_slots, self.max_tokens = num_slots, max_tokens
        self._decoder = decoder
        self._ends = frozenset(ends)
        self._load_adapter = load_adapter
        self._forward = forward
        self._waiting: deque[tuple[int, Request]] = deque()
        self._rows: list[_Row] = []
        self._num_added = 0
        self._failed: list[tuple[int, Event]] = []
        self._prompt_tokens = _FIRST_PROMPT_TOKENS

    @property
    def num_free(self) -> int:
        """Slots that neither a running nor a waiting request takes."""
        return max(0, self.num_slots - len(self._rows) - len(self._waiting))

    @property
    def is_idle(self) -> bool:
        """Whether no request runs or waits."""
        return not (self._rows or self._waiting)

    def add(self, request: Request) -> int:
        """Takes a request, and gives a handle for its events. UserError if it is too long for the memory."""
        if request.most_tokens > self.max_tokens:
            raise UserError(
                f"a prompt of {len(request.prompt_ids):,} tokens with an answer of up to {request.max_new_tokens:,},"
                f" and memory for {self.max_tokens:,} tokens: ask for a shorter answer"
            )
        self._num_added += 1
        self._waiting.append((self._num_added, request))
        return self._num_added

    @torch.inference_mode()
    def cancel(self, handle: int) -> None:
        """Frees the slot at once; no event follows. An answer that has ended is left alone."""
        self._waiting = deque(each for each in self._waiting if each[0] != handle)
        self._keep([row for row in self._rows if row.handle != handle])

    def step(self) -> list[tuple[int, Event]]:
        """The first token of requests that join, or one more for each running answer if none can; with the handles.

        An answer with a finish reason has left the batch. A request whose adapter cannot be loaded leaves by an error.
        """
        joining = self._joining()
        events = self._start(joining) if joining else self._go_on() if self._rows else []
        failed, self._failed = self._failed, []
        return events + failed

    @torch.inference_mode()
    def _go_on(self) -> list[tuple[int, Event]]:
        rows = list(self._rows)
        logits_NV = self._forward.go_on(
            [row.token for row in rows], [row.length for row in rows], [row.request.adapter for row in rows]
        )
        for row in rows:
            row.length += 1
        return self._taken(rows, logits_NV)

    @torch.inference_mode()
    def _start(self, joining: Sequence[_Row]) -> list[tuple[int, Event]]:
        begun = time.perf_counter()
        logits_NV = self._forward.start(
            [row.request.prompt_ids for row in joining], [row.request.adapter for row in joining]
        )
        self._rows += joining
        events = self._taken(joining, logits_NV)  # tokens on the host, so the device has computed them
        num_tokens = len(joining) * max(len(row.request.prompt_ids) for row in joining)
        affordable = num_tokens * _JOINING_S / (time.perf_counter() - begun)
        self._prompt_tokens = int(min(affordable, _MOST_PROMPT_TOKENS))
        return events

    def _joining(self) -> list[_Row]:
        """The waiting requests, in order, for which there is room now."""
        joining: list[_Row] = []
        while self._waiting and self._has_room(self._waiting[0][1], joining):
            handle, request = self._waiting.popleft()
            try:
                if not self._is_loaded(request, joining):
                    self._waiting.appendleft((handle, request))
                    break
            except UserError as error:
                self._failed.append((handle, Event(finish_reason="error", error=error)))
                continue
            choice = Choice(request.sampling, list(request.prompt_ids))
            stream = TextStream(self._decoder, stop=request.stop)
            joining.append(_Row(handle, request, stream, choice, length=len(request.prompt_ids)))
        return joining

    def _has_room(self, request: Request, joining: Sequence[_Row]) -> bool:
        others = [row.request for row in (*self._rows, *joining)]
        num = len(others) + 1
        widest = max(each.most_tokens for each in (request, *others))
        longest_prompt = max(len(each.prompt_ids) for each in (request, *(row.request for row in joining)))
        if num > self.num_slots or num * widest > self.max_tokens:
            return False
        return not joining or (len(joining) + 1) * longest_prompt <= self._prompt_tokens

    def _is_loaded(self, request: Request, joining: Sequence[_Row]) -> bool:
        """Whether the request's adapter is in memory now; UserError where it cannot be loaded."""
        if request.adapter is None or self._load_adapter is None:
            return True
        others = {row.request.adapter for row in (*self._rows, *joining)}
        return self._load_adapter(request.adapter, {adapter for adapter in others if adapter})

    def _taken(self, rows: Sequence[_Row], logits_NV: Tensor) -> list[tuple[int, Event]]:
        """The events of these rows' next tokens; the rows that end are taken out."""
        tokens, logprobs = next_tokens(logits_NV, [row.choice for row in rows])
        events = [self._event(*each) for each in zip(rows, tokens, logprobs, strict=True)]
        ended = {row.handle for row, event in zip(rows, events, strict=True) if event.finish_reason}
        self._keep([row for row in self._rows if row.handle not in ended])
        return [(row.handle, event) for row, event in zip(rows, events, strict=True)]

    def _event(self, row: _Row, token: int, logprob: TokenLogprob | None) -> Event:
        row.token, row.num_new = token, row.num_new + 1
        reason: FinishReason | None = None
        text = ""
        is_end = token in self._ends
        if not is_end:
            row.choice.seen.append(token)
            text = row.stream.push(token)
        if is_end or row.stream.is_stopped:
            reason = "stop"
        elif row.num_new == row.request.max_new_tokens:
            reason = "length"
        if reason and not row.stream.is_stopped:
            text += row.stream.finish()
            reason = "stop" if row.stream.is_stopped else reason
        return Event(
            text=text,
            token_ids=() if is_end else (token,),
            logprobs=(logprob,) if logprob and not is_end else (),
            finish_reason=reason,
        )

    def _keep(self, kept: Sequence[_Row]) -> None:
        """Takes all other rows out: the last ones that are kept move into the gaps."""
        if len(kept) == len(self._rows):
            return
        stays = {row.handle for row in kept}
        gaps = [place for place, row in enumerate(self._rows[: len(kept)]) if row.handle not in stays]
        late = [place for place in range(len(kept), len(self._rows)) if self._rows[place].handle in stays]
        moves = list(zip(late, gaps, strict=True))
        for origin, target in moves:
            self._rows[target] = self._rows[origin]
        del self._rows[len(kept) :]
        self._forward.keep(moves, num_rows=len(kept), width=max((row.length for row in kept), default=0))
