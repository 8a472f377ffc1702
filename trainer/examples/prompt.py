"""The prompt that training, evaluation and `vitrine ask` all make from a wording."""

from dataclasses import dataclass
from typing import Final

from transformers import PreTrainedTokenizerBase

from trainer.examples.wordings import TITLE, Wording

_TITLE_MARK: Final = "\x00"
_PLAIN: Final = "### Instruction:\n{question}\n\n### Response:\n"  # for bases without a chat template


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


def prompt_form(tokenizer: PreTrainedTokenizerBase, wording: Wording) -> PromptForm:
    """The prompt's form for this base: in its own chat template, if it has one and the wording is a question."""
    question = wording.question.replace(TITLE, _TITLE_MARK)
    if wording.is_prompt:
        text = question
    elif tokenizer.chat_template:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
    else:
        text = _PLAIN.format(question=question)
    if tokenizer.bos_token and not text.startswith(tokenizer.bos_token):
        text = tokenizer.bos_token + text
    before, after = text.split(_TITLE_MARK)
    return PromptForm(before, after, is_lower=wording.is_lower)
