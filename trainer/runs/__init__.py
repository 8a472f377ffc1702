"""The files of a run: settings, checkpoints, metrics, ledger, copies.

Nothing here trains.
"""
