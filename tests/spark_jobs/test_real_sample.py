"""Real lines, where there are any: VITRINE_REAL_SAMPLE names a file of AmazonTitles-1.3MM."""

import os
import unicodedata
from pathlib import Path

import pytest

from tests.spark_jobs.catalogues import all_records
from tests.spark_jobs.conftest import Prepare

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif("VITRINE_REAL_SAMPLE" not in os.environ, reason="VITRINE_REAL_SAMPLE names no file"),
]


def test_real_lines_are_all_accounted_for_and_clean(run: Prepare, tmp_path: Path) -> None:
    sample = Path(os.environ["VITRINE_REAL_SAMPLE"])
    manifest = run(sample, tmp_path / "out", shard_rows=100, partitions=3)
    assert manifest.rows.input == len(sample.read_bytes().splitlines())
    assert manifest.rows.kept > 0.9 * manifest.rows.input
    characters = {
        character
        for record in all_records(tmp_path / "out")
        for name in ("title", "content")
        for character in record[name]
    }
    assert {character for character in characters if unicodedata.category(character)[0] not in "LMN"} <= set(",. ")
