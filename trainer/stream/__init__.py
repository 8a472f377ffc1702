"""Packs of examples in the order of the plan, and the cursor that a run resumes from.

Plain Python and NumPy; PyTorch datasets are trainer.torch_stream.
"""
