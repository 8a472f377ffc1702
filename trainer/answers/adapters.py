"""The adapters of a run in parts, over one base: each title is asked of its own, several of them in one batch."""

from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import Final

from peft import PeftModel
from safetensors import SafetensorError, safe_open

from contract.errors import UserError
from contract.keys import part_of
from trainer.engines.trained import add_adapter, require_adapter
from trainer.runs import names

MOST_LOADED: Final = 8


class PartAdapters:
    """Which adapter answers which title. At most `most` are in memory, and one more while it is loaded.

    Of those that are not in use, the one used least recently makes room.

    The model was loaded with the adapter of one part, under the name of its folder.
    """

    def __init__(self, model: PeftModel, run: Path, *, parts: int, most: int = MOST_LOADED) -> None:
        self._model, self._run, self._parts, self._most = model, run, parts, most
        self._loaded = OrderedDict.fromkeys(model.peft_config)  # least recently used first

    def name_of(self, title: str) -> str:
        """The name of a cleaned title's adapter."""
        return names.part_name(part_of(title, self._parts))

    def load(self, name: str, in_use: Collection[str] = ()) -> bool:
        """Sees to this adapter in memory; False where those in use leave no room for it."""
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return True
        goes = next((each for each in self._loaded if each not in in_use), None)
        if len(self._loaded) >= self._most and goes is None:
            return False
        self._add(name)
        if goes and len(self._loaded) > self._most:
            self._model.set_adapter(name)  # the one that goes may be the active one
            del self._loaded[goes]
            self._model.delete_adapter(goes)
        return True

    def _add(self, name: str) -> None:
        add_adapter(self._model, str(self._run / name / names.ADAPTER), name=name)
        self._loaded[name] = None


def adapter_problem(folder: Path) -> str | None:
    """Why no adapter can be loaded from a folder, as far as the header of its file says it; None where it says none."""
    try:
        require_adapter(str(folder))
        with safe_open(folder / "adapter_model.safetensors", framework="pt"):
            return None
    except UserError as error:
        return str(error)
    except (OSError, SafetensorError) as error:
        return f"no adapter could be loaded from {folder}: {error}"
