"""What every command owes its user: settings, progress, signals, locks, one line for each error.

Nothing here knows of catalogues or models; it imports nothing of this project but `contract`.
"""
