"""Made files: sound ones are read as Python's csv reads them, and a broken row costs nothing but itself.

VITRINE_FUZZ_FILES says how many files of each kind; it was 100,000 when the reader was written.
"""

import csv
import io
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.spark_jobs.input.delimited.made_files import MadeFile, broken_file, sound_file
from tests.spark_jobs.input.reading import NAMES, Texts, read_file

NUM_FILES = int(os.environ.get("VITRINE_FUZZ_FILES", "2000"))
NUM_TESTS = 4  # each has its share of the files


def seeds(share: int) -> range:
    return range(share, NUM_FILES, NUM_TESTS)


def texts_of(made: MadeFile, row: tuple[str, ...]) -> Texts:
    """The row's texts; a carriage return that ends no line is read as a blank."""
    uid, title, content = (
        row[made.columns.index(name)].replace("\r\n", "\0").replace("\r", " ").replace("\0", "\r\n") for name in NAMES
    )
    return uid, title, content


def rows_by_python(made: MadeFile) -> list[tuple[str, ...]]:
    """The rows of a sound file behind its header, as Python's csv reads them."""
    text = made.data.decode("utf-8-sig")
    text = text.partition("\r\n")[2] if text.startswith("sep=") else text
    delimiter = next(sign for sign in ",;|\t" if sign in text.partition("\n")[0])
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    return [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)][1:]


def write(made: MadeFile, folder: Path) -> Path:
    path = folder / f"a{made.suffix}"
    path.write_bytes(made.data)
    return path


@pytest.mark.parametrize("share", range(NUM_TESTS))
def test_a_sound_file_is_read_as_pythons_csv_reads_it(share: int, tmp_path: Path) -> None:
    for seed in seeds(share):
        made = sound_file(seed)
        expected = [texts_of(made, row) for row in rows_by_python(made)]
        reading = read_file(write(made, tmp_path), parallelism=1 + seed % 3)
        assert (reading.kept, reading.rejected, reading.notes) == (expected, {}, {}), f"seed {seed}"


@pytest.mark.parametrize("share", range(NUM_TESTS))
def test_a_broken_row_costs_itself_alone(share: int, tmp_path: Path) -> None:
    for seed in seeds(share):
        made = broken_file(seed)
        reading = read_file(write(made, tmp_path), parallelism=1 + seed % 3)
        sound = [texts_of(made, row) for number, row in enumerate(made.rows) if number not in made.broken]
        assert reading.num_rows == len(made.rows), f"seed {seed}"
        assert not Counter(sound) - Counter(reading.kept), f"seed {seed}"


def test_neighbours_that_are_broken_cost_no_more_than_themselves(tmp_path: Path) -> None:
    """A second one is not always told apart from the rest of the first; sound rows are hardly ever lost."""
    num_rows = num_miscounted = num_lost = 0
    for seed in range(NUM_FILES // 4):
        made = broken_file(seed, are_neighbours_broken=True)
        reading = read_file(write(made, tmp_path))
        sound = [texts_of(made, row) for number, row in enumerate(made.rows) if number not in made.broken]
        num_rows += len(made.rows)
        num_miscounted += abs(reading.num_rows - len(made.rows))
        num_lost += (Counter(sound) - Counter(reading.kept)).total()
    assert num_miscounted < 0.003 * num_rows
    assert num_lost < 0.0005 * num_rows


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 1_000])
def test_the_rows_do_not_depend_on_how_the_file_is_read(
    chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_jobs.input.delimited.reader.SAMPLE_BYTES", 300)
    for seed in range(40):
        path = write(broken_file(seed, are_neighbours_broken=True), tmp_path)
        readings = []
        for size in (2**20, chunk_bytes):
            monkeypatch.setattr("spark_jobs.input.delimited.scanner.CHUNK_BYTES", size)
            readings.append(read_file(path, max_line_bytes=(250, 2**20)[seed % 2]))
        assert readings[0] == readings[1], f"seed {seed}"


def test_the_files_are_of_all_kinds() -> None:
    files = [broken_file(seed) for seed in range(200)]
    assert sum(bool(made.broken) for made in files) > 100
    assert {made.suffix for made in files} == {".csv", ".tsv"}
    assert sum(b'"\r\n"' in made.data or b'"\n"' in made.data for made in files) > 20  # all values in marks
