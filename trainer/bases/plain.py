"""The tokenizer of a folder by the package `tokenizers` alone: transformers takes seconds to be imported."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer


class PlainTokenizer:
    """What questions need of a tokenizer, where they need no chat template."""

    chat_template = None

    def __init__(self, backend: Tokenizer, *, bos_token: str | None, eos_token: str | None) -> None:
        self.backend_tokenizer = backend
        self.bos_token = bos_token
        self.eos_token_id: int | None = backend.token_to_id(eos_token) if eos_token else None
        self.all_special_tokens: Sequence[str] = [
            token.content for token in backend.get_added_tokens_decoder().values() if token.special
        ]

    def apply_chat_template(self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool) -> str:
        """Not to be called: it has no template."""
        raise NotImplementedError

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        """The ids of a text."""
        return {"input_ids": self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids}


def read_tokenizer(folder: Path) -> PlainTokenizer | None:
    """The tokenizer of a converted base; None where its files are not as they are written.

    It may differ from the one that transformers makes of the same files: a run knows its own by the digest.
    """
    try:
        about = json.loads((folder / "tokenizer_config.json").read_bytes())
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return PlainTokenizer(backend, bos_token=about.get("bos_token"), eos_token=about.get("eos_token"))
    except Exception:  # noqa: BLE001  # tokenizers raises nothing narrower; whoever needs the reason asks transformers
        return None
