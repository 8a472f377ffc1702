"""Records to examples to packs: token ids, of which some are the prompt and the others the answer.

Record (title, content) -> Example (ids of prompt + answer + end token) -> Pack (several examples, at most T tokens)
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from contract.columns import KEY_BYTES
from contract.errors import UserError
from trainer.config import DEFAULT_WORDING, is_at_least
from trainer.examples.prompt import Frame, prompt_form, read_frame
from trainer.examples.tokenizer import BaseTokenizer
from trainer.examples.tokens import PromptEncoder, text_encoder
from trainer.examples.wordings import WORDINGS, Language, Wording, draw, find_wordings

_SEAMS: Final = 16  # tokens by which a prompt's frame may differ beside another question


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a split; `row` is its number over all shards, `key` its hash, from which its wordings follow."""

    row: int
    title: str
    content: str
    key: bytes = bytes(KEY_BYTES)


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
    """Encodes records for one base: its tokenizer, its end token, wordings, a window of `max_length` tokens.

    It can be sent to another process, which then needs no torch: it keeps only the parts of the tokenizer that it uses.
    `wordings` are those that are trained; it can encode any other, too. `frame` is what a run has kept; by default the
    base's chat template makes it. `identity` is what the tokens depend on, apart from the window. UserError for a
    tokenizer without an end token or with a template that cannot be used, and where the shortest title and one token of
    its answer do not fit into the window.
    """

    def __init__(
        self,
        tokenizer: BaseTokenizer,
        *,
        max_length: int,
        wordings: Sequence[Wording] = find_wordings(DEFAULT_WORDING),
        frame: Frame | None = None,
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise UserError("this base's tokenizer has no end token: the model could not learn where an answer ends")
        self.wordings = tuple(wordings)
        known = {wording.name: wording for wording in wordings}
        known |= {name: wording for name, wording in WORDINGS.items() if name not in known}
        self.frame = frame or read_frame(tokenizer)
        forms = [prompt_form(tokenizer, wording, frame=self.frame) for wording in known.values()]
        self.forms = dict(zip([wording.name for wording in wordings], forms, strict=False))  # of the trained ones
        parts = (tokenizer.backend_tokenizer.to_str(), tokenizer.eos_token_id)
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
        self.identity = {
            "tokenizer": digest,
            "prompt form": forms[0].prompt("TITLE"),
            "wordings": {wording.name: wording.question for wording in wordings},
            "in lower case": [wording.name for wording in wordings if wording.is_lower],
        }
        self.end_id: int = tokenizer.eos_token_id
        self.max_length = max_length
        self._numbers = {name: number for number, name in enumerate(known)}
        self._texts = text_encoder(tokenizer)
        self._prompts = PromptEncoder(tokenizer, forms, self._texts)
        # The prompts differ in their questions, which have at most a token a byte: mostly no other needs to be encoded.
        longest_question = max(len(wording.question.encode()) for wording in wordings)
        most = self._num_tokens(self.wordings[0].name) + longest_question + _SEAMS
        if not is_at_least(most, max_length):
            self._require_window()

    @cached_property
    def longest_wording(self) -> str:
        """The name of the trained wording with the most tokens."""
        return max((wording.name for wording in self.wordings), key=self._num_tokens)

    def _num_tokens(self, wording: str) -> int:
        """Tokens of the prompt for the shortest title."""
        return len(self.prompt_ids("a", wording=wording))

    def _require_window(self) -> None:
        least, max_length = self._num_tokens(self.longest_wording) + 1, self.max_length
        if not is_at_least(least, max_length):
            raise UserError(
                f"max_length = {max_length!r}, expected an integer of at least {least}: the tokens of this base's"
                " longest prompt for the shortest title, and one token of the answer"
            )

    def prompt_ids(self, title: str, *, wording: str | None = None) -> list[int]:
        """The tokens of the prompt for a cleaned title, in the wording of this name, or in the first trained one."""
        return self._prompts.encode([title], [self._numbers[wording or self.wordings[0].name]])[0].tolist()

    def encode_text(self, text: str, *, row: int = 0) -> Example:
        """A text by itself, without a question and an end token; all tokens but the first count."""
        (ids,) = self._texts.encode([text])
        return Example(row, ids[: self.max_length], 1, max(0, len(ids) - self.max_length))

    def wording_for(self, language: Language | None) -> str:
        """The name of the first trained wording of a language; of the first one of all, if there is none of it."""
        return next((each.name for each in self.wordings if each.language == language), self.wordings[0].name)

    def encode(self, records: Sequence[Record], *, epoch: int = 0) -> list[Example]:
        """One example for each record, in order, each in the wording that is drawn for it in this epoch.

        Every answer ends with the end token, unless the record is cut.
        """
        keys = [record.key for record in records]
        return self._encode(records, draw(keys, epoch=epoch, num=len(self.wordings)).tolist())

    def encode_as(self, records: Sequence[Record], wording: str) -> list[Example]:
        """The same in the wording of this name, trained or not."""
        return self._encode(records, [self._numbers[wording]] * len(records))

    def _encode(self, records: Sequence[Record], numbers: Sequence[int]) -> list[Example]:
        prompts = self._prompts.encode([record.title for record in records], numbers)
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
