"""What questions need of a base's tokenizer: those of transformers have it, and so has `trainer.bases.plain`."""

from collections.abc import Sequence
from typing import Any, Protocol

from tokenizers import Tokenizer


class BaseTokenizer(Protocol):
    """A tokenizer of the package `tokenizers`, and what a base says of it."""

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """What turns texts into ids."""

    @property
    def all_special_tokens(self) -> Sequence[str]:
        """The tokens that are no text."""

    @property
    def bos_token(self) -> str | None:
        """The token with which each text begins, if there is one."""

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends an answer, if there is one."""

    @property
    def chat_template(self) -> Any:
        """The template of a conversation, if there is one."""

    def apply_chat_template(self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool) -> Any:
        """The text that the template makes of messages."""

    def __call__(self, text: str, *, add_special_tokens: bool) -> Any:
        """The ids of a text, as `input_ids`."""
