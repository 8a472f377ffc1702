"""Bytes are written with a unit that a reader sees at a glance."""

import pytest

from command.quantities import format_bytes


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_499, "999.5 kB"),
        (999_500, "1.0 MB"),
        (1_799_999_999, "1.8 GB"),
        (2 * 10**15, "2000.0 TB"),
    ],
)
def test_bytes_have_a_fitting_unit(num_bytes: int, text: str) -> None:
    assert format_bytes(num_bytes) == text
