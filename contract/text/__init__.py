"""Cleaning of texts, the same for preparation and for a question that is asked later.

Nothing here reads files or knows of records.
"""
