"""What all parts remember together: the shares of all records, with intervals that are narrower than each part's."""

import pytest

from trainer.parts.recalls import Expectation, Expected, expected_text, joined, joined_expectation
from trainer.runs.recalls import Asking, Bits, Group, Neutral, Report, Share, report_text


def group(records: int, whole: Share, *, loss_before: float | None = 4.0, loss_after: float = 1.0) -> Group:
    return Group(
        records=records,
        titles=records,
        first_8=whole,
        first_32=whole,
        whole=whole,
        answer_tokens=records * 10,
        loss_before=loss_before,
        loss_after=loss_after,
        cut_records=1,
        cut_recalled=0,
    )


def report(records: int, whole: Share, **losses: float | None) -> Report:
    seen = group(records, whole, **losses)
    bits = Bits(stored=500.0, a_parameter=0.5, a_record=5.0, parameters=1_000, seen_gain=3.0, unseen_gain=1.0)
    return Report(
        step=records,
        trained_records=100,
        seen=seen,
        unseen=None,
        bits=bits,
        wordings={"portuguese": Asking(True, "pt", records, whole, whole)},
        neutral={"en": Neutral(50, 3.0, 3.0 + records / 100)},
    )


def test_parts_count_by_their_records() -> None:
    parts = [report(100, Share(0.9, 0.8, 1.0)), report(300, Share(0.5, 0.4, 0.6), loss_after=2.0)]
    both = joined(parts)

    assert both.seen is not None
    assert (both.seen.records, both.seen.titles, both.seen.cut_records) == (400, 400, 2)
    assert both.seen.whole.value == pytest.approx(0.6)
    half = (0.025**2 + 0.075**2) ** 0.5  # 0.1 of a quarter and of three quarters, independent of each other
    assert both.seen.whole.low == pytest.approx(0.6 - half)
    assert both.seen.whole.high == pytest.approx(0.6 + half)
    assert both.seen.loss_before == pytest.approx(4.0)
    assert both.seen.loss_after == pytest.approx(1.75)
    assert both.unseen is None
    assert both.trained_records == 200
    assert both.bits is not None
    assert (both.bits.stored, both.bits.a_parameter, both.bits.a_record) == (1_000.0, 0.5, 5.0)
    assert both.wordings["portuguese"].whole.value == pytest.approx(0.6)
    assert both.neutral["en"].loss_after == pytest.approx(5.0)
    assert "of 400 records" in report_text(both)


def test_parts_that_are_alike_have_their_share_and_a_narrower_interval() -> None:
    one = report(100, Share(0.9, 0.8, 1.0))
    four = joined([one] * 4).seen

    assert four is not None
    assert four.whole.value == pytest.approx(0.9)
    assert four.whole.low == pytest.approx(0.85)
    assert joined([one]).seen == one.seen


def test_what_a_part_did_not_measure_is_not_made_up() -> None:
    both = joined([report(100, Share(0.9, 0.8, 1.0)), report(100, Share(0.9, 0.8, 1.0), loss_before=None)])
    assert both.seen is not None
    assert both.seen.loss_before is None


def test_what_was_expected_counts_by_records() -> None:
    parts = [
        Expectation(records=100, expected=Expected(0.9, 0.8, 1.0), reached=None),
        Expectation(records=300, expected=Expected(0.5, 0.4, 0.6), reached=None),
    ]
    both = joined_expectation(parts, reached=Share(0.7, 0.6, 0.8))

    assert both.records == 400
    assert both.expected.share == pytest.approx(0.6)
    assert both.expected.low == pytest.approx(0.5)
    assert both.expected.high == pytest.approx(0.7)


def test_what_was_expected_of_all_parts_is_told_where_it_says_something() -> None:
    known = expected_text(Expected(share=0.9, low=0.7, high=1.0))
    assert known == "expected of all parts were 90.0%, between 70.0% and 100.0%"
    assert expected_text(Expected(share=0.5, low=0.0, high=1.0)).endswith("unknown: the lines of the parts say why")
