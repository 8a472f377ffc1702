"""Look-up of titles and support of words: right, fast and small, at the size of the whole catalogue.

Nothing here trains or answers.
"""
