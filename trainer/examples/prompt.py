"""The prompt that training, evaluation and `vitrine ask` all make from a wording."""

from dataclasses import dataclass
from typing import Final

from jinja2 import TemplateError

from contract.errors import UserError, first_line
from trainer.examples.tokenizer import BaseTokenizer
from trainer.examples.wordings import TITLE, Wording

_QUESTION_MARK: Final = "\x00Is 'A' < b?\x00"  # a template that changes letters, quotation marks or signs is found out
_PLAIN: Final = ("### Instruction:\n", "\n\n### Response:\n")  # for bases without a chat template
# What a template may raise: it is a small program that came with the base.
_ERRORS: Final = (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_MEND: Final = (
    "give it one that writes a text once and unchanged, or none: then questions take a plain form (it stands in"
    " chat_template.jinja or tokenizer_config.json of a folder, in tokenizer.chat_template of a GGUF file)"
)


@dataclass(frozen=True)
class Frame:
    """The text that a base wants before a question, and between the question and its answer.

    A run keeps the frame that it began with: some templates write the date, and would make another one each day.
    """

    before: str
    after: str


@dataclass(frozen=True)
class PromptForm:
    """The text before and after the title, with the special tokens of the base spelt out."""

    before: str
    after: str
    is_lower: bool = False

    def cased(self, title: str) -> str:
        """The title as this form writes it."""
        return title.lower() if self.is_lower else title

    def prompt(self, title: str) -> str:
        """The prompt for a cleaned title; the answer follows it directly."""
        return f"{self.before}{self.cased(title)}{self.after}"


def prompt_form(tokenizer: BaseTokenizer, wording: Wording, *, frame: Frame | None = None) -> PromptForm:
    """The prompt's form for this base: in the frame, by default the base's own, if the wording is a question."""
    before, after = wording.question.split(TITLE)
    if wording.is_prompt:
        return PromptForm(_begun(before, tokenizer), after, is_lower=wording.is_lower)
    frame = frame or read_frame(tokenizer)
    return PromptForm(frame.before + before, after + frame.after, is_lower=wording.is_lower)


def read_frame(tokenizer: BaseTokenizer) -> Frame:
    """The frame by the base's own chat template, or a plain one if it has none.

    UserError where the template fails, wants a message in parts, or does not write the question once and unchanged.
    """
    before, after = _PLAIN
    if tokenizer.chat_template:
        before, after = _rendered(tokenizer).split(_QUESTION_MARK)
    return Frame(_begun(before, tokenizer), after)


def _rendered(tokenizer: BaseTokenizer) -> str:
    """What the template makes of the mark, which is in it once."""
    try:
        text = _apply(tokenizer, _QUESTION_MARK)
        problem = None
    except _ERRORS as error:
        text, problem = "", f"fails: {first_line(error)}"
    num = text.count(_QUESTION_MARK)
    if num == 1:
        return text
    if _takes_parts(tokenizer):
        problem = "takes the content of a message as a list of parts, expected a text"
    elif num:
        problem = f"writes a question {num} times, expected once"
    raise UserError(f"the base has a chat template that {problem or 'leaves the question out or changes it'}; {_MEND}")


def _takes_parts(tokenizer: BaseTokenizer) -> bool:
    try:
        return _QUESTION_MARK in _apply(tokenizer, [{"type": "text", "text": _QUESTION_MARK}])
    except _ERRORS:
        return False


def _apply(tokenizer: BaseTokenizer, content: str | list[dict[str, str]]) -> str:
    messages = [{"role": "user", "content": content}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _begun(text: str, tokenizer: BaseTokenizer) -> str:
    """The text with the token with which each text of this base begins, if there is one."""
    first = tokenizer.bos_token or ""
    return text if text.startswith(first) else first + text
