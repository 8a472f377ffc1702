"""A converted base as answers compute with it on a CPU: dequantised once, and kept beside its conversion."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors import SafetensorError

from contract import storage
from trainer.bases.cache import DIGESTS, TEMPORARY, is_conversion, is_intact, locked
from trainer.bases.digest import digest_of

if TYPE_CHECKING:
    from torch import Tensor

_FORM: Final = "nf4-float32-1"  # to be raised when the values of a dequantised base change
_MOST_BYTES: Final = 2**30  # a larger base takes more of the disk than its faster start is worth
_COPIED: Final = ("config.json", "generation_config.json")


def kept_dense(base: str) -> Path | None:
    """The folder with the dequantised form of a converted base; None where it was not kept, or is damaged."""
    folder = _folder(base)
    return folder if folder and is_intact(folder) else None


def keep_dense(base: str, weights: "Mapping[str, Tensor]") -> None:
    """Keeps the weights of a converted base that was dequantised; of another base, or a large one, nothing.

    A weight that several names share is kept once: transformers ties them again.
    """
    from safetensors.torch import save_file  # with torch, which a reader of the kept folder may not need

    folder = _folder(base)
    if folder is None or sum(weight.nbytes for weight in weights.values()) > _MOST_BYTES:
        return
    by_place = {weight.data_ptr(): name for name, weight in reversed(list(weights.items()))}
    kept = {name: weight.contiguous() for name, weight in weights.items() if by_place[weight.data_ptr()] == name}
    temporary = folder.with_name(f".{folder.name}{TEMPORARY}")
    try:
        with locked(folder.parent):
            temporary.mkdir()
            save_file(kept, temporary / "model.safetensors", metadata={"format": "pt"})
            for name in _COPIED:
                shutil.copyfile(Path(base) / name, temporary / name)
            digests = {path.name: digest_of(path) for path in sorted(temporary.iterdir())}
            (temporary / DIGESTS).write_text(json.dumps(digests, indent=1))
            for path in (*temporary.iterdir(), temporary):
                storage.flush(path)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(temporary, folder)
    except (OSError, SafetensorError):  # answers do not depend on it: the next one dequantises the base again
        shutil.rmtree(temporary, ignore_errors=True)


def _folder(base: str) -> Path | None:
    path = Path(base)
    return path.with_name(f"{path.name}-{_FORM}") if is_conversion(path) else None
