"""All steps of `vitrine prepare` for its peers: the rules of contract/text/clean.py (`seed`), and the manifest.

The peers leave some steps out. They do not repair mojibake. They do not clean a text again where a deleted character
stood between two that compose. They read a field of another type as text, where ours rejects the line. Of HTML they
know comments, tags without `<` and `>` inside, scripts, styles and titles. They blank joiners, and keep selectors. The
patterns mean the same to Rust and to RE2.
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
from contract.text.elements import APART, INLINE
from contract.text.invisible import VANISHING
from contract.text.profiles import SEED

MAX_UNESCAPES: Final = 3
ENTITY: Final = r"&(?:#(?:[0-9]+|[xX][0-9a-fA-F]+)|[A-Za-z0-9]{1,32});?"  # whatever html.unescape may change
# Nothing takes the place of the first two, a blank that of the third.
HIDDEN: Final = r"(?is)<!--.*?-->|<(?:script|style|title)\b[^>]*>.*?</(?:script|style|title)\s*>"
INLINE_TAG: Final = rf"(?i)</?(?:{'|'.join(sorted(INLINE))})(?:[\s/][^<>]*)?>"
BLOCK_TAG: Final = rf"(?i)</?(?:{'|'.join(sorted(APART))})(?:[\s/][^<>]*)?>"
# NFC changes no text without one of these characters. To search for them costs a quarter of an attempt at NFC.
MAY_COMPOSE: Final = "[^\\x00-\u02ff\u2010-\u205e]"
VANISHES: Final = f"[{SEED.delete}{VANISHING}]+"
NOT_KEPT: Final = r"[^\p{L}\p{M}\p{N},. ]+"  # then BLANKS of bench/prepare/work.py

PERCENT_OF_SPLIT: Final = {"train": range(2, 100), "val": range(1), "test": range(1, 2)}  # of: hash of the title % 100


def unescaped(entities: Iterable[str]) -> dict[str, str]:
    """The text of each of these entities, the longest entity first. Entities that html.unescape leaves are left out."""
    texts = {entity: html.unescape(entity) for entity in sorted(entities, key=len, reverse=True)}
    return {entity: text for entity, text in texts.items() if text != entity}


def write_manifest(work: Work, *, files: Mapping[str, int], rejected: Mapping[str, int]) -> None:
    """Writes manifest.json. `files`: rows by path below the output; `rejected`: lines by reason."""
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
