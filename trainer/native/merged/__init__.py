"""The native engine for small bases and high ranks: the adapter is merged into copies of the base's matrices each step.

What streams packs, sums losses or updates the adapter is elsewhere: this is only the way from tokens to hidden columns.
"""
