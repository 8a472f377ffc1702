"""Reads delimited files: CSV, TSV and their kin.

Each row is found, sound or not, and no broken row costs its neighbours. How a file is opened and decoded lies outside.
"""
