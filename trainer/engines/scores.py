"""Scores of a pack's answer tokens from a model of transformers, a few examples at a time.

Shapes: T tokens of a pack, A answer tokens of a pack, V words of the vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional

from trainer.examples.encoder import Pack
from trainer.examples.tensors import IGNORED, pack_tensors
from trainer.native import Scores
from trainer.native.loss import CHUNK_LOGITS

# From ids (T), positions (T), the examples' lengths and indices (A) to the logits after those tokens (A x V).
Logits = Callable[[Tensor, Tensor, Sequence[int], Tensor], Tensor]


@torch.no_grad()
def scores_of_pack(pack: Pack, logits: Logits, *, model: PeftModel) -> Scores:
    """The scores of all answer tokens of a pack, in order, without dropout.

    The logits of a whole pack never exist at once: examples do not see each other, so a large pack is cut into several.
    """
    tokens = max(1, CHUNK_LOGITS // len(model.get_input_embeddings().weight))
    parts = joined([Pack((example,)) for example in pack.examples], max_tokens=tokens)
    with _without_dropout(model):
        scores = [_scores(part, logits, device=model.device) for part in parts if part.num_answer_tokens]
    return Scores(torch.cat([each.loss_A for each in scores]), torch.cat([each.is_right_A for each in scores]))


def joined(packs: Sequence[Pack], *, max_tokens: int) -> list[Pack]:
    """The packs joined, in order, into packs of at most `max_tokens` tokens; a longer pack stays as it is."""
    joined: list[Pack] = []
    for pack in packs:
        if joined and joined[-1].num_tokens + pack.num_tokens <= max_tokens:
            joined[-1] = Pack(joined[-1].examples + pack.examples)
        else:
            joined.append(pack)
    return joined


def _scores(pack: Pack, logits: Logits, *, device: torch.device) -> Scores:
    ids_T, positions_T, labels_T = pack_tensors(pack, device=device)
    indices_A = (labels_T[1:] != IGNORED).nonzero()[:, 0]
    targets_A = labels_T[1:][indices_A]
    logits_AV = logits(ids_T, positions_T, [len(example.ids) for example in pack.examples], indices_A)
    is_right_A = logits_AV.argmax(1) == targets_A
    return Scores(functional.cross_entropy(logits_AV.float(), targets_A, reduction="none"), is_right_A)


@contextmanager
def _without_dropout(model: PeftModel) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
