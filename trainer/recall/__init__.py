"""How much of a catalogue comes back word for word, while a run trains and after it.

Nothing here generates: greedy decoding returns the first n tokens of an answer if and only if, after the true tokens
before it, each of the n has the largest logit. So one forward pass a record is enough.
"""
