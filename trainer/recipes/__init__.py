"""How a run trains: each setting that its recipe decides, from the catalogue's size, the base and the machine.

Pure functions of numbers, without torch. Nothing here reads a data set or a model.
"""
