"""Words and sentence patterns of made-up products.

Only data belongs here; drawing from it is synth.text.
"""
