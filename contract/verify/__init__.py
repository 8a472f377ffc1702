"""Reads a prepared data set again and checks every law of it.

Checks only report findings; nothing here writes or repairs.
"""
