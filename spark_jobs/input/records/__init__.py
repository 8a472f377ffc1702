"""Records as they are read: what their values say as texts, and what their fields are called.

How a record is found in a file is said next door, by its format.
"""
