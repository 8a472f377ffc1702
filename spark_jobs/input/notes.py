"""What is read otherwise than it stands: one row each. It is counted, and shown when a preparation ends."""

from typing import Final

NOTES: Final = {
    "unusable_id": "ids that are an object, a list or a word such as NULL: the hash of the text takes their place",
    "no_value": "titles and descriptions that are only NULL, None, NaN or N/A: they count as empty",
    "python_line": "lines that are no JSON but a dict as Python prints it: read as that",
}
