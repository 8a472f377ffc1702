"""The preparation in datatrove, with its exact de-duplication and a task for each core. Run by bench.prepare.

datatrove reads a whole file in one task, so the input is first cut into a file for each core; that time counts. Its
exact de-duplication reads the records twice. The first pass writes the cleaned records as JSON lines, which is faster
than to clean them twice.
"""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from datatrove.data import Document, DocumentsPipeline
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import ExactDedupConfig, ExactDedupFilter, ExactDedupSignature, ExactFindDedups
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter, ParquetWriter
from datatrove.utils.logging import logger

from bench.prepare.work import SHARD_ROWS, Work, parse_work

_NOT_KEPT: Final = re.compile(r"[^\w,.]+")


def main(arguments: list[str]) -> None:
    """Cuts the file, cleans and signs the records, finds duplicates, writes the other records."""
    work = parse_work(arguments, description=__doc__)
    logger.remove()  # it reports every step of every task
    scratch = work.output / "scratch"
    parts = scratch / "parts"
    parts.mkdir(parents=True)
    subprocess.run(["split", f"--number=l/{work.cores}", work.input, parts / "part-"], check=True)
    for number, pipeline in enumerate(pipelines(work, scratch=scratch, parts=parts)):
        tasks = 1 if isinstance(pipeline[0], ExactFindDedups) else work.cores
        LocalPipelineExecutor(
            pipeline, tasks=tasks, logging_dir=str(scratch / f"logs-{number}"), start_method="fork"
        ).run()
    shutil.rmtree(scratch)


def pipelines(work: Work, *, scratch: Path, parts: Path) -> list[list[PipelineStep]]:
    """The steps of the three passes."""
    config = ExactDedupConfig(content_getter=whole_text)
    cleaned, signatures, duplicates = (str(scratch / name) for name in ("cleaned", "signatures", "duplicates"))
    return [
        [
            JsonlReader(str(parts), adapter=from_line, add_file_path=False),
            Clean(),
            JsonlWriter(cleaned, "${rank}.jsonl", compression=None),
            ExactDedupSignature(signatures, config),
        ],
        [ExactFindDedups(signatures, duplicates, config, lines_to_buffer=10_000)],
        [
            JsonlReader(cleaned, add_file_path=False),
            ExactDedupFilter(duplicates, config),
            Number(),
            ParquetWriter(
                str(work.output),
                "part-${part}-${rank}.parquet",
                compression="zstd",
                adapter=to_row,
                batch_size=SHARD_ROWS,
                max_file_size=-1,
                use_content_defined_chunking=False,
                write_page_index=False,
            ),
        ],
    ]


class Clean(BaseFilter):
    """Cleans title and content, and keeps the documents in which both have text."""

    def filter(self, doc: Document) -> bool:
        doc.text = clean(doc.text)
        doc.metadata["title"] = clean(doc.metadata["title"])
        return bool(doc.text and doc.metadata["title"])


class Number(PipelineStep):
    """Numbers the files of SHARD_ROWS documents: the writer reads the number from the document."""

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:  # noqa: ARG002
        for position, document in enumerate(data):
            document.metadata["part"] = position // SHARD_ROWS
            yield document


def clean(text: str) -> str:
    """The text without entities, with a blank for each run of characters that are not kept."""
    return _NOT_KEPT.sub(" ", html.unescape(text)).strip()


def whole_text(document: Document) -> bytes:
    """The text by which two documents are compared."""
    return f"{document.metadata['title']}\n{document.text}".encode()


def from_line(_reader: JsonlReader, data: dict[str, Any], _path: str, _position: int) -> dict[str, Any]:
    """The fields of a document; other fields of the line are dropped."""
    metadata = {"title": data.get("title") or ""}
    return {"text": data.get("content") or "", "id": data["uid"], "metadata": metadata}


def to_row(_writer: ParquetWriter, document: Document) -> dict[str, str]:
    """One row of the output."""
    return {"uid": document.id, "title": document.metadata["title"], "content": document.text}


if __name__ == "__main__":
    main(sys.argv[1:])
