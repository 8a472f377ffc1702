"""The numbers that a recipe and its expectation depend on: of a sample of records, and of the base.

They are the same on all ranks, which have the same data, base and kind of GPU.
"""

from collections.abc import Sequence
from typing import Final

import torch
from transformers import PreTrainedTokenizerBase

from trainer.config import TrainConfig
from trainer.engines.base import read_base
from trainer.engines.engine import may_merge
from trainer.examples.encoder import Encoder
from trainer.examples.prompt import Frame
from trainer.examples.wordings import find_wordings
from trainer.native import is_merged
from trainer.plan.data_sets import DataSet
from trainer.plan.order import rows_of_epoch
from trainer.recipes.expectation import compressed_bits, typical_lengths
from trainer.recipes.recipe import SEED, Catalogue, Machine
from trainer.stream.lanes import first_records

_SAMPLE: Final = 1_000  # records
_MOST_COUNTED: Final = 100_000  # records of which the titles are read, in about a second


def measure_catalogue(
    config: TrainConfig, data: Sequence[DataSet], *, tokenizer: PreTrainedTokenizerBase, frame: Frame
) -> Catalogue:
    """The number of an epoch's records, and the lengths of the first thousand of them that can be read."""
    num_records = sum(rows_of_epoch([data_set.rows for data_set in data]))
    records = first_records(data, min(_SAMPLE, num_records), skip_damaged=True)  # training itself reports damages
    max_length, wordings = config.max_length or SEED.max_length, find_wordings(config.wording)
    encoder = Encoder(tokenizer, max_length=max_length, wordings=wordings, frame=frame)
    examples = encoder.encode(records)
    in_longest_wording = encoder.encode_as(records, encoder.longest_wording)
    num = max(1, len(examples))
    return Catalogue(
        num_records=num_records,
        tokens_a_record=max(1.0, sum(len(example.ids) for example in examples) / num),
        answer_tokens=typical_lengths([len(example.ids) - example.num_prompt for example in examples]),
        compressed_bits_a_record=compressed_bits([record.content for record in records]),
        longest=max((len(example.ids) for example in in_longest_wording), default=SEED.max_length),
        is_whole=len(data) == 1 and len(records) == num_records,
        has_wordings=len(wordings) > 1,
        titles_a_record=titles_a_record(data) if num_records <= _MOST_COUNTED else 1.0,
    )


def titles_a_record(data: Sequence[DataSet]) -> float:
    """How many different titles the records that may be trained have, over their number; reads all that it can."""
    records = [record for each in data for record in first_records([each], each.rows.num, skip_damaged=True)]
    return len({record.title for record in records}) / max(1, len(records))


def measure_machine(config: TrainConfig, base: str, *, device: torch.device) -> Machine:
    """The base's sizes and positions, and whether a step costs the same at each rank."""
    stored, num_parameters = read_base(base)
    is_free = may_merge(config) and is_merged(stored, device)
    return Machine(
        hidden=stored.hidden_size,
        base_parameters=num_parameters,
        is_rank_free=is_free,
        positions=getattr(stored, "max_position_embeddings", None),
    )
