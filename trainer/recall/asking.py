"""Recall of the same records in each wording of the question: those that were trained, and those that never are."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from trainer.engines.engine import Engine
from trainer.examples.encoder import Encoder, Record
from trainer.examples.wordings import AROUND, held_out
from trainer.recall.measure import measure
from trainer.recall.summary import group
from trainer.runs.recalls import Asking

_NEVER_TRAINED: Final = tuple(wording for language in AROUND for wording in held_out(language))


def recall_by_wording(
    engine: Engine, encoder: Encoder, records: Sequence[Record], *, on_done: Callable[[int], None]
) -> dict[str, Asking]:
    """What comes back of these records in each wording, by its name; `on_done` gets the number of wordings done."""
    found: dict[str, Asking] = {}
    for wording in (*encoder.wordings, *_NEVER_TRAINED):
        of = group(measure(engine, records, partial(encoder.encode_as, wording=wording.name)), before=None)
        if of:
            is_trained = wording not in _NEVER_TRAINED
            found[wording.name] = Asking(is_trained, wording.language, of.records, of.first_32, of.whole)
        on_done(len(found))
    return found


def num_wordings(encoder: Encoder) -> int:
    """The number of wordings that `recall_by_wording` asks in."""
    return len(encoder.wordings) + len(_NEVER_TRAINED)
