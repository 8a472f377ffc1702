"""What a run's folder holds: settings, checkpoints, metrics, ledger, copies.

Nothing here computes.
"""
