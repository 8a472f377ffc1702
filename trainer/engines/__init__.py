"""Bases, adapters and what computes with them: native, Unsloth or plain transformers and PEFT.

The loop sees an engine only through its interface in engine.py.
"""
