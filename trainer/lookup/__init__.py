"""The catalogue's own text for a title, and which words of an answer that text supports. No torch.

Questions and models are not known here: callers give cleaned titles and finished answers.
"""
