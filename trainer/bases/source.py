"""Where a base comes from, as the setting `base` names it. Light: the command line asks it first."""

import importlib.util
from pathlib import Path
from typing import Final

from contract.errors import UserError
from contract.installation import install_text
from trainer.bases.gguf_file import read_gguf
from trainer.bases.registry import smollm2_file
from trainer.config import SMOLLM2_BASE

ARCHITECTURES: Final = ("llama",)  # of GGUF files; that of Llama, Mistral, TinyLlama and SmolLM2


def gguf_of(base: str) -> Path | None:
    """The GGUF file of this base; None where it is a folder or a name on the hub. UserError where it is missing.

    The base that is named without a file is fetched at its first use.
    """
    if base == SMOLLM2_BASE:
        return smollm2_file()
    path = Path(base)
    if path.suffix.lower() != ".gguf" or path.is_dir():
        return None
    if not path.is_file():
        raise UserError(f"no such base model: there is no file {base}")
    return path


def require_base(base: str) -> None:
    """Raises UserError where a base is missing, or comes as a file of a kind that cannot be converted."""
    path = find_base(base)
    if path is None:
        return
    if importlib.util.find_spec("gguf") is None:
        raise UserError(f"a GGUF file as base needs the package gguf; {install_text('train')}")
    architecture = read_gguf(path).metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"{path} holds a model of the architecture {architecture!r}, expected {' or '.join(ARCHITECTURES)}"
        )


def find_base(base: str) -> Path | None:
    """The GGUF file of this base, or None; UserError where the file is missing, or the folder that the base names."""
    path = gguf_of(base)
    if path is None:
        _require_folder(base)
    return path


def _require_folder(base: str) -> None:
    """A hub name is NAME or OWNER/NAME; what else has a slash, a tilde or a dot in front is a path."""
    path = Path(base)
    if path.is_file():
        raise UserError(f"base {base!r} is a file, expected a folder with config.json and weights, or a GGUF file")
    is_path = base.startswith((".", "/", "~")) or base.endswith("/") or base.count("/") > 1 or "\\" in base
    if is_path and not path.is_dir():
        raise UserError(
            f"no such folder: {base}; give the folder of a base, its name on the hub (OWNER/NAME), or {SMOLLM2_BASE!r}"
        )
