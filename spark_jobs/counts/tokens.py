"""Token counts, given a tokenizer.json; the `tokenizers` package is imported only then."""

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from contract import storage
from contract.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILE_NAME: Final = "tokenizer.json"


def read_tokenizer(path: str) -> str:
    """The text of a tokenizer.json, for `load_tokenizer` here or in a task; `path` is the file or the folder of it.

    UserError where there is none, it cannot be read, or `tokenizers` is not installed.
    """
    if not path.endswith(".json"):
        path = storage.join(path, _FILE_NAME)
    try:
        text = storage.read_bytes(path).decode()
    except FileNotFoundError as error:
        raise UserError(
            f"no tokenizer at {path}; expected a {_FILE_NAME}, as a model's folder has it, or such a folder"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no {_FILE_NAME}: it is not even UTF-8") from error
    try:
        load_tokenizer(text)
    except ImportError as error:
        raise UserError("counting tokens needs the package tokenizers; pip install tokenizers") from error
    except Exception as error:
        raise UserError(f"{path} is no {_FILE_NAME} that tokenizers can read: {error}") from error
    return text


@lru_cache(maxsize=1)
def load_tokenizer(text: str) -> "Tokenizer":
    """The tokenizer of this text, without truncation and padding; made once a process, in some 0.1 s."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_tokens(texts: pa.StringArray, tokenizer: "Tokenizer") -> np.ndarray:
    """Number of tokens of each text, without special tokens. About 200 us a text of 600 characters.

    One by one: a batch would be spread over all cores, of which a task has but one.
    """
    return np.array([len(tokenizer.encode(text.as_py(), add_special_tokens=False)) for text in texts], np.int64)
