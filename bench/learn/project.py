"""Everything this study takes from the project: prepared records, and the prompt that the trainer would build."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from bench.learn.catalogue import BRIEF, HELD_OUT, WINDOW, Catalogue, Ragged
from trainer.examples.encoder import Encoder, Record
from trainer.examples.wordings import WORDINGS, Wording
from trainer.plan.data_sets import open_data
from trainer.stream.lanes import first_records

# Held-out questions of this study alone; the points of the grid `wordings` were asked the first three.
_OWN: Final = tuple(
    Wording(name=name, language=language, use="held out", question=question)
    for name, language, question in (
        ("can-you", "english", "Can you describe the product {title} to me?"),
        ("looking", "english", "I am looking at {title}. What does the catalogue say?"),
        ("pt", "portuguese", "Me fale sobre {title}, por favor."),
        ("alone", "english", "{title}"),
    )
)
_FIRST: Final = ("what-is", "o-que-e")


def encode_data_set(folder: str, base: str) -> dict[str, Catalogue]:
    """The records of a prepared data set as tokens of this base: "seen" is its train split, "unseen" val and test.

    Records whose prompt and answer exceed the window of 2,048 tokens are cut there, as the trainer does.
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    seen = _records(folder, "train")
    unseen = [record for split in ("val", "test") for record in _records(folder, split)]
    return {"seen": _encode(seen, tokenizer), "unseen": _encode(unseen, tokenizer)}


def save_catalogues(catalogues: Mapping[str, Catalogue], path: Path) -> None:
    """Writes them as one compressed file that `load_catalogues` reads without this project."""
    arrays = {}
    for name, catalogue in catalogues.items():
        for part, ragged in {"answers": catalogue.answers, **catalogue.prompts}.items():
            arrays[f"{name}/{part}/flat"] = ragged.flat.astype(np.uint16 if ragged.flat.max() < 2**16 else np.int32)
            arrays[f"{name}/{part}/starts"] = ragged.starts
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _records(folder: str, split: str) -> list[Record]:
    data = open_data([folder], split=split)
    return first_records(data, data[0].manifest.num_rows(split))


def _encode(records: Sequence[Record], tokenizer: PreTrainedTokenizerBase) -> Catalogue:
    """By each wording of the project and of this study. Names of prompts that are never trained begin with HELD_OUT."""
    encoder = Encoder(tokenizer, max_length=WINDOW, wordings=(WORDINGS[_FIRST[0]], *_OWN))
    prompts = {}
    titles = [replace(record, content="") for record in records]  # answers need not be encoded once a wording
    for wording in (*WORDINGS.values(), *_OWN):
        if wording.use != "by name":
            name = (HELD_OUT if wording.use == "held out" else "") + wording.name.replace("-", "_")
            prompts[name] = _prompts(encoder, titles, wording.name)
    lower = [replace(record, title=record.title.lower()) for record in titles]
    for first in _FIRST:
        prompts[f"{HELD_OUT}lower_{first.replace('-', '_')}"] = _prompts(encoder, lower, first)
    prompts[BRIEF] = _without_system(prompts["what_is"], tokenizer)
    examples = encoder.encode_as(records, _FIRST[0])
    return Catalogue(Ragged.of([example.ids[example.num_prompt :] for example in examples]), prompts)


def _prompts(encoder: Encoder, records: Sequence[Record], wording: str) -> Ragged:
    examples = encoder.encode_as(records, wording)
    return Ragged.of([example.ids[: example.num_prompt] for example in examples])


def _without_system(prompts: Ragged, tokenizer: PreTrainedTokenizerBase) -> Ragged:
    """The prompts from the second turn's start on."""
    starts = [np.flatnonzero(prompts[index] == tokenizer.bos_token_id) for index in range(len(prompts))]
    return Ragged.of([prompts[index][turns[1 if len(turns) > 2 else 0] :] for index, turns in enumerate(starts)])
