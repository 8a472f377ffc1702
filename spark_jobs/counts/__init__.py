"""The counts of lines and records that tasks make while they prepare a catalogue.

Counts of parts can be added in any order, so the sum does not depend on how the work was divided.
"""
