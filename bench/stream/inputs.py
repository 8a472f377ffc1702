"""Makes the inputs of LitData and MosaicML Streaming; needs both: python -m bench.stream.inputs DATA OUTPUT.

LitData reads links to the shards, with its index beside them; MosaicML its own format, without compression or hashes.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

LITDATA: Final = "litdata"
MDS: Final = "mds"
_MDS_SHARD_BYTES: Final = 1 << 26


def make_inputs(data: Path, output: Path) -> None:
    """Makes the inputs that are not there yet."""
    shards = sorted((data / "train").glob("*.parquet"))
    if not (output / LITDATA / "index.json").exists():
        _index(shards, output / LITDATA)
    if not (output / MDS / "index.json").exists():
        _write_mds(shards, output / MDS)


def _index(shards: list[Path], folder: Path) -> None:
    from litdata import index_parquet_dataset

    folder.mkdir(parents=True, exist_ok=True)
    for shard in shards:
        link = folder / shard.name
        link.unlink(missing_ok=True)
        link.symlink_to(shard.resolve())
    index_parquet_dataset(str(folder), num_workers=1)


def _write_mds(shards: list[Path], folder: Path) -> None:
    import accelerate  # noqa: F401  # before transformers, or streaming 0.13 ends in a circular import
    from streaming import MDSWriter

    with MDSWriter(out=str(folder), columns={"title": "str", "content": "str"}, size_limit=_MDS_SHARD_BYTES) as writer:
        for record in _records(shards):
            writer.write(record)


def _records(shards: list[Path]) -> Iterator[dict[str, str]]:
    for shard in shards:
        for batch in pq.ParquetFile(shard).iter_batches(columns=["title", "content"]):
            yield from batch.to_pylist()


if __name__ == "__main__":
    make_inputs(Path(sys.argv[1]), Path(sys.argv[2]))
