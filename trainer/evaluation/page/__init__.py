"""RUN/evaluation.html: one file that opens from disk without a network, in English and Portuguese.

What it says is decided in `trainer.evaluation`; here is only how it is shown.
"""
