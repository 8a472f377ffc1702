"""From a chat request to what is computed for it: the title, its place in the catalogue, and a prompt."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from secrets import randbits
from typing import Any, Final

from contract.errors import UserError
from contract.text.clean import clean
from trainer.answers.answerer import Answerer
from trainer.examples.questions import Asked, asked_about
from trainer.generation.request import Request, Sampling
from trainer.lookup.catalogue import Catalogue, Found
from trainer.lookup.support import supported_spans
from trainer.serving.schema import ApiError, ChatRequest, notes_on

AFTER: Final = "vitrine"
BEFORE: Final = "vitrine-before"
MODELS: Final = (AFTER, BEFORE)


@dataclass(frozen=True)
class Question:
    """What is known of a request before its answer."""

    title: str
    found: Found | None  # None: nothing was looked up
    notes: tuple[str, ...]
    requests: tuple[Request, ...]  # one for each choice

    def extra(self) -> dict[str, Any]:
        """The field `vitrine` of a body, without what depends on the answer."""
        extra: dict[str, Any] = {"title": self.title, "notes": list(self.notes)}
        if self.found is None:
            return extra | {"in_catalogue": None, "sources": [], "nearest": []}
        sources, nearest = self.found.sources, self.found.nearest
        extra |= {"in_catalogue": bool(sources), "exact": self.found.is_exact, "num_sources": self.found.num_records}
        return extra | {"sources": list(map(asdict, sources)), "nearest": list(map(asdict, nearest))}

    def supported(self, answer: str) -> dict[str, Any]:
        """The number of the source that supports most of the answer, and spans in characters.

        `supported` are those of the answer that this source supports, `quoted` those of its text that the answer has.
        """
        if self.found is None or not self.found.sources:
            return {"best": None, "supported": [], "quoted": []}
        texts = [each.text for each in self.found.sources]
        spans = [supported_spans(answer, text) for text in texts]
        best = max(range(len(texts)), key=lambda number: sum(stop - start for start, stop in spans[number]))
        return {"best": best, "supported": spans[best], "quoted": supported_spans(texts[best], answer)}


@dataclass(frozen=True)
class Questions:
    """All that a question meets before the model."""

    answerer: Answerer
    catalogue: Catalogue | None
    max_question: int
    max_new_tokens: int

    def understand(self, chat: ChatRequest) -> Question:
        """Takes milliseconds, so not in the event loop; ApiError where it cannot be answered."""
        if chat.model not in MODELS:
            raise ApiError(
                404, f"no model of this name; there are {AFTER} and {BEFORE}", param="model", code="model_not_found"
            )
        asked = self._asked(chat)
        requests = self._requests(chat, asked)
        found, notes = None, list(notes_on(chat, most_tokens=self.max_new_tokens))
        if self.catalogue and chat.vitrine.sources:
            try:
                found = self.catalogue.find(asked.title)
            except UserError as error:  # the answer is worth something without it
                print(f"no source for a title: {error}", file=sys.stderr, flush=True)
                notes.append("the catalogue could not be read, so the answer has no source")
        return Question(asked.title, found, tuple(notes), requests)

    def _asked(self, chat: ChatRequest) -> Asked:
        text, profile = chat.messages[-1].text, self.answerer.profile
        if len(text) > self.max_question:
            raise ApiError(
                400,
                f"the question has {len(text):,} characters, expected at most {self.max_question:,}",
                param="messages",
                code="string_above_max_length",
            )
        asked = Asked(clean(text, profile)) if chat.vitrine.as_title else asked_about(text, profile)
        if not asked.title:
            raise ApiError(
                400,
                "the question names no title: nothing of it is left after cleaning",
                param="messages",
                code="no_title",
            )
        return asked

    def _requests(self, chat: ChatRequest, asked: Asked) -> tuple[Request, ...]:
        encoder = self.answerer.encoder
        wording = encoder.wording_for(asked.language)
        seed = randbits(32) if chat.seed is None else chat.seed
        sampling = Sampling(
            temperature=chat.temperature or 0.0,
            top_p=1.0 if chat.top_p is None else chat.top_p,
            repetition_penalty=chat.repetition_penalty or 1.0,
            logprobs=max(1, chat.top_logprobs or 0) if chat.logprobs else 0,
        )
        request = self.answerer.request(
            asked.title,
            max_new_tokens=min(chat.most_tokens or self.max_new_tokens, self.max_new_tokens),
            wording=wording,
            is_before=chat.model == BEFORE,
            sampling=sampling,
            stop=chat.stops,
        )
        self._check(request.prompt_ids, plain=encoder.prompt_ids("a", wording=wording))
        return tuple(
            replace(request, sampling=replace(sampling, seed=(seed + number) % 2**63)) for number in range(chat.n or 1)
        )

    def _check(self, prompt: Sequence[int], *, plain: Sequence[int]) -> None:
        """Raises ApiError for a prompt that is too long, or has other special tokens than that of a plain title."""
        window = self.answerer.encoder.max_length
        if len(prompt) >= window:
            raise ApiError(
                400,
                f"the title and its question have {len(prompt):,} tokens, expected fewer than {window:,}: ask about a"
                " shorter title",
                param="messages",
                code="context_length_exceeded",
            )
        special = set(self.answerer.tokenizer.all_special_ids)
        if [each for each in prompt if each in special] != [each for each in plain if each in special]:
            raise ApiError(
                400,
                "the title reads as a special token of this model's tokenizer",
                param="messages",
                code="special_token",
            )
