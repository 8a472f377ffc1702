"""The numbers that a recipe is chosen by: lengths of a sample of records, the base's size, the GPU's memory."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import torch
from transformers import PreTrainedTokenizerBase

from trainer.config import TrainConfig
from trainer.engines.base import read_base
from trainer.engines.engine import may_merge
from trainer.examples.encoder import Encoder
from trainer.examples.wordings import find_wordings
from trainer.native import is_merged
from trainer.plan.data_sets import DataSet
from trainer.plan.order import rows_of_epoch
from trainer.recipes.choice import choose_recipe, seed_recipe
from trainer.recipes.recipe import SEED, Catalogue, Machine, Recipe, recipe_as_given
from trainer.stream.lanes import first_records

_SAMPLE: Final = 1_000  # records


def recipe_of(
    config: TrainConfig,
    data: Sequence[DataSet],
    *,
    tokenizer: PreTrainedTokenizerBase,
    base: str,
    device: torch.device,
) -> tuple[Recipe, str]:
    """The recipe in force, and why it is so; the same on all ranks, which have the same data, base and kind of GPU."""
    given = {name: getattr(config, name) for name in asdict(SEED)}
    if None not in given.values():
        return recipe_as_given(config), "every setting is given" if not config.resume else "as the run began"
    if config.recipe == "seed":
        return seed_recipe(config), "the first version's settings, which remember nothing"
    catalogue = measure_catalogue(config, data, tokenizer=tokenizer)
    return choose_recipe(config, catalogue, machine=measure_machine(config, base, device=device))


def measure_catalogue(config: TrainConfig, data: Sequence[DataSet], *, tokenizer: PreTrainedTokenizerBase) -> Catalogue:
    """The number of an epoch's records, and the lengths of the first thousand."""
    num_records = sum(rows_of_epoch([data_set.rows for data_set in data]))
    is_whole = len(data) == 1 and num_records <= _SAMPLE
    records = first_records(data, min(_SAMPLE, num_records), skip_damaged=config.skip_damaged)
    max_length, wordings = config.max_length or SEED.max_length, find_wordings(config.wording)
    encoder = Encoder(tokenizer, max_length=max_length, wordings=wordings)
    examples = encoder.encode(records)
    in_longest_wording = encoder.encode_as(records, encoder.longest_wording)
    num = max(1, len(examples))
    return Catalogue(
        num_records=num_records,
        tokens_a_record=sum(len(example.ids) for example in examples) / num,
        answer_tokens_a_record=sum(len(example.ids) - example.num_prompt for example in examples) / num,
        longest=max((len(example.ids) for example in in_longest_wording), default=SEED.max_length),
        is_whole=is_whole,
    )


def measure_machine(config: TrainConfig, base: str, *, device: torch.device) -> Machine:
    """The base's sizes and the GPU's memory."""
    stored, num_parameters = read_base(base)
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
    is_free = may_merge(config) and is_merged(stored, device)
    return Machine(hidden=stored.hidden_size, base_parameters=num_parameters, memory_bytes=memory, is_rank_free=is_free)
