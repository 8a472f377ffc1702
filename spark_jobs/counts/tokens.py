"""Token counts by a tokenizer.json. The package `tokenizers` is imported only when there is one."""

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
    """The text of a tokenizer.json, to be loaded by `load_tokenizer` in a task. `path` is the file or its folder.

    UserError where there is no such file, it cannot be read, or `tokenizers` is not installed.
    """
    if not path.endswith(".json"):
        path = storage.join(path, _FILE_NAME)
    try:
        text = storage.read_bytes(path).decode()
    except FileNotFoundError as error:
        raise UserError(
            f"no tokenizer at {path}; expected a {_FILE_NAME}, or the folder of a model that holds one"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is no {_FILE_NAME}, as it is not UTF-8; expected the {_FILE_NAME} of a model"
        ) from error
    try:
        load_tokenizer(text)
    except ImportError as error:
        raise UserError("to count tokens, the package tokenizers is needed; pip install tokenizers") from error
    except Exception as error:
        raise UserError(
            f"{path} is no {_FILE_NAME} that tokenizers can read: {error}; expected the {_FILE_NAME} of a model"
        ) from error
    return text


@lru_cache(maxsize=1)
def load_tokenizer(text: str) -> "Tokenizer":
    """The tokenizer of this text, without truncation and padding. Made once in each process, in some 0.1 s."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_tokens(texts: pa.StringArray, tokenizer: "Tokenizer") -> np.ndarray:
    """The number of tokens of each text, without special tokens. About 200 us a text of 600 characters.

    Texts are encoded one by one, since tokenizers spreads a batch over all cores, and a task has one of them.
    """
    return np.array([len(tokenizer.encode(text.as_py(), add_special_tokens=False)) for text in texts], np.int64)
