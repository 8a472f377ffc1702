"""All steps of `vitrine prepare` as its peers do them: the rules of contract/text/clean.py (`seed`), and the manifest.

Left out on the peers' side: mojibake is not repaired; a text is not cleaned again where deleting characters has put two
together that compose; a field of another type is read as its text, where ours rejects the line. Patterns are spelt as
both Rust and RE2 understand them.
"""

import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from bench.prepare.work import Work
from contract.columns import REJECTED, SPLITS
from contract.names import MANIFEST_NAME
from contract.text.profiles import SEED

MAX_UNESCAPES: Final = 3
ENTITY: Final = r"&(?:#(?:[0-9]+|[xX][0-9a-fA-F]+)|[A-Za-z0-9]{1,32});?"  # all that html.unescape may change
COMMENT: Final = r"(?s)<!--.*?-->"
COMMENT_BECOMES: Final = "< "  # a blank in the end; a tag that began before the comment does not go on behind it
TAG: Final = r"</?[A-Za-z][^<>]*>"
# NFC changes no text without one of these. Some of them it leaves alone, but this look costs a quarter of asking it.
MAY_COMPOSE: Final = "[^\\x00-\u02ff\u2010-\u205e]"
VANISHES: Final = f"[{SEED.delete}]+"
NOT_KEPT: Final = r"[^\p{L}\p{M}\p{N},. ]+"  # then BLANKS of bench/prepare/work.py

PERCENT_OF_SPLIT: Final = {"train": range(2, 100), "val": range(1), "test": range(1, 2)}  # hash of the title % 100


def unescaped(entities: Iterable[str]) -> dict[str, str]:
    """What each of these entities stands for, the longest first; those that stand for nothing else are left out."""
    texts = {entity: html.unescape(entity) for entity in sorted(entities, key=len, reverse=True)}
    return {entity: text for entity, text in texts.items() if text != entity}


def write_manifest(work: Work, *, files: Mapping[str, int], rejected: Mapping[str, int]) -> None:
    """Writes manifest.json: all files, by their path below the output and with their rows, and rejections by reason."""
    with ThreadPoolExecutor(work.cores) as threads:
        entries = list(threads.map(lambda path: _entry(work.output, path, files[path]), files))
    sections = {name: [entry for entry in entries if _section(entry) == name] for name in (*SPLITS, REJECTED)}
    kept = sum(rows for path, rows in files.items() if not path.startswith(REJECTED))
    manifest = {
        "rows": {"in": kept + sum(rejected.values()), "kept": kept, "rejected": rejected},
        "splits": {
            split: {"rows": sum(int(e["rows"]) for e in sections[split]), "shards": sections[split]} for split in SPLITS
        },
        REJECTED: sections[REJECTED],
    }
    (work.output / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n")


def _section(entry: Mapping[str, str | int]) -> str:
    return str(entry["path"]).partition("/")[0]


def _entry(output: Path, path: str, rows: int) -> dict[str, str | int]:
    with (output / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"path": path, "rows": rows, "bytes": file.tell(), "sha256": digest}
