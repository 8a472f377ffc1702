"""From what comes back of each record to a few numbers: shares with intervals, losses, bits."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.recall.measure import Recalled
from trainer.runs.recalls import Bits, Group, Probed, Share

_NUM_DRAWS: Final = 2_000
_Z: Final = 1.959964  # of the normal distribution: 95 % lie between -z and z


def group(after: Recalled, *, before: float | None, compared: Recalled | None = None) -> Group | None:
    """The summary of these records; None where there are none.

    `before` is the mean loss of the base alone on the records `compared` (default: these), and `loss_after` is on the
    same ones.
    """
    if not len(after):
        return None
    whole, cut = (after.take(np.flatnonzero(after.is_cut_N == is_cut)) for is_cut in (False, True))
    return Group(
        records=len(whole),
        titles=len(set(whole.titles)),
        first_8=share(whole.has_first(8), whole.titles),
        first_32=share(whole.has_first(32), whole.titles),
        whole=share(whole.is_whole(), whole.titles),
        answer_tokens=int(after.num_tokens_N.sum()),
        loss_before=before,
        loss_after=(after if compared is None else compared).mean_loss(),
        cut_records=len(cut),
        cut_recalled=int(cut.is_whole().sum()),
    )


def share(is_right_N: NDArray[np.bool_], titles: tuple[str, ...]) -> Share:
    """The share of right records, with the middle 95 % of 2,000 bootstrap draws of titles, from a fixed seed.

    The records of a title are drawn together. Where all titles have the same share, as with none of n right or n of n,
    every draw gives it again and the bootstrap says nothing: then the interval is Wilson's, of n titles (1927).
    """
    num_right, num_records = Counter[str](), Counter[str]()
    for title, is_right in zip(titles, is_right_N.tolist(), strict=True):
        num_records[title] += 1
        num_right[title] += is_right
    # Titles with as many records and right ones are alike. How often each kind is drawn is multinomial, so a draw costs
    # as much as there are kinds, and not as there are titles.
    kinds = Counter((num_right[title], num) for title, num in num_records.items())
    num_titles = len(num_records)
    value = float(is_right_N.mean()) if num_titles else 0.0
    if len({right / num for right, num in kinds}) < 2:
        return Share(value, *wilson(value, num_titles))
    right_K, records_K = np.array(list(kinds)).T
    shares_K = np.array(list(kinds.values())) / num_titles
    drawn_DK = np.random.default_rng(0).multinomial(num_titles, shares_K, size=_NUM_DRAWS)
    low, high = np.quantile(drawn_DK @ right_K / (drawn_DK @ records_K), [0.025, 0.975])
    return Share(value, float(min(low, value)), float(max(high, value)))


def wilson(value: float, num: int) -> tuple[float, float]:
    """The ends of Wilson's 95 % interval of a share among `num`."""
    if not num:
        return 0.0, 1.0
    middle = value + _Z**2 / (2 * num)
    spread = _Z * math.sqrt(value * (1 - value) / num + _Z**2 / (4 * num**2))
    low, high = (max(0.0, min(1.0, (middle + sign * spread) / (1 + _Z**2 / num))) for sign in (-1, 1))
    return (0.0 if value == 0 else low), (1.0 if value == 1 else high)


def bits(seen: Group | None, *, unseen_gain: float, records: int, parameters: int) -> Bits | None:
    """Bits that the adapter stores of `records` trained records, of which `seen` is a sample; None without a base loss.

    A token's loss falls by `seen_gain` where the record was trained and by `unseen_gain` (its best, if it was lost
    later) where the adapter only knows the catalogue's style. The difference is memory: Allen-Zhu and Li,
    arXiv 2404.05405; Morris et al., arXiv 2505.24832.
    """
    if seen is None or seen.loss_before is None:
        return None
    seen_gain = seen.loss_before - seen.loss_after
    tokens_a_record = seen.answer_tokens / (seen.records + seen.cut_records)
    a_record = tokens_a_record * (seen_gain - unseen_gain) / math.log(2)
    stored = records * a_record
    return Bits(stored, stored / parameters, a_record, parameters, seen_gain, unseen_gain)


def best_gain(unseen: Group | None, measured: Iterable[Probed]) -> float:
    """The most by which the loss of unseen records ever fell: now, or while training; nats an answer token, least 0."""
    return max(0.0, _gain(unseen), *(_gain(each.unseen) for each in measured))


def _gain(of: Group | None) -> float:
    return of.loss_before - of.loss_after if of is not None and of.loss_before is not None else 0.0
