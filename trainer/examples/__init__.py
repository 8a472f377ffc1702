"""From a record to token ids: the question, the tokenizer, the tensors of a pack.

Nothing here knows where records come from.
"""
