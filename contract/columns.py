"""Columns and names that both sides use: shards, rejected lines, splits."""

from typing import Final

import pyarrow as pa

UID: Final = "uid"
TITLE: Final = "title"
CONTENT: Final = "content"
KEY: Final = "key"
REASON: Final = "reason"
SOURCE: Final = "source"
OFFSET: Final = "offset"
RAW: Final = "raw"

KEY_BYTES: Final = 16

# One row is one product record to train on; (title, content) is unique over all splits.
SHARD_SCHEMA: Final = pa.schema(
    [
        pa.field(UID, pa.string(), nullable=False),
        pa.field(TITLE, pa.string(), nullable=False),
        pa.field(CONTENT, pa.string(), nullable=False),
        # KEY_BYTES long. Not Arrow's fixed-size type: `datasets` (4.8, 5.2) cannot load a file that has such a column.
        pa.field(KEY, pa.binary(), nullable=False),
    ]
)

# The unit of streaming: whole row groups are read, so their size bounds memory and the cost of a seek.
ROW_GROUP_ROWS: Final = 2_000

# One row is one input line that was rejected.
REJECTED_SCHEMA: Final = pa.schema(
    [
        pa.field(REASON, pa.string(), nullable=False),
        pa.field(SOURCE, pa.string(), nullable=False),  # path of the input file
        pa.field(OFFSET, pa.int64(), nullable=False),  # of the line's first byte, in the decompressed file
        pa.field(UID, pa.string()),
        pa.field(TITLE, pa.string()),
        pa.field(RAW, pa.binary()),  # start of a line that could not be parsed
    ]
)
RAW_PREFIX_BYTES: Final = 200

SPLITS: Final = ("train", "val", "test")
REJECTED: Final = "rejected"
