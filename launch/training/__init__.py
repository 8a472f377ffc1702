"""How trainings are started: one under `accelerate launch`, or those of all parts of a catalogue, one a GPU.

What a training does is trainer.train.
"""
