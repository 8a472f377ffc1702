"""What a LoRA remembers of a catalogue on a real base: grids of trainings on one GPU, judged by recall.

Nothing of the product imports it, and only `project.py` imports the product. Findings: docs/learning.md.
"""
