"""What of the true texts a model returns and how much they surprise it, before and after training, by forward passes.

Greedy decoding returns the first n tokens exactly if each of them has the largest logit after the true ones before it.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from peft import PeftModel

from trainer.answers.answerer import Answerer
from trainer.engines.engine import PlainEngine
from trainer.engines.scores import joined
from trainer.examples.encoder import Example, Pack, Record
from trainer.recall.measure import Asked, Recalled, concatenated, recall_of

# Of a pack. On a CPU, attention over longer ones costs more than it saves; a GPU waits for the host with shorter ones.
_PACK_TOKENS: Final = {"cuda": 4_096}
_PACK_TOKENS_ELSEWHERE: Final = 512


def recall_before_and_after(answerer: Answerer, records: Sequence[Record]) -> tuple[Recalled, Recalled]:
    """What comes back of these records, asked as `Answerer` asks, without and with the run's adapter."""
    wording = answerer.encoder.wordings[0].name
    examples = answerer.encoder.encode_as(records, wording)
    with answerer.model.disable_adapter():
        before = _recalled(answerer.model, records, examples)
    if answerer.adapters is None:
        return before, _recalled(answerer.model, records, examples)
    places: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        places.setdefault(answerer.adapter_of(record.title), []).append(index)
    found = []
    for name, mine in places.items():
        answerer.adapters.load(name)
        answerer.model.set_adapter(name)
        found.append(_recalled(answerer.model, [records[each] for each in mine], [examples[each] for each in mine]))
    return before, concatenated(found).take(np.argsort([each for mine in places.values() for each in mine]))


def _recalled(model: PeftModel, records: Sequence[Record], examples: Sequence[Example]) -> Recalled:
    engine = PlainEngine(model)
    most = _PACK_TOKENS.get(model.device.type, _PACK_TOKENS_ELSEWHERE)
    packs = joined([Pack((example,)) for example in examples], max_tokens=most)
    titles = tuple(record.title for record in records)
    return recall_of(engine, Asked(titles, tuple(examples), engine.batches(packs)))
