"""What readers of all formats make of a catalogue: the three fields of each line or row."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa


class FieldNames(NamedTuple):
    """What the catalogue calls the fields."""

    uid: str
    title: str
    content: str


class Fields(NamedTuple):
    """The fields of some lines, in order, as they were read."""

    uids: pa.StringArray  # null where there is none
    titles: pa.StringArray  # empty where there is none
    contents: pa.StringArray
    reasons: np.ndarray  # int8: why a line could not be read, as its REASON_CODE, or KEPT
    offsets: np.ndarray  # int64: of a line's first byte; of a row, its number
    raws: pa.BinaryArray  # start of a line that could not be read, null where it could
