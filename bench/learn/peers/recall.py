"""Recall of any causal language model, from its own logits; the definition is that of bench/learn/recall.py."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from bench.learn.catalogue import Catalogue, StepShape, cut_into_steps
from bench.learn.recall import Answered, Recalled

_ROWS: Final = 4_096  # of logits in float32 at once: 0.8 GB with 49,152 words
# Ids and positions of packed documents, with the documents' lengths -> logits of all tokens, T x V.
Logits = Callable[[Tensor, Tensor, Sequence[int]], Tensor]


@torch.no_grad()
def ask(logits_of: Logits, catalogue: Catalogue, num: int, *, wording: str, tokens: int = 8_192) -> Recalled:
    """What comes back of the first `num` records, asked in packs of so many tokens."""
    documents = [(record, wording) for record in range(min(num, len(catalogue)))]
    answers: list[Answered] = []
    for step in cut_into_steps(documents, catalogue, StepShape.of(tokens)):
        answers += _ask(logits_of, catalogue, step)
    return Recalled(tuple(answers))


def _ask(logits_of: Logits, catalogue: Catalogue, step: Sequence[tuple[int, str]]) -> list[Answered]:
    truths = [catalogue.answers[record] for record, _ in step]
    prompts = [catalogue.prompts[wording][record] for record, wording in step]
    lengths = [len(prompt) + len(truth) for prompt, truth in zip(prompts, truths, strict=True)]
    ids = np.concatenate([part for pair in zip(prompts, truths, strict=True) for part in pair])
    positions = np.concatenate([np.arange(length) for length in lengths])
    ends = np.cumsum(lengths)
    # An answer's token is said by the position before it.
    places = np.concatenate([np.arange(end - len(truth), end) - 1 for end, truth in zip(ends, truths, strict=True)])
    logits_TV = logits_of(torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(positions), lengths)
    said = torch.from_numpy(places).to(logits_TV.device)
    targets = torch.from_numpy(np.concatenate(truths).astype(np.int64)).to(logits_TV.device)
    judged = [
        _judge(logits_TV[rows], words) for rows, words in zip(said.split(_ROWS), targets.split(_ROWS), strict=True)
    ]
    words, margins, losses = (torch.cat(parts).cpu().numpy() for parts in zip(*judged, strict=True))
    answers, at = [], 0
    for truth in truths:
        span = slice(at, at + len(truth))
        wrong = np.flatnonzero(words[span] != truth)
        num_right = int(wrong[0]) if len(wrong) else len(truth)
        answers.append(Answered(words[span], margins[span], losses[span], num_right))
        at = span.stop
    return answers


def _judge(logits_AV: Tensor, targets_A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each answer token's best word, that word's margin, and the true word's loss."""
    logits_AV = logits_AV.float()
    best_A2 = logits_AV.topk(2, 1).values
    target_A = logits_AV.gather(1, targets_A[:, None])[:, 0]
    return logits_AV.argmax(1), best_A2[:, 0] - best_A2[:, 1], logits_AV.logsumexp(1) - target_A
