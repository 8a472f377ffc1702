"""What a training in FP8 costs of recall, and which of its roundings do.

Here FP8 is only emulated. The engine's own products in FP8 belong to `trainer.native`.
"""
