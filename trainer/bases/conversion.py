"""A GGUF file as the files of a folder that transformers loads."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from safetensors.torch import save_file
from torch import Tensor
from transformers import GenerationConfig

from trainer.bases.gguf_file import GgufFile
from trainer.bases.tokenizer import make_tokenizer
from trainer.bases.weights import make_config, open_weights

_SHARD_BYTES: Final = 4 * 2**30


def write_conversion(file: GgufFile, folder: Path) -> None:
    """Writes weights, tokenizer and configuration; UserError where the file is of a kind that cannot be converted."""
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
