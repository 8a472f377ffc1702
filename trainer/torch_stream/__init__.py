"""The same stream as a PyTorch dataset and loader, for other people's training loops.

Our own loop does not import this package.
"""
