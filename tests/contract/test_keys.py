"""Keys and splits are pure functions of the cleaned text."""

import pytest

from contract.columns import KEY_BYTES
from contract.keys import record_key, split_of


def test_keys_are_stable_and_tell_title_from_content() -> None:
    # Shards that exist hold these keys: another value here is another format.
    assert record_key("a", "b").hex() == "0c84cf75ee142f818515ab54bd107d86"
    assert len(record_key("a", "b")) == KEY_BYTES
    assert len({record_key("ab", "c"), record_key("a", "bc"), record_key("c", "ab"), record_key("abc", "")}) == 4


def test_split_depends_on_title_and_seed_alone_and_meets_its_shares() -> None:
    titles = [f"Title {number}" for number in range(20_000)]
    splits = [split_of(title, val_share=0.1, test_share=0.2, seed=0) for title in titles]
    again = [split_of(title, val_share=0.1, test_share=0.2, seed=0) for title in reversed(titles)]

    assert splits == again[::-1]
    assert splits.count("val") / len(splits) == pytest.approx(0.1, abs=0.01)
    assert splits.count("test") / len(splits) == pytest.approx(0.2, abs=0.01)
    assert splits != [split_of(title, val_share=0.1, test_share=0.2, seed=1) for title in titles]
