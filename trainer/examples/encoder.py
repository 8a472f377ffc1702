"""Records to examples to packs: token ids, of which some are the prompt and the others the answer.

Record (title, content) -> Example (ids of prompt + answer + end token) -> Pack (several examples, at most T tokens)
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from contract.errors import UserError
from trainer.config import DEFAULT_WORDING, is_at_least
from trainer.examples.prompt import prompt_form
from trainer.examples.tokens import prompt_encoder, text_encoder


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a split; `row` is its number over all shards."""

    row: int
    title: str
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """A record's tokens: `num_prompt` of the prompt, then those of the answer. `num_cut` more did not fit."""

    row: int
    ids: Sequence[int]
    num_prompt: int
    num_cut: int


@dataclass(frozen=True)
class Pack:
    """Examples that share one row of a batch. The model keeps them apart: none of them sees another."""

    examples: tuple[Example, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens of all examples, without padding."""
        return sum(len(example.ids) for example in self.examples)

    @property
    def num_answer_tokens(self) -> int:
        """Tokens that count in the loss."""
        return sum(len(example.ids) - example.num_prompt for example in self.examples)


class Encoder:
    """Encodes records for one base: its tokenizer, its end token, a wording, a window of `max_length` tokens.

    It can be sent to another process, which then needs no torch: it keeps only the parts of the tokenizer that it uses.
    `identity` is what the tokens depend on, apart from the window. UserError for an unknown wording, for a tokenizer
    without an end token, and where the shortest title and one token of its answer do not fit into the window.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, wording: str = DEFAULT_WORDING) -> None:
        if tokenizer.eos_token_id is None:
            raise UserError("this base's tokenizer has no end token: the model could not learn where an answer ends")
        form = prompt_form(tokenizer, wording)
        parts = (tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token_id)
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        self.identity = {"tokenizer": digest, "prompt form": form.prompt("TITLE")}
        self.end_id: int = tokenizer.eos_token_id
        self.max_length = max_length
        self._texts = text_encoder(tokenizer)
        self._prompts = prompt_encoder(tokenizer, form, self._texts)
        least = len(self.prompt_ids("a")) + 1
        if not is_at_least(least, max_length):
            raise UserError(
                f"max_length = {max_length!r}, expected an integer of at least {least}: the tokens of this base's"
                " prompt for the shortest title, and one token of the answer"
            )

    def prompt_ids(self, title: str) -> list[int]:
        """The tokens of the prompt for a cleaned title."""
        return self._prompts.encode([title])[0].tolist()

    def encode_text(self, text: str, *, row: int = 0) -> Example:
        """A text by itself, without a question and an end token; all tokens but the first count."""
        (ids,) = self._texts.encode([text])
        return Example(row, ids[: self.max_length], 1, max(0, len(ids) - self.max_length))

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """One example for each record, in order. Every answer ends with the end token, unless the record is cut."""
        prompts = self._prompts.encode([record.title for record in records])
        answers = self._texts.encode([record.content for record in records])
        examples = []
        for record, ids, answer in zip(records, prompts, answers, strict=True):
            num_prompt = min(len(ids), self.max_length)
            ids += answer
            ids.append(self.end_id)
            num_cut = max(0, len(ids) - self.max_length)
            del ids[self.max_length :]
            examples.append(Example(record.row, ids, num_prompt, num_cut))
        return examples
