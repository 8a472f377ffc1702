"""Words and sentence patterns of made-up products, as text files; the top of `words.txt` explains their format.

Only text belongs here. `synth.kinds` reads and checks it, `synth.text` draws from it.
"""
