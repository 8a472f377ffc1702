"""Recall of the same records in each wording of the question: those that were trained, and those that never are."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from trainer.engines.engine import Engine
from trainer.examples.encoder import Encoder, Record
from trainer.examples.wordings import AROUND, Wording, held_out
from trainer.recall.measure import measure
from trainer.recall.summary import group
from trainer.runs.recalls import Asking

_MOST_TRAINED: Final = 8  # of a language: each costs as much time as another
_NEVER_TRAINED: Final = tuple(wording for language in AROUND for wording in held_out(language))


def recall_by_wording(
    engine: Engine, encoder: Encoder, records: Sequence[Record], *, on_done: Callable[[int], None]
) -> dict[str, Asking]:
    """What comes back of these records in each wording, by its name; `on_done` gets the number of wordings done."""
    found: dict[str, Asking] = {}
    for wording in asked_wordings(encoder):
        of = group(measure(engine, records, partial(encoder.encode_as, wording=wording.name)), before=None)
        if of:
            is_trained = wording not in _NEVER_TRAINED
            found[wording.name] = Asking(is_trained, wording.language, of.records, of.first_32, of.whole)
        on_done(len(found))
    return found


def asked_wordings(encoder: Encoder) -> list[Wording]:
    """The wordings to ask in: of each language up to eight trained ones, and all held-out ones."""
    asked = []
    for language in AROUND:
        trained = [wording for wording in encoder.wordings if wording.language == language]
        asked += trained[:: -(-len(trained) // _MOST_TRAINED) or 1]
    return [*asked, *_NEVER_TRAINED]
