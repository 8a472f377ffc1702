"""Bases that come as a file: found, checked, and converted once into a folder that transformers loads.

Nothing here computes with a base; `trainer.engines` does.
"""
