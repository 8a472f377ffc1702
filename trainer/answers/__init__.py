"""Questions to a trained model, and how its answers compare with the truth.

Training does not import this package.
"""
