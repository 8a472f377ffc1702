"""What is read otherwise than it stands: one row each. It is counted, and shown when a preparation ends.

In Portuguese these texts are in spark_jobs/card/portuguese.toml, for the data card.
"""

from typing import Final

NOTES: Final = {
    "unusable_id": "ids that are an object, a list or a word such as NULL: the hash of the text takes their place",
    "no_value": "titles and descriptions that are only NULL, None, NaN, N/A or \\N: they count as empty",
    "escapes": r"titles and descriptions with escapes written twice, such as \n or \u2019 as characters: read as what"
    r" they stand for, \n as a blank",
    "shared_id": "ids that belong to several records with other texts, estimated from a sample of 4,096 where there are"
    " more ids; if they should be one record each, another field is the id: --id-field",
    "repeated_field": "lines that name the title, the description or the id twice: the last one is read; looked for in"
    " the first MiB of each file and in one line of 32 behind it",
    "object_text": 'lines rejected as not_a_record whose title or description is an object, such as {"en": "Mug"}',
    "python_line": "lines that are no JSON but a dict as Python prints it: read as that",
    "open_quote": "rows rejected because a value that begins with a quotation mark does not end in them; if these marks"
    " are characters in this file, --quote none says so",
    "stray_quotes": "rows with quotation marks within a value that are not doubled: taken as characters; if a backslash"
    r" before them is no character, --escape '\' says so",
    "plain_quotes": "rows with too many or too few values, of which some begin with a quotation mark; if such marks"
    " stand around values in this file, --quote '\"' says so",
    "single_quotes": "rows with too many or too few values, of which some begin with a single quotation mark; if such"
    ' marks stand around values in this file, --quote "\'" says so',
    "cp1252": "lines rejected as not_utf8 that make sense in cp1252, the encoding of Windows: --encoding cp1252",
}
