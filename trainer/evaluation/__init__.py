"""The answers of a run before and after training, held against the truth: scores, their intervals, a verdict.

How an answer is made belongs to `trainer.answers`, how it is shown to `trainer.evaluation.page`.
"""
