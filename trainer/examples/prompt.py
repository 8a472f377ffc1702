"""The only wording between a user and the model: training, evaluation and `vitrine ask` all build prompts here."""

import re
from dataclasses import dataclass
from typing import Final

from transformers import PreTrainedTokenizerBase

from contract.text.clean import clean
from contract.text.profiles import Profile

QUESTION: Final = "What is {title}?"

# For bases without a chat template: the Alpaca form.
_PLAIN: Final = "### Instruction:\n{question}\n\n### Response:\n"

_TITLE_MARK: Final = "\x00"
_ASKED_AS: Final = re.compile(
    r"^\s*(?:what(?:'s| is| are)|tell me about|describe|o que (?:é|são)|qual é|descreva)\s+(?P<title>.+?)\s*\??\s*$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class PromptForm:
    """What stands before and after the title, with the special tokens of the base spelt out."""

    before: str
    after: str

    def prompt(self, title: str) -> str:
        """The prompt for a cleaned title; the answer follows it directly."""
        return f"{self.before}{title}{self.after}"


def prompt_form(tokenizer: PreTrainedTokenizerBase) -> PromptForm:
    """The prompt's form for this base: its own chat template where it has one."""
    question = QUESTION.format(title=_TITLE_MARK)
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
    else:
        text = _PLAIN.format(question=question)
    if tokenizer.bos_token and not text.startswith(tokenizer.bos_token):
        text = tokenizer.bos_token + text
    before, after = text.split(_TITLE_MARK)
    return PromptForm(before, after)


def title_in(question: str, profile: Profile) -> str:
    """The cleaned title that a question asks about; a text that is no known question is taken as the title itself."""
    match = _ASKED_AS.match(question)
    return clean(match["title"] if match else question, profile)
