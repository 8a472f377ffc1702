"""Packs of examples in the order of the plan, and the cursor from which they go on.

Plain Python and NumPy; PyTorch datasets are trainer.torch_stream.
"""
