"""Records to examples to packs: token ids, with the answer's share of them marked.

Record (title, content) -> Example (ids of prompt + answer + end token) -> Pack (several examples, at most T tokens)
"""

import hashlib
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from contract.errors import UserError
from trainer.config import is_at_least
from trainer.examples.prompt import PromptForm, prompt_form
from trainer.examples.tokens import IDS, Ids, TextEncoder, text_encoder


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a split; `row` counts over all its shards."""

    row: int
    title: str
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """A record's tokens. The first `num_prompt` are given, the others are learnt; `num_cut` did not fit."""

    row: int
    ids: Sequence[int]
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
    """Encodes records for one base: its prompt form, its tokenizer, its end token, a window of `max_length` tokens.

    It can be sent to another process, which then needs no torch: it holds on to the parts of the tokenizer that it
    uses. `identity` names what decides on tokens, besides the window. UserError where not even the shortest title and
    one token of its answer fit into the window.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> None:
        if tokenizer.eos_token_id is None:
            raise UserError("this base's tokenizer has no end token: the model could not learn where an answer ends")
        form = prompt_form(tokenizer)
        parts = (tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token_id)
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        self.identity = {"tokenizer": digest, "prompt form": form.prompt("TITLE")}
        self._end: int = tokenizer.eos_token_id
        self._max_length = max_length
        self._texts = text_encoder(tokenizer)
        self._prompts = _prompt_in_parts(tokenizer, form, self._texts) or _WholePrompts(tokenizer, form)
        least = len(self.prompt_ids("a")) + 1
        if not is_at_least(least, max_length):
            raise UserError(
                f"max_length = {max_length!r}, expected an integer of at least {least}: the tokens of this base's"
                " prompt for the shortest title, and one of the answer"
            )

    def prompt_ids(self, title: str) -> list[int]:
        """The tokens of the prompt for a cleaned title."""
        return self._prompts.encode([title])[0].tolist()

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """One example a record, in order. The end token follows every answer; it is lost only where a record is cut."""
        prompts = self._prompts.encode([record.title for record in records])
        answers = self._texts.encode([record.content for record in records])
        examples = []
        for record, ids, answer in zip(records, prompts, answers, strict=True):
            num_prompt = min(len(ids), self._max_length)
            ids += answer
            ids.append(self._end)
            num_cut = max(0, len(ids) - self._max_length)
            del ids[self._max_length :]
            examples.append(Example(record.row, ids, num_prompt, num_cut))
        return examples


@dataclass(frozen=True)
class _PromptInParts:
    """A prompt of which only the middle, the title and what stands right behind it, is encoded each time."""

    before: Ids
    end: str
    after: Ids
    texts: TextEncoder

    def encode(self, titles: Sequence[str]) -> list[Ids]:
        middles = self.texts.encode_after_blank([title + self.end for title in titles])
        return [self.before + middle + self.after for middle in middles]


@dataclass(frozen=True)
class _WholePrompts:
    """Slow, and a title that spells a special token is read as one: for tokenizers that let nothing be cut off."""

    tokenizer: PreTrainedTokenizerBase
    form: PromptForm

    def encode(self, titles: Sequence[str]) -> list[Ids]:
        return [array(IDS, _ids(self.tokenizer, self.form.prompt(title))) for title in titles]


def _prompt_in_parts(tokenizer: PreTrainedTokenizerBase, form: PromptForm, texts: TextEncoder) -> _PromptInParts | None:
    """A base's prompt, cut at the blank before the title and at the first blank or special token behind it.

    None where the tokenizer gives a whole prompt other ids than its parts.
    """
    specials = "|".join(map(re.escape, tokenizer.all_special_tokens))
    end = re.split(f" |{specials}", form.after, maxsplit=1)[0]
    before = array(IDS, _ids(tokenizer, form.before.removesuffix(" ")))
    afters = set()
    for title in ("Red Kettle 10 cm", "(42), 2nd edition", "É"):
        ids = array(IDS, _ids(tokenizer, form.prompt(title)))
        begin = before + texts.encode_after_blank([title + end])[0]
        afters.add(tuple(ids[len(begin) :]) if ids[: len(begin)] == begin else None)
    after = afters.pop()
    return None if afters or after is None else _PromptInParts(before, end, array(IDS, after), texts)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]
