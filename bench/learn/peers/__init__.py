"""TRL and Unsloth, trained on the same records as our grids and judged by the same recall. Needs one GPU a process.

Nothing here imports the product. Findings: docs/learning.md.
"""
