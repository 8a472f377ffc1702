"""From files on a disk or in a store to checked tables of records.

The order in which they are read is trainer.plan.
"""
