"""What is read otherwise than it stands: one row each. It is counted, and shown when a preparation ends."""

from typing import Final

NOTES: Final = {
    "unusable_id": "ids that are an object, a list or a word such as NULL: the hash of the text takes their place",
    "no_value": "titles and descriptions that are only NULL, None, NaN or N/A: they count as empty",
    "escapes": r"titles and descriptions with escapes written twice, such as \n or \u2019 as characters: read as what"
    r" they stand for, \n as a blank",
    "python_line": "lines that are no JSON but a dict as Python prints it: read as that",
    "open_quote": "rows rejected because a value that begins with a quotation mark does not end in them; if these marks"
    " are characters in this file, --quote none says so",
    "stray_quotes": "rows with quotation marks within a value that are not doubled: taken as characters; if a backslash"
    r" before them is no character, --escape '\' says so",
    "plain_quotes": "rows with too many or too few values, of which some begin with a quotation mark; if such marks"
    " stand around values in this file, --quote '\"' says so",
    "cp1252": "lines rejected as not_utf8 that make sense in cp1252, the encoding of Windows: --encoding cp1252",
}
