"""Answers token by token, of many requests at once: requests, sampling, and the batch that they join and leave.

It knows token ids and adapters; titles and questions belong to `trainer.answers`.
"""
