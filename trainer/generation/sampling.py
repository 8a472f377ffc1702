"""The next token of each row of a batch, by its own rules and its own random numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor

from trainer.generation.request import Sampling, TokenLogprob

# Shapes: N rows of the batch, S rows that are sampled, V words of the vocabulary.


@dataclass
class Choice:
    """How one row chooses, and what it has chosen from so far."""

    sampling: Sampling
    seen: list[int]  # ids of the prompt and the answer so far; used only by a repetition penalty
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        """The random numbers depend on the row's own seed, so it gets the same answer whatever else is in the batch."""
        self.random = Random(self.sampling.seed)


def next_tokens(logits_NV: Tensor, choices: Sequence[Choice]) -> tuple[list[int], list[TokenLogprob | None]]:
    """One token for each row, and its log probabilities where they are asked for.

    If all rows are greedy, one argmax is all that is computed, and only ids leave the device.
    """
    is_plain = all(each.sampling.temperature == 0 and each.sampling.repetition_penalty == 1 for each in choices)
    tokens = logits_NV.argmax(dim=-1).tolist() if is_plain else _chosen(logits_NV, choices)
    wanted = [row for row, each in enumerate(choices) if each.sampling.logprobs]
    logprobs: list[TokenLogprob | None] = [None] * len(choices)
    for row in wanted:
        logprobs[row] = _logprob(logits_NV[row], tokens[row], num=choices[row].sampling.logprobs)
    return tokens, logprobs


def _chosen(logits_NV: Tensor, choices: Sequence[Choice]) -> list[int]:
    logits_NV = logits_NV.float()
    if any(each.sampling.repetition_penalty != 1 for each in choices):
        logits_NV = logits_NV.clone()
    for row, each in enumerate(choices):
        if each.sampling.repetition_penalty != 1:
            _penalise(logits_NV[row], each.seen, penalty=each.sampling.repetition_penalty)
    tokens = logits_NV.argmax(dim=-1).tolist()
    sampled = [row for row, each in enumerate(choices) if each.sampling.temperature > 0]
    if sampled:
        drawn = _drawn(logits_NV[sampled], [choices[row] for row in sampled])
        for row, token in zip(sampled, drawn, strict=True):
            tokens[row] = token
    return tokens


def _penalise(logits_V: Tensor, seen: Sequence[int], *, penalty: float) -> None:
    """Lowers the logits of these tokens, in place, as in CTRL (Keskar et al. 2019)."""
    ids = torch.tensor(sorted(set(seen)), device=logits_V.device)
    logits = logits_V[ids]
    logits_V[ids] = torch.where(logits > 0, logits / penalty, logits * penalty)


def _drawn(logits_SV: Tensor, choices: Sequence[Choice]) -> list[int]:
    """A token for each row: the first one, from the likeliest on, where the cumulated probability passes its number.

    Ties are broken by the token's id, and sums are in float64: rounding that depends on the batch then changes a token
    only if the number lies within some 1e-7 of a boundary.
    """
    device = logits_SV.device
    temperatures_S = torch.tensor([each.sampling.temperature for each in choices], dtype=torch.float64, device=device)
    shares_S = torch.tensor([each.sampling.top_p for each in choices], dtype=torch.float64, device=device)
    numbers_S = torch.tensor([each.random.random() for each in choices], dtype=torch.float64, device=device)
    scaled_SV = (logits_SV.double() - logits_SV.max(dim=-1, keepdim=True).values) / temperatures_S[:, None]
    sorted_SV, ids_SV = scaled_SV.sort(dim=-1, descending=True, stable=True)
    sums_SV = sorted_SV.softmax(dim=-1).cumsum(dim=-1)
    # The nucleus: the tokens up to the first one at which the sum reaches top_p.
    last_S1 = (sums_SV < shares_S[:, None]).sum(dim=-1, keepdim=True).clamp_(max=sums_SV.shape[1] - 1)
    numbers_S1 = numbers_S[:, None] * sums_SV.gather(1, last_S1)
    places_S1 = (sums_SV <= numbers_S1).sum(dim=-1, keepdim=True).minimum(last_S1)
    return [int(token) for token in ids_SV.gather(1, places_S1)[:, 0].tolist()]


def _logprob(logits_V: Tensor, token: int, *, num: int) -> TokenLogprob:
    logprobs_V = logits_V.float().log_softmax(dim=-1)
    values, ids = logprobs_V.topk(min(num, len(logprobs_V)))
    top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return TokenLogprob(token_id=token, logprob=logprobs_V[token].item(), top=top)
