"""A catalogue in parts, one adapter each: which records are a part's, and what the run of all parts knows of each.

Starting the trainings is launch.training; what computes with an adapter is trainer.answers.
"""
