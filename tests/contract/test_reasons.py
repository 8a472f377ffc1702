"""The table of reasons is complete."""

from contract.reasons import REASON_CODE, REASON_NAMES, REASONS


def test_a_reason_is_named_once_and_says_what_its_readers_need() -> None:
    assert [reason.name for reason in REASONS.values()] == list(REASON_NAMES)
    assert all(reason.meaning for reason in REASONS.values())
    # The first record of a key is kept, so a catalogue of which nothing is kept has no duplicates.
    assert all(bool(reason.advice) != reason.is_duplicate for reason in REASONS.values())


def test_a_code_fits_in_a_byte_and_follows_precedence() -> None:
    assert [REASON_CODE[name] for name in REASON_NAMES] == list(range(len(REASON_NAMES)))
    assert len(REASON_NAMES) < 2**7
