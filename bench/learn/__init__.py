"""What a LoRA remembers of a catalogue on a real base: grids of trainings on one GPU, judged by recall.

Nothing of the product imports it; it imports of the product only what `project.py`, `step.py` and `fp8` need. Findings:
docs/learning.md.
"""
