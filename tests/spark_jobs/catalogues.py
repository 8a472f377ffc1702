"""Catalogues to prepare, and what a prepared data set holds."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from contract.columns import REJECTED
from contract.manifest import Manifest, read_manifest
from contract.names import CARD_HTML, CARD_JSON
from contract.verify.data_set import verify
from tests.spark_jobs import nasty


def catalogue(count: int) -> list[bytes]:
    """Products of which one in three has a title that another has, and one in ten is a duplicate of the one before."""
    texts = [number - (number % 10 == 9) for number in range(count)]
    return [
        nasty.line(
            uid=f"{number:06d}",
            title=f"Mug &#8220;{text // 3 if text % 3 == 0 else text}&#8221;",
            content=f"<p>A fine mug {text}</p>",
        )
        for number, text in enumerate(texts)
    ]


def write(path: Path, lines: list[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def check_files(output: Path, manifest: Manifest) -> None:
    """Asserts that the folder holds what the manifest names and nothing else, and that no law is broken."""
    found = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    assert found == {*manifest.files(), CARD_HTML, CARD_JSON}
    report = verify(str(output))
    assert report.is_sound, report.findings


def records(output: Path, split: str) -> list[dict]:
    """All rows of a split, or of the rejected lines, in order."""
    manifest = read_manifest(str(output))
    shards = manifest.rejected if split == REJECTED else manifest.splits[split]
    tables = [pq.read_table(output / shard.path, page_checksum_verification=True) for shard in shards]
    return pa.concat_tables(tables).to_pylist() if tables else []


def all_records(output: Path) -> list[dict]:
    """All records of all splits."""
    return [record for split in ("train", "val", "test") for record in records(output, split)]
