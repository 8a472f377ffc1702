"""What is printed reaches any terminal: characters that its encoding lacks are printed as escapes."""

import codecs
import io
import json
import sys
from typing import Final

_NAME: Final = "vitrine-escapes"


def escape_what_cannot_be_encoded() -> None:
    r"""From now on, what is printed never fails for a character: `é` becomes `\u00e9` in ASCII.

    The escapes are those of JSON, in which they mean the same characters. So a line of JSON stays one. In UTF-8, only
    bytes of a file's name that are no text are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_NAME)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_NAME, _escaped)
