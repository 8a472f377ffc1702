"""Where the files of a data set lie, relative to its folder."""

import re
from typing import Final

from contract.columns import REJECTED, SPLITS

MANIFEST_NAME: Final = "manifest.json"
CARD_HTML: Final = "card.html"
CARD_JSON: Final = "card.json"
STAGING_PREFIX: Final = ".staging-"

SECTIONS: Final = (*SPLITS, REJECTED)

_SHARD: Final = r"part-\d{5,}-[0-9a-f]{8}\.parquet"
_STATISTICS: Final = r"statistics-[0-9a-f]{8}\.json"
_LEFT_BEHIND: Final = re.compile(
    rf"{re.escape(STAGING_PREFIX)}[0-9a-f]+/.+"
    rf"|({'|'.join(SECTIONS)})/({_SHARD}|\.{_SHARD}\..*\.tmp)"
    rf"|\.?{_STATISTICS}(\..*\.tmp)?"
    rf"|\.({'|'.join(map(re.escape, (MANIFEST_NAME, CARD_HTML, CARD_JSON)))})\..*\.tmp"
)


def shard_path(section: str, *, number: int, sha256: str) -> str:
    """A shard's path: its number gives the order, the start of its hash makes the name of one content its own.

    >>> shard_path("train", number=7, sha256="1f2e3d4c5b6a")
    'train/part-00007-1f2e3d4c.parquet'
    """
    return f"{section}/part-{number:05d}-{sha256[:8]}.parquet"


def statistics_path(sha256: str) -> str:
    """The path of the counts behind the data card."""
    return f"statistics-{sha256[:8]}.json"


def is_work_of_a_preparation(name: str) -> bool:
    """Whether a preparation writes files with this name, finished or not. If no manifest names it, it was left over.

    >>> [is_work_of_a_preparation(name) for name in ("val/part-00000-1f2e3d4c.parquet", ".staging-0a/x", "val/mine")]
    [True, True, False]
    """
    return _LEFT_BEHIND.fullmatch(name) is not None
