"""A pack as the tensors that a model takes."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from trainer.examples.encoder import Pack

IGNORED: Final = -100  # a label that does not count in the loss


def pack_tensors(pack: Pack, *, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, positions within each example, and labels (ignored on prompts), each of shape T, of a filled pack."""
    ids_T = np.concatenate([np.asarray(example.ids, np.int64) for example in pack.examples])
    lengths = [len(example.ids) for example in pack.examples]
    starts = np.cumsum([0, *lengths[:-1]])
    positions_T = np.arange(len(ids_T)) - np.repeat(starts, lengths)
    num_prompt_T = np.repeat([example.num_prompt for example in pack.examples], lengths)
    labels_T = np.where(positions_T < num_prompt_T, IGNORED, ids_T)
    input_ids_T, position_ids_T, label_ids_T = map(torch.from_numpy, (ids_T, positions_T, labels_T))
    return input_ids_T.to(device), position_ids_T.to(device), label_ids_T.to(device)
