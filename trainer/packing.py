"""Examples to packs: which documents share a row of T tokens."""

from collections.abc import Sequence

from trainer.examples import Example, Pack


def pack(examples: Sequence[Example], *, max_length: int) -> list[Pack]:
    """Every example in one pack of at most `max_length` tokens; none of them may be longer."""
    left, packs = list(examples), []
    while left:
        chosen = set(choose([len(example.ids) for example in left], max_length=max_length))
        packs.append(Pack(tuple(example for place, example in enumerate(left) if place in chosen)))
        left = [example for place, example in enumerate(left) if place not in chosen]
    return packs


def choose(lengths: Sequence[int], *, max_length: int) -> list[int]:
    """The places of those that make the next pack: the first, and with it those that fill it best; the earliest such.

    An exact subset sum over T = max_length, dynamic programming on the bits of large integers: about a microsecond
    for each length at T = 2,048. That the first is always taken bounds how long any one waits.
    """
    room = max_length - lengths[0]
    fits = (1 << room + 1) - 1
    sums = [1]  # bit s of the k-th: some of the last k lengths add up to s
    for length in reversed(lengths[1:]):
        sums.append((sums[-1] | sums[-1] << length) & fits)
    total, chosen = sums[-1].bit_length() - 1, [0]
    for place, length in enumerate(lengths[1:], start=1):
        of_the_rest = sums[len(lengths) - 1 - place]
        if length <= total and of_the_rest >> (total - length) & 1:
            chosen.append(place)
            total -= length
    return chosen
