"""Bases, adapters and the engines that train them: native, Unsloth, or plain transformers and PEFT.

The loop uses an engine only through the interface in engine.py.
"""
