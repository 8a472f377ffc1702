"""The wordings of the question, and the prompt that training, evaluation and `vitrine ask` all make from one of them.

A new wording is one more entry of WORDINGS.
"""

import re
from dataclasses import dataclass
from typing import Final

from transformers import PreTrainedTokenizerBase

from contract.errors import unknown_name
from contract.text.clean import clean
from contract.text.profiles import Profile
from trainer.config import DEFAULT_WORDING


@dataclass(frozen=True)
class Wording:
    """How the model is asked about a title."""

    question: str
    plain: str  # the prompt for bases without a chat template
    openings: tuple[str, ...]  # patterns of what people write before the title; understood whatever the run's wording


WORDINGS: Final = {
    DEFAULT_WORDING: Wording(
        question="What is {title}?",
        plain="### Instruction:\n{question}\n\n### Response:\n",  # the Alpaca form
        openings=("what(?:'s| is| are)", "tell me about", "describe"),
    ),
}
_OPENINGS_WITHOUT_WORDING: Final = ("o que (?:é|são)", "qual é", "descreva")

_TITLE_MARK: Final = "\x00"
_ALL_OPENINGS: Final = [*(each for known in WORDINGS.values() for each in known.openings), *_OPENINGS_WITHOUT_WORDING]
_ASKED_AS: Final = re.compile(
    rf"^\s*(?:{'|'.join(_ALL_OPENINGS)})\s+(?P<title>.+?)\s*\??\s*$", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class PromptForm:
    """The text before and after the title, with the special tokens of the base spelt out."""

    before: str
    after: str

    def prompt(self, title: str) -> str:
        """The prompt for a cleaned title; the answer follows it directly."""
        return f"{self.before}{title}{self.after}"


def require_wording(name: str) -> None:
    """Raises UserError with the nearest known name where there is no such wording."""
    if name not in WORDINGS:
        raise unknown_name("wording", name, WORDINGS)


def prompt_form(tokenizer: PreTrainedTokenizerBase, wording: str = DEFAULT_WORDING) -> PromptForm:
    """The prompt's form for this base: in its own chat template if it has one. UserError for an unknown wording."""
    require_wording(wording)
    question = WORDINGS[wording].question.format(title=_TITLE_MARK)
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
    else:
        text = WORDINGS[wording].plain.format(question=question)
    if tokenizer.bos_token and not text.startswith(tokenizer.bos_token):
        text = tokenizer.bos_token + text
    before, after = text.split(_TITLE_MARK)
    return PromptForm(before, after)


def title_in(question: str, profile: Profile) -> str:
    """The cleaned title in a question of any wording; a text that is no such question is itself the title."""
    match = _ASKED_AS.match(question)
    return clean(match["title"] if match else question, profile)
