"""The plots of docs/learning.md, drawn from bench/results. Nothing here measures.

`svg` draws charts of any figures; `charts` chooses the figures, and its words are in `words`.
"""
