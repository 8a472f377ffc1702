"""Cleaning of most texts in one compiled pass, where numba is installed.

No rule of its own: its tables are made from the rules of contract.text, and what it cannot do is cleaned there.
"""
