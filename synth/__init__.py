"""Made-up catalogues, with all the dirt of a real one, that know their own right answers.

The words and sentences are data in `grammars`.
"""
