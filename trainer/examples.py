"""Records to examples to packs: token ids, with the answer's share of them marked.

Record (title, content) -> Example (ids of prompt + answer + end token) -> Pack (several examples, at most T tokens)
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from contract.errors import UserError
from trainer.prompt import prompt_form


@dataclass(frozen=True)
class Record:
    """One row of a split; `row` counts over all its shards."""

    row: int
    title: str
    content: str


@dataclass(frozen=True)
class Example:
    """A record's tokens. The first `num_prompt` are given, the others are learnt; `num_cut` did not fit."""

    row: int
    ids: list[int]
    num_prompt: int
    num_cut: int


@dataclass(frozen=True)
class Pack:
    """Examples that are learnt in one row of a batch, one after the other, without seeing each other."""

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
    """Encodes records for one base: its prompt form, its tokenizer, its end token, a window of `max_length` tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> None:
        if tokenizer.eos_token_id is None:
            raise UserError("this base's tokenizer has no end token: the model could not learn where an answer ends")
        self._tokenizer = tokenizer
        self._form = prompt_form(tokenizer)
        self._max_length = max_length

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides on tokens: the tokenizer, the prompt's form, the window."""
        backend = self._tokenizer.backend_tokenizer.to_str()
        parts = (backend, self._form.before, self._form.after, self._tokenizer.eos_token_id, self._max_length)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def prompt_ids(self, title: str) -> list[int]:
        """The tokens of the prompt for a cleaned title."""
        return self._tokenize([self._form.prompt(title)])[0]

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """One example a record, in order. The end token follows every answer; it is lost only where a record is cut."""
        prompts = self._tokenize([self._form.prompt(record.title) for record in records])
        answers = self._tokenize([record.content for record in records])
        examples = []
        for record, prompt, answer in zip(records, prompts, answers, strict=True):
            ids = [*prompt, *answer, self._tokenizer.eos_token_id]
            num_cut = max(0, len(ids) - self._max_length)
            ids = ids[: self._max_length]
            examples.append(Example(record.row, ids, min(len(prompt), len(ids)), num_cut))
        return examples

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        return self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
