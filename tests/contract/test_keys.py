"""Keys, splits and parts are pure functions of the cleaned text."""

import hashlib
from collections import Counter

import pytest

from contract.columns import KEY_BYTES
from contract.keys import part_of, record_key, split_of


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


def test_a_part_is_what_any_program_computes_from_the_title() -> None:
    """Adapters that exist were trained by this rule: another value here asks titles of the wrong adapter."""
    golden = {"Red Cotton Shirt": [0, 2, 22], "Girls Ballet Tutu Neon Blue": [1, 1, 73], "Café": [0, 0, 64]}
    assert {title: [part_of(title, parts) for parts in (3, 4, 100)] for title in golden} == golden

    for title in golden:
        digest = hashlib.sha256(title.encode()).hexdigest()
        assert part_of(title, 7) == int(digest[:16], 16) % 7
    assert part_of("any title", 1) == 0


def test_parts_are_even_and_independent_of_splits() -> None:
    titles = [f"Title {number}" for number in range(20_000)]
    both = Counter((part_of(title, 4), split_of(title, val_share=0.3, test_share=0.2, seed=0)) for title in titles)

    for (_, split), num in both.items():
        share = {"train": 0.5, "val": 0.3, "test": 0.2}[split]
        assert num == pytest.approx(20_000 / 4 * share, rel=0.1)
    assert len(both) == 12
