"""The self-test of packing: does a document see the document before it?"""

import torch

from trainer.examples.encoder import Example
from trainer.native.batch import make_batch
from trainer.native.model import NativeModel


@torch.no_grad()
def document_leakage(native: NativeModel, *, vocabulary: int) -> float:
    """The largest change of a document's logits when another stands before it, as a share of the largest logit.

    Rounding alone gives 1e-6 in float32 and about 1e-3 in bfloat16; documents that see each other give about 1.
    """
    generator = torch.Generator().manual_seed(0)
    first, second = (
        Example(row, torch.randint(vocabulary, (length,), generator=generator).tolist(), num_prompt=1, num_cut=0)
        for row, length in enumerate((17, 131))
    )
    num_answers = len(second.ids) - 1
    together, alone = (make_batch(examples, max_tokens=256) for examples in ((first, second), (second,)))
    together_AV = native.logits(together)[: together.num_answer_tokens][-num_answers:].float()
    alone_AV = native.logits(alone)[:num_answers].float()
    return ((together_AV - alone_AV).abs().max() / alone_AV.abs().max()).item()
