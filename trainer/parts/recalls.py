"""What all parts of a run remember together, from what each part remembers. Imports nothing heavy."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from trainer.recipes.expectation import is_useless
from trainer.runs.recalls import Asking, Bits, Group, Neutral, Report, Share

Part = TypeVar("Part", Group, Asking)


def joined(reports: Sequence[Report]) -> Report:
    """One report of all parts, whose titles differ. Intervals join as those of strata: independent, by their records.

    Where every record of a part comes back, or none, its own interval is wide, and so the joined one is too wide.
    """
    bits = [report.bits for report in reports if report.bits]
    return Report(
        step=max(report.step for report in reports),
        trained_records=sum(report.trained_records for report in reports),
        seen=_group([report.seen for report in reports if report.seen]),
        unseen=_group([report.unseen for report in reports if report.unseen]),
        same_text=_group([report.same_text for report in reports if report.same_text]),
        bits=_bits(bits, [report.trained_records for report in reports if report.bits]),
        wordings={
            name: _asking([report.wordings[name] for report in reports if name in report.wordings])
            for name in dict.fromkeys(name for report in reports for name in report.wordings)
        },
        neutral={
            language: _neutral([report.neutral[language] for report in reports if language in report.neutral])
            for language in dict.fromkeys(language for report in reports for language in report.neutral)
        },
    )


class Expected(msgspec.Struct, frozen=True):
    """A share of descriptions that was expected to come back, and the ends of its error band."""

    share: float
    low: float
    high: float


class Expectation(msgspec.Struct, frozen=True):
    """RUN/expectation.json: what was expected of a run, and what was measured at its end."""

    records: int
    expected: Expected
    reached: Share | None


def joined_expectation(parts: Sequence[Expectation], *, reached: Share | None) -> Expectation:
    """What was expected of all parts. One law foretold them all, so its error is theirs together."""
    records = [part.records for part in parts]
    return Expectation(
        records=sum(records),
        expected=Expected(
            share=_mean([part.expected.share for part in parts], records),
            low=_mean([part.expected.low for part in parts], records),
            high=_mean([part.expected.high for part in parts], records),
        ),
        reached=reached,
    )


def expected_text(expected: Expected) -> str:
    """What was expected of all parts, for a person."""
    if is_useless(low=expected.low, high=expected.high):
        return "what was expected of all parts is unknown: the lines of the parts say why"
    return f"expected of all parts were {expected.share:.1%}, between {expected.low:.1%} and {expected.high:.1%}"


def _group(groups: Sequence[Group]) -> Group | None:
    if not groups:
        return None
    records, tokens = [each.records for each in groups], [each.answer_tokens for each in groups]
    before = [each.loss_before for each in groups if each.loss_before is not None]
    return Group(
        records=sum(records),
        titles=sum(each.titles for each in groups),
        first_8=_share(groups, records, lambda each: each.first_8),
        first_32=_share(groups, records, lambda each: each.first_32),
        whole=_share(groups, records, lambda each: each.whole),
        answer_tokens=sum(tokens),
        loss_before=_mean(before, tokens) if len(before) == len(groups) else None,
        loss_after=_mean([each.loss_after for each in groups], tokens),
        cut_records=sum(each.cut_records for each in groups),
        cut_recalled=sum(each.cut_recalled for each in groups),
    )


def _share(parts: Sequence[Part], records: Sequence[int], share_of: Callable[[Part], Share]) -> Share:
    shares = [share_of(part) for part in parts]
    value = _mean([share.value for share in shares], records)

    def distance(ends: Sequence[float]) -> float:
        return math.hypot(*(num * end for num, end in zip(records, ends, strict=True))) / max(1, sum(records))

    low = value - distance([share.value - share.low for share in shares])
    high = value + distance([share.high - share.value for share in shares])
    return Share(value, low, high)


def _bits(parts: Sequence[Bits], records: Sequence[int]) -> Bits | None:
    if not parts:
        return None
    stored, parameters = sum(each.stored for each in parts), sum(each.parameters for each in parts)
    return Bits(
        stored=stored,
        a_parameter=stored / parameters,
        a_record=stored / max(1, sum(records)),
        parameters=parameters,
        seen_gain=_mean([each.seen_gain for each in parts], records),
        unseen_gain=_mean([each.unseen_gain for each in parts], records),
    )


def _asking(parts: Sequence[Asking]) -> Asking:
    records = [each.records for each in parts]
    return Asking(
        is_trained=parts[0].is_trained,
        language=parts[0].language,
        records=sum(records),
        first_32=_share(parts, records, lambda each: each.first_32),
        whole=_share(parts, records, lambda each: each.whole),
    )


def _neutral(parts: Sequence[Neutral]) -> Neutral:
    """The mean over the adapters, each of which read the same text."""
    before = [each.loss_before for each in parts if each.loss_before is not None]
    once = [1] * len(parts)
    return Neutral(
        parts[0].tokens,
        _mean(before, once) if len(before) == len(parts) else None,
        _mean([each.loss_after for each in parts], once),
    )


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / max(1, sum(weights))
