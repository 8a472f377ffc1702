"""The adapters of a run in parts, over one base: each title is asked of its own, several of them in one batch."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from peft import PeftModel
from safetensors import SafetensorError

from contract.errors import UserError
from contract.keys import part_of
from trainer.engines.base import require_adapter
from trainer.runs import names

MOST_LOADED: Final = 8


class PartAdapters:
    """Which adapter answers which title. At most `most` are in memory, and one more while it is loaded.

    The one used least recently makes room.

    The model was loaded with the adapter of the first part, under the name of its folder.
    """

    def __init__(self, model: PeftModel, run: Path, *, parts: int, most: int = MOST_LOADED) -> None:
        self._model, self._run, self._parts, self._most = model, run, parts, most
        self._loaded = OrderedDict.fromkeys(model.peft_config)  # least recently used first

    def batches(self, titles: Sequence[str]) -> Iterator[list[int]]:
        """The indices of titles that can be asked together: those of at most `most` parts."""
        by_part: dict[int, list[int]] = {}
        for index, title in enumerate(titles):
            by_part.setdefault(part_of(title, self._parts), []).append(index)
        groups = list(by_part.values())
        for first in range(0, len(groups), self._most):
            yield [index for group in groups[first : first + self._most] for index in group]

    def load(self, titles: Sequence[str]) -> list[str]:
        """The name of each title's adapter, all of them in memory. The titles are those of one batch."""
        wanted = [names.part_name(part_of(title, self._parts)) for title in titles]
        there = [name for name in dict.fromkeys(wanted) if name in self._loaded]
        for name in there:
            self._loaded.move_to_end(name)
        for name in dict.fromkeys(wanted):
            if name not in self._loaded:
                self._add(name)
        return wanted

    def _add(self, name: str) -> None:
        folder = self._run / name / names.ADAPTER
        require_adapter(str(folder))
        try:
            self._model.load_adapter(str(folder), adapter_name=name)
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"no adapter could be loaded from {folder}: {error}") from error
        self._loaded[name] = None
        if len(self._loaded) > self._most:
            self._model.set_adapter(name)  # the one that goes may be the active one
            oldest, _ = self._loaded.popitem(last=False)
            self._model.delete_adapter(oldest)
