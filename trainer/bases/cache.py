"""GGUF files converted once, in folders of the user's cache that appear whole or not at all."""

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from safetensors.torch import save_file
from torch import Tensor
from transformers import GenerationConfig

from contract import storage
from contract.errors import UserError
from trainer.bases.digest import digest_of
from trainer.bases.gguf_file import GgufFile, read_gguf
from trainer.bases.source import gguf_of, require_base
from trainer.bases.tokenizer import make_tokenizer
from trainer.bases.weights import make_config, open_weights

_CONVERSION: Final = 1  # to be raised when the files of a conversion change
DIGESTS: Final = "digests.json"
TEMPORARY: Final = ".tmp"
_SHARD_BYTES: Final = 4 * 2**30


def folder_of(base: str) -> str:
    """The folder or hub name that transformers can load for this base; a GGUF file is converted at its first use.

    A converted folder is checked by digest, and made again if it is damaged. Processes that want the same one wait for
    the first. UserError where the file is missing or cannot be converted.
    """
    require_base(base)
    source = gguf_of(base)
    if source is None:
        return base
    try:
        folder = _cache() / f"{digest_of(source)}-{_CONVERSION}"
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror}") from error
    if is_intact(folder):
        return str(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent):
            if not is_intact(folder):  # another process may have made it
                _convert(read_gguf(source), folder)
    except OSError as error:
        raise UserError(
            f"{folder} could not be written: {error}; make room there, or set XDG_CACHE_HOME to another folder"
        ) from error
    return str(folder)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrine" / "bases"


def is_conversion(folder: Path) -> bool:
    """Whether this folder is one of the cache, where a GGUF file was converted."""
    return folder.parent == _cache() and (folder / DIGESTS).is_file()


def is_intact(folder: Path) -> bool:
    """Whether a folder holds the files that were written, and no others."""
    try:
        digests = json.loads((folder / DIGESTS).read_text())
        found = {path.name: digest_of(path) for path in folder.iterdir() if path.name != DIGESTS}
    except (OSError, ValueError):
        return False
    return bool(digests == found)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for this process alone, and deletes what a process that was killed left half written."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left_over in folder.glob(f"*{TEMPORARY}"):
            shutil.rmtree(left_over)
        yield
    finally:
        os.close(descriptor)


def _convert(file: GgufFile, folder: Path) -> None:
    temporary, replaced = (folder.with_name(f".{folder.name}{end}{TEMPORARY}") for end in ("", ".old"))
    try:
        temporary.mkdir()
        _write(file, temporary)
        digests = {path.name: digest_of(path) for path in sorted(temporary.iterdir())}
        (temporary / DIGESTS).write_text(json.dumps(digests, indent=1))
        for path in (*temporary.iterdir(), temporary):
            storage.flush(path)
        if folder.exists():  # damaged
            os.rename(folder, replaced)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _write(file: GgufFile, folder: Path) -> None:
    config, tokenizer = make_config(file), make_tokenizer(file)
    weights = open_weights(file, config)
    print(f"converting {file.path.name}, once, to {folder.parent}", file=sys.stderr, flush=True)
    if not tokenizer.chat_template:
        print(f"{file.path.name} has no chat template: questions take a plain form", file=sys.stderr, flush=True)
    _write_weights(weights, folder)
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    GenerationConfig(**ids).save_pretrained(folder)


def _write_weights(weights: Iterator[tuple[str, Tensor]], folder: Path) -> None:
    """In files of some 4 GiB, with the index that tells transformers which file holds which weight."""
    places: dict[str, str] = {}
    part: dict[str, Tensor] = {}

    def write_part() -> None:
        name = f"model-{len(set(places.values())) + 1:05d}.safetensors"
        save_file(part, folder / name, metadata={"format": "pt"})
        places.update(dict.fromkeys(part, name))
        part.clear()

    for name, weight in weights:
        part[name] = weight
        if sum(tensor.nbytes for tensor in part.values()) >= _SHARD_BYTES:
            write_part()
    if part:
        write_part()
    if len(set(places.values())) == 1:
        os.rename(folder / places.popitem()[1], folder / "model.safetensors")
        return
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
