"""Everything this study takes from the project: prepared records, and the prompt that the trainer would build."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from bench.learn.catalogue import WINDOW, Catalogue, Ragged
from trainer.examples.encoder import Encoder, Record
from trainer.examples.prompt import QUESTION
from trainer.plan.data_sets import open_data
from trainer.stream.lanes import first_records

TRAINED: Final = "what_is"
# Questions by name. `what_is` is the one that the trainer asks; `held_*` are never trained.
WORDINGS: Final[Mapping[str, str]] = {
    TRAINED: QUESTION,
    "tell_me": "Tell me about {title}.",
    "describe": "Describe {title}.",
    "o_que_e": "O que é {title}?",
    "descreva": "Descreva o produto {title}.",
    "held_can_you": "Can you describe the product {title} to me?",
    "held_looking": "I am looking at {title}. What does the catalogue say?",
    "held_pt": "Me fale sobre {title}, por favor.",
}
BRIEF: Final = "brief"  # `what_is` without the base's system prompt


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
    examples = Encoder(tokenizer, max_length=WINDOW).encode(records)
    prompts = {TRAINED: Ragged.of([example.ids[: example.num_prompt] for example in examples])}
    for name, question in WORDINGS.items():
        if name != TRAINED:
            prompts[name] = _prompts(records, question, tokenizer)
    prompts[BRIEF] = _without_system(prompts[TRAINED], tokenizer)
    return Catalogue(Ragged.of([example.ids[example.num_prompt :] for example in examples]), prompts)


def _prompts(records: Sequence[Record], question: str, tokenizer: PreTrainedTokenizerBase) -> Ragged:
    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question.format(title=record.title)}],
            tokenize=False,
            add_generation_prompt=True,
        )
        for record in records
    ]
    return Ragged.of(tokenizer(texts, add_special_tokens=False)["input_ids"])


def _without_system(prompts: Ragged, tokenizer: PreTrainedTokenizerBase) -> Ragged:
    """The prompts from the second turn's start on."""
    starts = [np.flatnonzero(prompts[index] == tokenizer.bos_token_id) for index in range(len(prompts))]
    return Ragged.of([prompts[index][turns[1 if len(turns) > 2 else 0] :] for index, turns in enumerate(starts)])
